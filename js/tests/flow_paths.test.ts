import { expect, test } from "vitest";
import { curve, nearest, type Point, shorten, spaced, yAt } from "../src/flow/paths";

const UP: Point[] = [
  [0, 100],
  [90, 10],
  [180, 10],
];
const FLAT: Point[] = [
  [0, 50],
  [90, 50],
  [180, 50],
];

test("a curve starts level and has its control points at thirds", () => {
  expect(curve(UP)).toBe("M0 100C30 100 60 10 90 10C120 10 150 10 180 10");
});

test("the height of a curve is that of the drawn cubic", () => {
  expect(yAt(UP, 0)).toBe(100);
  expect(yAt(UP, 90)).toBe(10);
  expect(yAt(UP, 45)).toBe(55);
  // Bézier at t = 1/3 with heights 100, 100, 10, 10: 100 · 20/27 + 10 · 7/27
  expect(yAt(UP, 30)).toBeCloseTo((100 * 20 + 10 * 7) / 27);
  expect([yAt(UP, -20), yAt(UP, 999)]).toEqual([100, 10]);
});

test("the nearest curve is found where the pointer is", () => {
  expect(nearest([UP, FLAT], 0, 60, 20)).toBe(1);
  expect(nearest([UP, FLAT], 150, 12, 20)).toBe(0);
  expect(nearest([UP, FLAT], 150, 90, 20)).toBe(-1);
  expect(nearest([], 0, 0, 20)).toBe(-1);
});

test("labels that would touch a more important one are left out", () => {
  expect(spaced([5, 0, 1, 9], (row) => row * 10, 15)).toEqual([5, 0, 9]);
});

test("a long name keeps its end", () => {
  expect(shorten("folder/scene_0001.png", 12)).toBe("…ne_0001.png");
  expect(shorten("a.jpg", 12)).toBe("a.jpg");
  expect([...shorten("😀😀😀😀", 3)]).toEqual(["…", "😀", "😀"]);
});
