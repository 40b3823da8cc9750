import { expect, test } from "vitest";
import { gainText, hasJudge, linesOf, movers, ranksText, stopsOf } from "../src/flow/ranks";
import type { ResultTable } from "../src/protocol";

function table(stage1: number[], judge: (number | null)[], n_judged: number | null): ResultTable {
  const nothing = stage1.map(() => null);
  const zeros = stage1.map(() => 0);
  return {
    version: 1,
    id: "r1",
    query: "a red circle",
    n_images: 1000,
    n_judged,
    notices: [],
    models: {},
    seconds: {},
    columns: {
      image_id: stage1.map((_, i) => `${"abcdefgh"[i]}.jpg`),
      final_score: zeros,
      stage1_rank: stage1,
      stage1_score: zeros,
      best_region_score: nothing,
      whole_image_score: zeros,
      judge_rank: judge,
      p_relevant: nothing,
      align_iou: nothing,
      has_mask: stage1.map((): 0 => 0),
      abstained: stage1.map((): 0 => 0),
      above_cut: nothing,
      null_percentile: nothing,
      width: zeros,
      height: zeros,
    },
    rest: {},
    has_pictures: false,
  };
}

test("a result with a judge has three stops, each with its number of images", () => {
  const result = table([7, 1], [1, null], 400);
  expect(stopsOf(result)).toEqual([
    { label: "stage 1", note: "1,000 images" },
    { label: "judge", note: "400 judged" },
    { label: "final", note: "2 hits" },
  ]);
  expect(linesOf(result).map((line) => [line.ranks, line.gain])).toEqual([
    [[7, 1, 1], 6],
    [[1, null, 2], -1],
  ]);
});

test("without a judge there is no judge stop", () => {
  const result = table([1, 2], [null, null], null);
  expect(hasJudge(result)).toBe(false);
  expect(stopsOf(result).map((stop) => stop.label)).toEqual(["stage 1", "final"]);
  expect(linesOf(result)[1]?.ranks).toEqual([2, 2]);
});

test("ranks of a judge show even where the number of judged images is not known", () => {
  expect(stopsOf(table([1], [1], null))[1]).toEqual({ label: "judge", note: "" });
});

test("the largest movers are those with the largest ratio of ranks, both ways", () => {
  // gains: row 0 7→1 (×7), row 1 4→2 (×2), row 2 300→3 (×100), row 3 1→4, row 4 2→5, row 5 6→6
  const lines = linesOf(table([7, 4, 300, 1, 2, 6], [], null));
  expect(movers(lines, 1)).toEqual([2, 3]);
  expect(movers(lines, 2)).toEqual([2, 0, 3, 4]);
  expect(movers(lines, 9)).toHaveLength(5);
});

test("a line tells its ranks in words", () => {
  const result = table([1007], [null], 5);
  const [line] = linesOf(result);
  expect(line && ranksText(line, stopsOf(result))).toBe("stage 1 #1,007 → not judged → final #1");
});

test.each([
  [6, "▲ 6"],
  [-1200, "▼ 1,200"],
  [0, "="],
])("a gain of %i is written %s", (gain, text) => {
  expect(gainText(gain)).toBe(text);
});
