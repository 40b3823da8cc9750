import { expect, test } from "vitest";
import type { ResultTable } from "../src/protocol";
import { judgeLabel, K, N_JUDGED, readNumber } from "../src/search/fields";
import { START, step, unique } from "../src/search/history";
import { cutShort, outcome, stepsOf } from "../src/search/progress";

const HISTORY = ["newest", "older", "newest", "oldest"].map((query) => ({
  query,
  n_hits: 1,
  seconds: 1,
}));

test("earlier queries are listed once, newest first", () => {
  expect(unique(HISTORY)).toEqual(["newest", "older", "oldest"]);
});

test("the arrows walk from an empty field to the oldest query and back", () => {
  const texts = [""];
  let walk = START;
  for (const by of [1, 1, 1, 1, -1, -1, -1, -1] as const) {
    const next = step(HISTORY, walk, texts.at(-1) ?? "", by);
    if (!next) continue;
    walk = next.walk;
    texts.push(next.text);
  }
  expect(texts).toEqual(["", "newest", "older", "oldest", "older", "newest", ""]);
});

test("words in the field are never lost to an arrow key", () => {
  expect(step(HISTORY, START, "my own words", 1)).toBeNull();
  expect(step(HISTORY, { at: 0, draft: "" }, "newest, but edited", 1)).toBeNull();
  expect(step([], START, "", 1)).toBeNull();
  expect(step(HISTORY, START, "", -1)).toBeNull();
});

test("steps before the one at work are done, those after it wait", () => {
  const steps = stepsOf({ stage: "judge", done: 120, total: 400 }, true);
  expect(steps.map((s) => s.text)).toEqual(["open ✓", "retrieve ✓", "judge 120/400", "align"]);
  expect(steps.map((s) => s.done)).toEqual([1, 1, 0.3, 0]);
});

test("a step of unknown length has no share; before the first word all wait", () => {
  expect(stepsOf({ stage: "open", done: 0, total: 0 }, true)[0]).toEqual({
    name: "open",
    done: null,
    text: "open …",
  });
  expect(stepsOf(null, true).every((s) => s.done === 0)).toBe(true);
});

test("stage 1 alone has no judge step", () => {
  const steps = stepsOf({ stage: "retrieve", done: 0, total: 1 }, false);
  expect(steps.map((s) => s.text)).toEqual(["open ✓", "retrieve", "align"]);
});

test("more done than announced is not more than everything", () => {
  expect(stepsOf({ stage: "judge", done: 9, total: 8 }, true)[2]?.done).toBe(1);
});

const table = (n: number, notices: string[]) =>
  ({ notices, columns: { image_id: Array(n).fill("a.jpg") } }) as unknown as ResultTable;

test("the outcome counts the hits and says what a cancelled search left out", () => {
  expect(outcome(table(24, ["embedded models"]), 1.24)).toBe("24 hits in 1.24 s");
  const cut = table(1, ["cancelled: 120 of 400 candidates were judged"]);
  expect(cutShort(cut)).toBe("cancelled: 120 of 400 candidates were judged");
  expect(outcome(cut, 1.24)).toBe("1 hit so far; cancelled: 120 of 400 candidates were judged");
});

test.each([
  ["24", K, 24],
  [" 1000 ", K, 1000],
  ["", N_JUDGED, null],
  ["40", N_JUDGED, 40],
])("%j is read as a number", (text, limits, value) => {
  expect(readNumber(text, limits)).toBe(value);
});

test.each([
  ["0", K, "hits (k) = 0 is not allowed: give a whole number from 1 to 10000"],
  ["10001", K, "hits (k) = 10001 is not allowed"],
  ["2.5", K, "hits (k) = 2.5 is not allowed"],
  ["1e2", K, "hits (k) = 1e2 is not allowed"],
  ["", K, "hits (k) is empty: give a whole number"],
  ["-3", N_JUDGED, "judged = -3 is not allowed: give a whole number from 0 to 10000, or nothing"],
])("%j is refused with words", (text, limits, message) => {
  const value = readNumber(text, limits);
  expect(value).toBeInstanceOf(Error);
  expect((value as Error).message).toContain(message);
});

test("the judge that is none says what that means", () => {
  expect(judgeLabel("none")).toBe("none (stage 1 only)");
  expect(judgeLabel("structured")).toBe("structured");
});
