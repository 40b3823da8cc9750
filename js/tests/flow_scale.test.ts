import { expect, test } from "vitest";
import { niceStep, rankScale, thin } from "../src/flow/scale";

test("a scale over the hits alone is linear from 0 to 1", () => {
  const scale = rankScale(5, 5, false);
  expect(scale.kind).toBe("linear");
  expect([1, 2, 3, 4, 5].map(scale.y)).toEqual([0, 0.25, 0.5, 0.75, 1]);
});

test("ranks beyond the hits go into a log tail after a gap of one row", () => {
  const scale = rankScale(24, 300, false);
  expect(scale.kind).toBe("broken");
  const row = scale.y(2) - scale.y(1);
  expect(scale.y(24)).toBeCloseTo(23 * row);
  expect(scale.y(25)).toBeGreaterThan(24 * row);
  expect(scale.y(300)).toBeCloseTo(1);
  // log: the same ratio takes the same room
  expect(scale.y(60) - scale.y(30)).toBeCloseTo(scale.y(240) - scale.y(120));
});

test("a log scale gives each doubling the same room", () => {
  const scale = rankScale(1000, 1000, true);
  expect(scale.y(1)).toBe(0);
  expect(scale.y(1000)).toBe(1);
  expect(scale.y(2) - scale.y(1)).toBeCloseTo(scale.y(800) - scale.y(400));
});

test.each([
  [1, 1, false],
  [1, 1, true],
  [1, 300, false],
  [2, 2, false],
  [1000, 4000, true],
])("every position is a number from 0 to 1 that grows (%i hits, last rank %i)", (n, last, log) => {
  const scale = rankScale(n, last, log);
  const places = scale.ticks.map(scale.y);
  expect(places.every((y) => y >= 0 && y <= 1 + 1e-9)).toBe(true);
  expect(places).toEqual([...places].sort((a, b) => a - b));
});

test("ticks name the first and the last rank and stay apart", () => {
  const scale = rankScale(24, 300, false);
  const ticks = thin(scale.ticks, (tick) => scale.y(tick) * 400, 12);
  expect(ticks[0]).toBe(1);
  expect(ticks.at(-1)).toBe(300);
  const places = ticks.map((tick) => scale.y(tick) * 400);
  expect(places.slice(1).every((y, i) => y - (places[i] ?? 0) >= 12)).toBe(true);
});

test.each([
  [0.3, 0.5],
  [1, 1],
  [3, 5],
  [5.1, 10],
  [120, 200],
])("the nice step for %f is %f", (step, nice) => {
  expect(niceStep(step)).toBeCloseTo(nice);
});
