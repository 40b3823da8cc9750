import { expect, it } from "vitest";
import { barsOf } from "../src/grid/bars";
import { scoreAt } from "../src/grid/toolbar";
import {
  aboveCut,
  countsText,
  isUnjudged,
  neighbours,
  positionsOf,
  rowsOf,
  shownRows,
} from "../src/order";
import { PageSession } from "../src/page_session";
import type { Columns } from "../src/protocol";
import { badgeOf, copiesOf, fileName, labelOf, moveOf, splitName } from "../src/words";
import { tableOf } from "./support";

const columns: Columns = {
  image_id: ["a/one.png", "two.png", "three.png", "four.png"],
  final_score: [3, 1.5, 1.5, -2],
  stage1_rank: [7, 1, 12, 2],
  stage1_score: [0.2, 0.3, 0.1, 0.25],
  best_region_score: [0.2, null, 0.1, 0.2],
  whole_image_score: [0.1, 0.1, 0.1, 0.1],
  judge_rank: [1, null, 2, 3],
  p_relevant: [0.9, null, 0.5, 0.1],
  align_iou: [null, null, null, null],
  has_mask: [1, 0, 1, 0],
  abstained: [0, 0, 0, 1],
  above_cut: [1, 1, 0, 0],
  null_percentile: [99, 97, null, 3],
  width: [4, 4, 4, 4],
  height: [3, 3, 3, 3],
};
const all = { order: "final", minScore: null, hideAbstained: false, onlyAboveCut: false } as const;

