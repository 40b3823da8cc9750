import { expect, test } from "vitest";
import { binned, binOf, inWords, roundTicks } from "../src/flow/histogram";

const say = (score: number) => score.toFixed(2);

test("hits go into the bins of the rest, the last bin closed", () => {
  const bins = binned({ edges: [0, 1, 2], counts: [5, 7] }, [0, 0.5, 1, 2]);
  expect(bins).toEqual({ edges: [0, 1, 2], rest: [5, 7], hits: [2, 2] });
});

test("a score that rounding put outside belongs to the end bins", () => {
  expect(binned({ edges: [0, 1, 2], counts: [5, 7] }, [-0.001, 2.001]).hits).toEqual([1, 1]);
});

test("a value on an edge belongs to the bin above, outside goes to the ends", () => {
  expect([-9, 0, 1, 1.5, 2, 9].map((v) => binOf([0, 1, 2], v))).toEqual([0, 0, 1, 1, 1, 1]);
});

test("the summary says where the hits are and how good the best other may be", () => {
  const values = [0.31, 0.58];
  const bins = binned({ edges: [0, 0.1, 0.2, 0.33, 0.6], counts: [900, 70, 6, 0] }, values);
  expect(inWords(bins, values, 978, say)).toBe(
    "2 found between 0.31 and 0.58; 976 others, the best of them at most 0.33",
  );
  const alone = binned({ edges: [0, 1], counts: [0] }, [0.5]);
  expect(inWords(alone, [0.5], null, say)).toBe("1 found between 0.50 and 0.50; no others");
  expect(inWords(alone, [0.5], 3, say)).toContain("no others; 2 images without this score");
});

test("ticks are round and within the range", () => {
  expect(roundTicks(-0.12, 0.34, 4).map((t) => Number(t.toFixed(6)))).toEqual([0, 0.2]);
  expect(roundTicks(-8, 4, 5)).toEqual([-5, 0]);
});
