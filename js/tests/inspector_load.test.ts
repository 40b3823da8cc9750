/** Details and pictures are asked for once, kept, aborted and asked for again as they should. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Loader } from "../src/inspector/load";
import type { Request } from "../src/protocol";
import type { Reply, RequestOptions, Session } from "../src/session";

interface Asked {
  request: Request & { row: number; side: number };
  signal: AbortSignal;
  answer: (reply: Reply<unknown>) => void;
  fail: (error: Error) => void;
}

const reply = (row: number, damaged = false) => ({
  body: {
    row,
    regions: [{ id: 0, mask: { size: [1, 1], counts: damaged ? "9" : "01" }, score: 0.5 }],
    mask: null,
  },
  buffers: [],
});
const jpeg = {
  body: { buffer: 0, width: 4, height: 3 },
  buffers: [new DataView(new ArrayBuffer(2))],
};

function start(hasPictures = true) {
  const asked: Asked[] = [];
  const changed: number[] = [];
  const session = {
    result: { id: "r1", has_pictures: hasPictures },
    request: (request: Asked["request"], { signal }: RequestOptions) =>
      new Promise((answer, fail) => {
        asked.push({ request, signal: signal as AbortSignal, answer, fail });
        signal?.addEventListener("abort", () => fail(new DOMException("stop", "AbortError")));
      }),
  } as unknown as Session;
  const loader = new Loader(session, (row) => changed.push(row));
  const told = (): string[] =>
    asked.map(({ request: { kind, row, side } }) => `${kind} ${row} ${side}`);
  return { loader, asked, changed, told };
}
const settled = (): Promise<void> => new Promise((done) => setTimeout(done, 0));

let nUrls = 0;
const revoked: string[] = [];
beforeEach(() => {
  nUrls = revoked.length = 0;
  vi.spyOn(URL, "createObjectURL").mockImplementation(() => `blob:${++nUrls}`);
  vi.spyOn(URL, "revokeObjectURL").mockImplementation((url) => void revoked.push(url));
});
afterEach(() => vi.restoreAllMocks());

describe("Loader", () => {
  it("asks for details and picture once and keeps the answers", async () => {
    const { loader, asked, changed, told } = start();
    loader.need(3, 512);
    loader.need(3, 512);
    expect(told()).toEqual(["inspect 3 1024", "image 3 512"]);
    asked[0]?.answer(reply(3));
    asked[1]?.answer(jpeg);
    await settled();
    expect(changed).toEqual([3, 3]);
    expect(loader.detail(3)?.shapes[0]?.d).toBe("M0 0 0 1 1 1 1 0Z");
    expect(loader.picture(3)).toEqual({ url: "blob:1", side: 512, width: 4, height: 3 });
    loader.need(3, 512);
    expect(asked).toHaveLength(2);
  });

  it("puts a sharper picture in place of the first and frees that one", async () => {
    const { loader, asked, told } = start();
    loader.need(0, 512);
    asked[1]?.answer(jpeg);
    await settled();
    loader.need(0, 2048);
    expect(told()[2]).toBe("image 0 2048");
    expect(loader.picture(0)?.url).toBe("blob:1");
    asked[2]?.answer(jpeg);
    await settled();
    expect([loader.picture(0)?.url, revoked]).toEqual(["blob:2", ["blob:1"]]);
  });

  it("aborts what belongs to other rows, without an error", async () => {
    const { loader, asked, changed } = start();
    loader.need(0, 512);
    loader.need(1, 512);
    loader.only(1, null);
    await settled();
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, true, false, false]);
    expect([changed, loader.error("inspect", 0)]).toEqual([[], undefined]);
  });

  it("keeps an error until asked to try again", async () => {
    const { loader, asked } = start();
    loader.need(0, 512);
    asked[0]?.fail(new Error("the kernel does not answer"));
    asked[1]?.answer({ body: { buffer: null, error: "truncated" }, buffers: [] });
    await settled();
    expect(loader.error("inspect", 0)).toBe("the kernel does not answer");
    expect(loader.error("image", 0)).toBe("truncated");
    loader.need(0, 512);
    expect(asked).toHaveLength(2);
    loader.retry();
    loader.need(0, 512);
    expect(asked).toHaveLength(4);
  });

  it("asks a question once, keeps the answer, and forgets it with the result", async () => {
    const { loader, asked, changed } = start();
    const question = { kind: "why", row: 2, other: 4 } as const;
    loader.ask(question);
    loader.ask(question);
    loader.ask({ ...question, other: 5 });
    expect(asked.map(({ request }) => request)).toEqual([
      { ...question, result: "r1" },
      { ...question, other: 5, result: "r1" },
    ]);
    expect(loader.answered(question)).toEqual({ reply: undefined, error: undefined });
    asked[0]?.answer({ body: { difference: 1 }, buffers: [] });
    asked[1]?.fail(new Error("no such hit"));
    await settled();
    expect(changed).toEqual([2, 2]);
    expect(loader.answered(question).reply).toEqual({ difference: 1 });
    expect(loader.answered({ ...question, other: 5 }).error).toBe("no such hit");
    loader.ask(question);
    loader.ask({ ...question, other: 5 });
    expect(asked).toHaveLength(2);
    loader.clear();
    expect(loader.answered(question).reply).toBeUndefined();
  });

  it("takes a question back, so that it can be asked again", async () => {
    const { loader, asked } = start();
    const question = { kind: "occlude", row: 0, region: 3 } as const;
    loader.ask(question);
    loader.drop(question);
    await settled();
    expect(asked[0]?.signal.aborted).toBe(true);
    expect(loader.answered(question).error).toBeUndefined();
    loader.ask(question);
    asked[1]?.fail(new Error("the judge is gone"));
    await settled();
    expect(loader.answered(question).error).toBe("the judge is gone");
    loader.drop(question);
    loader.ask(question);
    expect(asked).toHaveLength(3);
  });

  it("says which mask is damaged instead of showing half of an answer", async () => {
    const { loader, asked } = start();
    loader.need(0, 512);
    asked[0]?.answer(reply(0, true));
    await settled();
    expect(loader.detail(0)).toBeUndefined();
    expect(loader.error("inspect", 0)).toMatch(/a mask is damaged/);
  });

  it("asks for no picture where there are none", () => {
    const { loader, told } = start(false);
    loader.need(0, 512);
    expect(told()).toEqual(["inspect 0 1024"]);
  });

  it("frees every picture when it is cleared", async () => {
    const { loader, asked } = start();
    loader.need(0, 512);
    asked[1]?.answer(jpeg);
    await settled();
    loader.clear();
    expect([revoked, loader.picture(0), asked[0]?.signal.aborted]).toEqual([
      ["blob:1"],
      undefined,
      true,
    ]);
  });
});
