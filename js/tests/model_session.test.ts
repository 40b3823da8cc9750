import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ModelSession, SOON_MS } from "../src/model_session";
import { LOST_MESSAGE, TIMEOUT_MS } from "../src/pending";
import type { Request } from "../src/protocol";
import { deflated, FakeModel, tableOf } from "./support";

const tiles = (result = "r"): Request => ({
  kind: "tiles",
  result,
  rows: [0],
  side: 200,
  regions: false,
});
const search: Request = {
  kind: "search",
  query: "a dog",
  index: "",
  judge: "none",
  k: 12,
  n_judged: null,
};

/** A promise's end as a value that can be looked at without waiting for it. */
function watched(promise: Promise<unknown>): { end: unknown } {
  const state: { end: unknown } = { end: "pending" };
  promise.then(
    (value) => {
      state.end = value;
    },
    (error: Error) => {
      state.end = error;
    },
  );
  return state;
}
const settle = () => vi.advanceTimersByTimeAsync(0);

let model: FakeModel;
let session: ModelSession;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  model = new FakeModel({ current: "", marks: {} });
  session = new ModelSession(model);
});
afterEach(() => {
  session.destroy();
  vi.useRealTimers();
});

describe("a request", () => {
  it("is sent with an id and resolves with body and buffers", async () => {
    const answer = session.request(tiles());
    expect(model.sent).toEqual([{ ...tiles(), id: model.id() }]);
    const picture = new Uint8Array([9, 1, 2, 9]);
    const part = new DataView(picture.buffer, 1, 2);
    model.receive({ kind: "reply", id: model.id(), ok: true, body: { tiles: [] } }, [part]);
    const { body, buffers } = await answer;
    expect(body).toEqual({ tiles: [] });
    expect([buffers[0]?.byteLength, buffers[0]?.getUint8(0)]).toEqual([2, 1]);
  });

  it("rejects with the kernel's words", async () => {
    const answer = watched(session.request(tiles()));
    model.receive({ kind: "reply", id: model.id(), ok: false, error: "no file 'a.jpg'" });
    await settle();
    expect(answer.end).toEqual(new Error("no file 'a.jpg'"));
    expect(session.isConnected).toBe(true);
  });

  it("takes its own answer only, whatever the order", async () => {
    const [first, second] = [session.request<number>(tiles()), session.request<number>(tiles())];
    const [one, two] = [model.id(0), model.id(1)];
    expect(one).not.toBe(two);
    model.receive({ kind: "reply", id: two, ok: true, body: 2 });
    model.receive({ kind: "reply", id: one, ok: true, body: 1 });
    expect([(await first).body, (await second).body]).toEqual([1, 2]);
  });

  it("has an id that no other view of the model uses", () => {
    const other = new ModelSession(model);
    watched(session.request(tiles()));
    watched(other.request(tiles()));
    expect(model.id(0)).not.toBe(model.id(1));
    other.destroy();
  });

  it("is taken back by its signal, and Python is told", async () => {
    const abort = new AbortController();
    const answer = watched(session.request(tiles(), { signal: abort.signal }));
    const id = model.id();
    abort.abort();
    await settle();
    expect(answer.end).toMatchObject({ name: "AbortError" });
    expect(model.sent.at(-1)).toEqual({ kind: "cancel", id });
    abort.abort();
    model.receive({ kind: "reply", id, ok: true, body: "late" });
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS * 2);
    expect(model.sent.length).toBe(2);
    expect(session.isConnected).toBe(true);
  });

  it("is not sent when its signal was aborted before", async () => {
    const answer = watched(session.request(tiles(), { signal: AbortSignal.abort() }));
    await settle();
    expect(answer.end).toMatchObject({ name: "AbortError" });
    expect(model.sent).toEqual([]);
  });

  it("sends no cancel after its answer", async () => {
    const abort = new AbortController();
    watched(session.request(tiles(), { signal: abort.signal }));
    model.receive({ kind: "reply", id: model.id(), ok: true, body: 1 });
    abort.abort();
    await settle();
    expect(model.sent.length).toBe(1);
  });
});

describe("the connection", () => {
  it("is lost after a silence and found by the next answer", async () => {
    const changes: boolean[] = [];
    session.on("connection", () => changes.push(session.isConnected));
    const answer = watched(session.request(tiles()));
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
    expect([answer.end, session.isConnected]).toEqual(["pending", true]);
    await vi.advanceTimersByTimeAsync(1);
    expect(answer.end).toEqual(new Error(LOST_MESSAGE));
    expect(changes).toEqual([false]);
    const next = session.request<string>(tiles());
    model.receive({ kind: "reply", id: model.id(), ok: true, body: "here" });
    expect((await next).body).toBe("here");
    expect(changes).toEqual([false, true]);
  });

  it("is found by a late answer, which itself is not used", async () => {
    const answer = watched(session.request(tiles()));
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
    model.receive({ kind: "reply", id: model.id(), ok: true, body: "late" });
    await settle();
    expect(session.isConnected).toBe(true);
    expect(answer.end).toEqual(new Error(LOST_MESSAGE));
  });

  it("is not found by words that are not ours", async () => {
    watched(session.request(tiles(), { timeout: 50 }));
    await vi.advanceTimersByTimeAsync(50);
    model.emit("msg:custom", "hello");
    model.emit("msg:custom", undefined);
    model.emit("msg:custom", { kind: "anywidget-command", id: "x" });
    expect(session.isConnected).toBe(false);
  });

  it("lives while there is progress", async () => {
    const heard: unknown[] = [];
    const answer = watched(
      session.request(search, { timeout: 100, onProgress: (...words) => heard.push(words) }),
    );
    const id = model.id();
    for (let done = 1; done <= 4; done++) {
      await vi.advanceTimersByTimeAsync(90);
      model.receive({ kind: "progress", id, stage: "judge", done, total: 4 });
    }
    expect(heard).toEqual([1, 2, 3, 4].map((done) => ["judge", done, 4]));
    await vi.advanceTimersByTimeAsync(99);
    expect(answer.end).toBe("pending");
    await vi.advanceTimersByTimeAsync(1);
    expect(answer.end).toBeInstanceOf(Error);
  });

  it("is lost at once when the model cannot send", async () => {
    vi.spyOn(model, "send").mockImplementation(() => {
      throw new Error("no comm");
    });
    const answer = watched(session.request(tiles()));
    await settle();
    expect(answer.end).toEqual(new Error(LOST_MESSAGE));
    expect(session.isConnected).toBe(false);
  });
});