it("orders by rank or by stage-1 rank", () => {
  expect(shownRows(columns, all)).toEqual([0, 1, 2, 3]);
  expect(shownRows(columns, { ...all, order: "stage1" })).toEqual([1, 3, 0, 2]);
});
it("hides lower scores and what the judge did not find", () => {
  expect(shownRows(columns, { ...all, minScore: 1.5 })).toEqual([0, 1, 2]);
  expect(shownRows(columns, { ...all, hideAbstained: true })).toEqual([0, 1, 2]);
  expect(shownRows(columns, { ...all, minScore: 1.50049 })).toEqual([0, 1, 2]); // as rounded
  expect(shownRows(columns, { ...all, minScore: 9 })).toEqual([]);
  const both = { ...all, order: "stage1", minScore: 0, hideAbstained: true } as const;
  expect(shownRows(columns, both)).toEqual([1, 0, 2]);
});
it("hides what the cut does not keep; without a cut nothing", () => {
  const only = { ...all, onlyAboveCut: true };
  expect(shownRows(columns, only)).toEqual([0, 1]);
  expect(shownRows({ ...columns, above_cut: [null, null, null, null] }, only)).toHaveLength(4);
  expect(aboveCut(columns)).toBe(2);
  expect(aboveCut({ ...columns, above_cut: [0, 0, 0, 0] })).toBe(0);
  expect(aboveCut({ ...columns, above_cut: [null, null, null, null] })).toBeNull();
  expect(aboveCut({ ...columns, above_cut: [] })).toBeNull();
});
it("knows what the judge has not seen, where there is a judge", () => {
  expect([0, 1, 2, 3].map((row) => isUnjudged(columns, row))).toEqual([false, true, false, false]);
  const stage1 = { ...columns, judge_rank: [null, null, null, null] };
  expect(isUnjudged(stage1, 1)).toBe(false);
});
it("tells where a score stands among unrelated phrases", () => {
  const [stage1] = barsOf(columns);
  expect(stage1?.note?.(1)).toBe("; higher than 97 % of unrelated phrases in this image");
  expect(stage1?.note?.(0)).toBe("; higher than 99 % of unrelated phrases in this image");
  expect(stage1?.note?.(2)).toBe("");
});
it("finds positions; hidden rows have none", () => {
  expect([...positionsOf([2, 0], 4)]).toEqual([1, -1, 0, -1]);
});
it("gives the rows on both sides, null at the ends", () => {
  expect(neighbours([1, 3, 2, 0], 3)).toEqual([1, 2]);
  expect(neighbours([1, 3], 1)).toEqual([null, 3]);
  expect(neighbours([1, 3], 3)).toEqual([1, null]);
});
it("leads a hidden row back to the first shown one", () => {
  expect(neighbours([1, 3], 0)).toEqual([null, 1]);
  expect(neighbours([], 0)).toEqual([null, null]);
});
it("follows the traits of a session", () => {
  const table = { ...tableOf("r1"), columns };
  const session = new PageSession({ table, traits: {}, tiles: [], details: [], words: [] });
  expect(rowsOf(session)).toEqual([0, 1, 2, 3]);
  session.set("order", "stage1");
  session.set("min_score", 1.5);
  expect(rowsOf(session)).toEqual([1, 0, 2]);
});
it("never hides the best hit by the slider's right end", () => {
  const range = { low: -2.1, high: 3.3 };
  expect(range.low + (range.high - range.low)).toBeGreaterThan(range.high);
  expect(scoreAt(1, range)).toBe(3.3);
  expect(scoreAt(0.5, { low: 1, high: 2 })).toBe(1.5);
  expect(scoreAt(0, range)).toBeNull();
});
it("counts in words", () => {
  expect(countsText(0, 23, 688, 312)).toBe("showing 1–24 of 688 hits · 312 hidden by filters");
  expect(countsText(0, 0, 1, 0)).toBe("showing 1–1 of 1 hit");
  expect(countsText(0, -1, 0, 1000)).toBe("showing no hits · 1,000 hidden by filters");
});
it("has bars for the stages that found something", () => {
  expect(barsOf(columns).map(({ name }) => name)).toEqual(["stage 1", "p"]);
  const [stage1] = barsOf(columns);
  expect(stage1?.range.high).toBe(0.3);
  expect(stage1?.range.low).toBeCloseTo(0.09);
  expect(barsOf({ ...columns, stage1_score: [] })).toEqual([]);
});
it("names the file and splits it for shortening", () => {
  expect(fileName("a/b/one.png")).toBe("one.png");
  expect(fileName("a/")).toBe("a/");
  expect(splitName("holiday-000123.jpeg")).toEqual(["holiday-00", "0123.jpeg"]);
  expect(splitName("ab.c").join("")).toBe("ab.c");
  expect(splitName("")).toEqual(["", ""]);
  expect(splitName("😀😀😀😀", 2)).toEqual(["😀😀", "😀😀"]);
});
it("says how far a hit moved, in signs and words", () => {
  expect(moveOf(7, 1)).toEqual({
    direction: "up",
    way: "7 → 1",
    change: "▲6",
    said: "up 6, from stage-1 rank 7 to rank 1",
  });
  expect(moveOf(1, 4)).toMatchObject({ direction: "down", change: "▼3" });
  expect(moveOf(2, 2)).toMatchObject({ direction: "same", change: "=" });
});
it("labels tiles for screen readers", () => {
  expect(labelOf(columns, 0, "relevant")).toBe(
    "rank 1, score 3.000, one.png, stage-1 rank 7, above the cut, marked relevant",
  );
  expect(labelOf(columns, 1, null)).toBe(
    "rank 2, score 1.500, two.png, stage-1 rank 1, above the cut, not judged, no mask",
  );
  expect(labelOf(columns, 3, null)).toBe(
    "rank 4, score −2.000, four.png, stage-1 rank 2, not here",
  );
});
it("names other files of the same bytes", () => {
  const some = { ...columns, copies: { 1: ["b.png", "c/d.png"] } };
  expect([0, 1].map((row) => copiesOf(some, row))).toEqual(["", "also as: b.png, c/d.png"]);
  expect(copiesOf(columns, 1)).toBe("");
  expect(labelOf(some, 1, null)).toContain("two.png, also as: b.png, c/d.png, stage-1 rank 1");
});
it("tells an abstention from a missing mask", () => {
  expect([0, 1, 2, 3].map((row) => badgeOf(columns, row))).toEqual(["", "no mask", "", "not here"]);
});
