import { beforeEach, describe, expect, it } from "vitest";
import { type PageData, PageSession, type PageTile } from "../src/page_session";
import type {
  ImageReply,
  InspectReply,
  LedgerEntry,
  Rle,
  TilesReply,
  WhyReply,
  WordsReply,
} from "../src/protocol";
import { tableOf } from "./support";

const mask: Rle = { size: [2, 3], counts: "132" };
const tile: PageTile = {
  row: 0,
  jpeg: btoa("\xff\xd8picture"),
  width: 3,
  height: 2,
  error: null,
  mask,
  judged_box: [0, 0, 0.5, 1],
  regions: [mask],
  region_scores: [0.4],
};
const broken: PageTile = { ...tile, row: 1, jpeg: null, error: "no file" };
const words: WordsReply = {
  row: 0,
  words: ["a", "dog"],
  phrases: [],
  base: [0.4],
  by_word: [[0], [0.3]],
  word_alone: [[0], [0.2]],
  phrase_alone: [],
  by_phrase: [],
};
const detail = (row: number, image_id: string, final_score: number): InspectReply => {
  const entry: LedgerEntry = {
    stage: "retrieve",
    name: "whole image",
    value: 0.5,
    formula: "",
    contribution: final_score,
  };
  return { row, image_id, final_score, ledger: [entry] } as InspectReply;
};
const data = (): PageData => ({
  table: tableOf("r", ["a.jpg", "b.jpg", "c.jpg"]),
  traits: { tile_px: 160, _kind: "grid" },
  tiles: [tile, broken],
  details: [detail(0, "a.jpg", 2.5), detail(1, "b.jpg", 1)],
  words: [words],
});
const ask = { result: "r", side: 200 };

let session: PageSession;
beforeEach(() => {
  session = new PageSession(data());
});

describe("traits", () => {
  it("start from the page's, the rest as in Python", () => {
    expect([session.get("tile_px"), session.get("mask_mode")]).toEqual([160, "best"]);
  });
  it("tell of changes, and of nothing else", () => {
    let n = 0;
    const off = session.on("marks", () => {
      n += 1;
    });
    session.set("marks", { "a.jpg": "relevant" });
    session.set("marks", { "a.jpg": "relevant" });
    session.set("current", "a.jpg");
    expect([session.get("marks"), n]).toEqual([{ "a.jpg": "relevant" }, 1]);
    off();
    session.set("marks", {});
    expect(n).toBe(1);
  });
  it("are not shared between pages", () => {
    session.get("selection").push("a.jpg");
    expect(new PageSession(data()).get("selection")).toEqual([]);
  });
});

describe("requests", () => {
  it("get tiles with pictures as buffers", async () => {
    const { body, buffers } = await session.request<TilesReply>({
      ...ask,
      kind: "tiles",
      rows: [1, 0],
      regions: false,
    });
    expect(body.tiles.map(({ row, buffer, error }) => [row, buffer, error])).toEqual([
      [1, null, "no file"],
      [0, 0, null],
    ]);
    expect(body.tiles[1]).not.toHaveProperty("jpeg");
    expect(body.tiles[1]).toMatchObject({ mask, judged_box: [0, 0, 0.5, 1], regions: null });
    expect([buffers.length, buffers[0]?.byteLength, buffers[0]?.getUint16(0)]).toEqual([
      1, 9, 0xffd8,
    ]);
  });
  it("get regions only when asked for", async () => {
    const { body } = await session.request<TilesReply>({
      ...ask,
      kind: "tiles",
      rows: [0],
      regions: true,
    });
    expect(body.tiles[0]?.regions).toEqual([mask]);
  });
  it("get an error tile for a row that is not in the page", async () => {
    const { body } = await session.request<TilesReply>({
      ...ask,
      kind: "tiles",
      rows: [2],
      regions: false,
    });
    expect(body.tiles[0]).toMatchObject({ row: 2, buffer: null });
    expect(body.tiles[0]?.error).toContain("open the result in a notebook");
  });
  it("get the picture and the details of a hit", async () => {
    const image = await session.request<ImageReply>({ ...ask, kind: "image", row: 0 });
    expect(image.body).toEqual({ row: 0, buffer: 0, width: 3, height: 2, error: null });
    expect(image.buffers.length).toBe(1);
    const detail = await session.request<InspectReply>({ ...ask, kind: "inspect", row: 0 });
    expect(detail.body.image_id).toBe("a.jpg");
  });
  it("get what words add, where the page holds it", async () => {
    const reply = await session.request<WordsReply>({ kind: "words", result: "r", row: 0 });
    expect(reply.body).toEqual(words);
    const missing = session.request({ kind: "words", result: "r", row: 1 });
    await expect(missing).rejects.toThrow("open the result in a notebook");
  });
  it("get two ledgers compared, for the page holds both", async () => {
    const ask = { kind: "why", result: "r", row: 0 } as const;
    const { body } = await session.request<WhyReply>({ ...ask, other: 1 });
    expect([body.other, body.difference]).toEqual([1, 1.5]);
    expect(body.entries.map(({ contribution }) => contribution)).toEqual([1.5]);
    await expect(session.request({ ...ask, other: 2 })).rejects.toThrow("does not hold it");
  });
  it("cannot ask a judge, and say so", async () => {
    const asked = session.request({ kind: "occlude", result: "r", row: 0, region: 0 });
    await expect(asked).rejects.toThrow("Only a notebook can ask again without a region");
  });
  it("fail in words for what only a kernel can do", async () => {
    const inspect = session.request({ ...ask, kind: "inspect", row: 2 });
    await expect(inspect).rejects.toThrow("open the result in a notebook");
    const search = session.request({
      kind: "search",
      query: "a",
      index: "",
      judge: "",
      k: 1,
      n_judged: null,
    });
    await expect(search).rejects.toThrow("open the result in a notebook");
  });
  it("can be aborted", async () => {
    const answer = session.request(
      { ...ask, kind: "image", row: 0 },
      { signal: AbortSignal.abort() },
    );
    await expect(answer).rejects.toMatchObject({ name: "AbortError" });
  });
});
