import { expect, test } from "vitest";
import { endOf, FEW, layOut } from "../src/flow/layout";
import type { Line } from "../src/flow/ranks";

const STOPS = ["stage 1", "judge", "final"].map((label) => ({ label, note: "" }));

function lines(
  n: number,
  judge: (row: number) => number | null,
  stage1 = (row: number) => row + 1,
) {
  return Array.from({ length: n }, (_, row): Line => {
    const first = stage1(row);
    return { row, id: `${row}.jpg`, ranks: [first, judge(row), row + 1], gain: first - row - 1 };
  });
}

test("with few hits each line ends in a row of its own, high enough for a label", () => {
  const layout = layOut(
    lines(
      24,
      (row) => row + 1,
      (row) => 300 - row,
    ),
    STOPS,
    800,
    false,
  );
  const ends = layout.curves.map(endOf);
  expect(ends.slice(1).every((y, i) => y - (ends[i] ?? 0) >= 13)).toBe(true);
  expect(layout.curves.flat().every(([, y]) => y <= layout.bottom)).toBe(true);
  expect(layout.band).toBeNull();
});

test("what was not judged passes through a band below all ranks, each at its own height", () => {
  const layout = layOut(
    lines(6, (row) => (row < 2 ? row + 1 : null)),
    STOPS,
    800,
    false,
  );
  const [top, foot] = layout.band ?? [0, 0];
  const heights = layout.curves.map((points) => points[1]?.[1] ?? 0);
  expect(heights.slice(0, 2).every((y) => y <= layout.bottom)).toBe(true);
  expect(heights.slice(2).every((y) => y > layout.bottom && y >= top && y <= foot)).toBe(true);
  expect(new Set(heights).size).toBe(6);
  expect(foot).toBeLessThan(layout.height);
});

test("a thousand hits are no taller than forty", () => {
  const tall = layOut(
    lines(1000, (row) => row + 1),
    STOPS,
    800,
    true,
  ).height;
  expect(tall).toBeLessThanOrEqual(
    layOut(
      lines(FEW, (row) => row + 1),
      STOPS,
      800,
      false,
    ).height,
  );
});

test.each([320, 600, 1200])("stops and labels fit into %i px", (width) => {
  const layout = layOut(
    lines(24, (row) => row + 1),
    STOPS,
    width,
    false,
  );
  expect(layout.xs).toHaveLength(3);
  expect((layout.xs.at(-1) ?? 0) + layout.columns.width).toBeCloseTo(width);
  expect((layout.xs[1] ?? 0) - (layout.xs[0] ?? 0)).toBeGreaterThanOrEqual(85);
});