describe("traits", () => {
  it("are saved at once, or once after the last of many changes", async () => {
    session.set("current", "a.jpg");
    expect([model.get("current"), model.nSaves]).toEqual(["a.jpg", 1]);
    for (const opacity of [0.1, 0.2, 0.3]) {
      session.set("mask_opacity", opacity, "soon");
      await vi.advanceTimersByTimeAsync(SOON_MS - 1);
    }
    expect([model.get("mask_opacity"), model.nSaves]).toEqual([0.3, 1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(model.nSaves).toBe(2);
  });

  it("that wait go with the next one that does not", async () => {
    session.set("mask_opacity", 0.2, "soon");
    session.set("current", "b.jpg");
    await vi.advanceTimersByTimeAsync(SOON_MS * 2);
    expect(model.nSaves).toBe(1);
  });

  it("call listeners until these are taken away", () => {
    const heard: string[] = [];
    const off = session.on("current", () => heard.push(session.get("current")));
    model.set("current", "a.jpg");
    off();
    model.set("current", "b.jpg");
    expect(heard).toEqual(["a.jpg"]);
  });
});

describe("the table", () => {
  const nextResult = () =>
    new Promise<void>((resolve) => {
      const off = session.on("result", () => {
        off();
        resolve();
      });
    });

  it("is null at first and announced when it is read", async () => {
    expect(session.result).toBeNull();
    const read = nextResult();
    model.set("_table", await deflated(tableOf("r1")));
    await read;
    expect(session.result).toEqual(tableOf("r1"));
  });

  it("is the newest, even if an older one is ready later", async () => {
    const [large, small] = [
      await deflated(
        tableOf(
          "old",
          Array.from({ length: 60_000 }, (_, i) => `${i}.jpg`),
        ),
      ),
      await deflated(tableOf("new")),
    ];
    let n = 0;
    session.on("result", () => {
      n += 1;
    });
    model.set("_table", large);
    const read = nextResult();
    model.set("_table", small);
    await read;
    expect(session.result?.id).toBe("new");
    // The large one would be ready by now: reading it again takes longer than it had left.
    await new ModelReader(large).read();
    expect([session.result?.id, n]).toEqual(["new", 1]);
  });

  it("ends requests of the one before, but not a search", async () => {
    let read = nextResult();
    model.set("_table", await deflated(tableOf("r1")));
    await read;
    const [old, asked] = [watched(session.request(tiles("r1"))), watched(session.request(search))];
    const early = watched(session.request(tiles("r2")));
    read = nextResult();
    model.set("_table", await deflated(tableOf("r2")));
    await read;
    await settle();
    expect(old.end).toMatchObject({ name: "AbortError" });
    expect(model.sent.at(-1)).toEqual({ kind: "cancel", id: model.id(0) });
    expect([asked.end, early.end]).toEqual(["pending", "pending"]);
  });

  it("that cannot be read is said to be so, and forgotten with the next", async () => {
    let read = nextResult();
    model.set("_table", new DataView(new Uint8Array([1, 2, 3]).buffer));
    await read;
    expect(session.problem).toContain("The result cannot be shown");
    expect(session.result).toBeNull();
    read = nextResult();
    model.set("_table", await deflated(tableOf("r1")));
    await read;
    expect([session.problem, session.result?.id]).toEqual(["", "r1"]);
  });

  it("coming from the kernel is a sign of life", async () => {
    watched(session.request(search, { timeout: 50 }));
    await vi.advanceTimersByTimeAsync(50);
    expect(session.isConnected).toBe(false);
    model.set("_table", await deflated(tableOf("r1")));
    expect(session.isConnected).toBe(true);
  });
});

describe("destroy", () => {
  it("saves what waits, takes requests back and hears nothing any more", async () => {
    const heard: string[] = [];
    session.on("current", () => heard.push("current"));
    session.on("result", () => heard.push("result"));
    const answer = watched(session.request(tiles()));
    session.set("mask_opacity", 0.7, "soon");
    session.destroy();
    await settle();
    expect(model.nSaves).toBe(1);
    expect(answer.end).toMatchObject({ name: "AbortError" });
    expect(model.sent.at(-1)?.kind).toBe("cancel");
    expect(model.nListeners).toBe(0);
    model.set("current", "a.jpg");
    session.destroy();
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS * 2);
    expect([heard, model.nSaves, model.sent.length]).toEqual([[], 1, 2]);
  });

  it("drops a table that is ready later", async () => {
    model.set("_table", await deflated(tableOf("r1")));
    session.destroy();
    await new ModelReader(await deflated(tableOf("r1"))).read();
    expect(session.result).toBeNull();
  });
});

/** Reads a table beside the session, to wait as long as reading takes. */
class ModelReader {
  readonly session: ModelSession;
  constructor(bytes: DataView) {
    this.session = new ModelSession(new FakeModel({ _table: bytes }));
  }
  async read(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.session.on("result", resolve);
    });
    this.session.destroy();
  }
}
