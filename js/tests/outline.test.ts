/** The border path of a mask, filled by the even-odd rule, is that mask again. */

import { describe, expect, it } from "vitest";
import { calm, type Loop, loopsOf, pathOf, smoothed } from "../src/outline";

/** Column-major runs of rows of "." and "#". */
function runsOf(rows: string[]): number[] {
  const [height, width] = [rows.length, rows[0]?.length ?? 0];
  const runs = [0];
  let value = ".";
  for (let i = 0; i < height * width; i++) {
    const pixel = rows[i % height]?.[Math.floor(i / height)] ?? ".";
    if (pixel !== value) runs.push(0);
    value = pixel;
    runs[runs.length - 1] = (runs[runs.length - 1] as number) + 1;
  }
  return runs;
}

const outline = (runs: number[], height: number): string => pathOf(loopsOf(runs, height));

/** Corners of each loop of a path; fails on anything but M and Z. */
function corners(d: string): [number, number][][] {
  expect(d).toMatch(/^(M\d+ \d+( \d+ \d+)*Z)*$/);
  return [...d.matchAll(/M([\d ]+)Z/g)].map(([, text]) => {
    const pairs = (text as string).matchAll(/(\d+) (\d+)/g);
    return [...pairs].map(([, x, y]) => [Number(x), Number(y)]);
  });
}

/** Upright edges of a path as [x, y0, y1]; fails on slanting edges. */
function uprightEdges(d: string): [number, number, number][] {
  return corners(d).flatMap((loop) =>
    loop.flatMap(([x, y], i): [number, number, number][] => {
      const [nextX, nextY] = loop[(i + 1) % loop.length] as [number, number];
      expect(x === nextX || y === nextY).toBe(true);
      return x === nextX ? [[x, Math.min(y, nextY), Math.max(y, nextY)]] : [];
    }),
  );
}

/** Even-odd filling, by counting upright edges to the left of each pixel's centre. */
function fill(d: string, height: number, width: number): string[] {
  const edges = uprightEdges(d);
  const isIn = (x: number, y: number): boolean =>
    edges.filter(([at, y0, y1]) => at <= x && y0 <= y && y < y1).length % 2 === 1;
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => (isIn(x, y) ? "#" : ".")).join(""),
  );
}

describe("outline", () => {
  it("is empty for an empty mask", () => {
    expect(outline([12], 3)).toBe("");
  });

  it("goes once around a full mask", () => {
    expect(outline([0, 12], 3)).toBe("M0 0 0 3 4 3 4 0Z");
  });

  it("joins a straight border into one edge", () => {
    expect(outline(runsOf(["....", ".##.", ".##.", "...."]), 4)).toBe("M1 1 1 3 3 3 3 1Z");
  });

  it("makes a second loop for a hole", () => {
    const d = outline(runsOf(["###", "#.#", "###"]), 3);
    expect(d).toBe("M0 0 0 3 3 3 3 0ZM1 1 1 2 2 2 2 1Z");
  });

  it("copes with runs of length 0 in the middle", () => {
    expect(fill(outline([1, 1, 0, 2, 2], 3), 3, 2)).toEqual([".#", "#.", "#."]);
  });

  it.each([
    ["parts that touch at a point", ["#.", ".#"]],
    ["a checkerboard", ["#.#.", ".#.#", "#.#."]],
    ["columns apart", ["#..#", "#..#"]],
    ["steps and a bay", ["..##", ".###", "#.##", "####"]],
  ])("fills back to %s", (_, rows) => {
    expect(fill(outline(runsOf(rows), rows.length), rows.length, rows[0]?.length ?? 0)).toEqual(
      rows,
    );
  });

  it("fills back to random masks of any density", () => {
    let seed = 7;
    const random = (): number => {
      seed = (seed * 48271) % 2147483647;
      return seed / 2147483647;
    };
    for (let round = 0; round < 200; round++) {
      const [height, width] = [1 + Math.floor(random() * 9), 1 + Math.floor(random() * 9)];
      const density = random();
      const rows = Array.from({ length: height }, () =>
        Array.from({ length: width }, () => (random() < density ? "#" : ".")).join(""),
      );
      expect(fill(outline(runsOf(rows), height), height, width)).toEqual(rows);
    }
  });
});

describe("pathOf with a tolerance", () => {
  const stairs = Array.from({ length: 40 }, (_, y) => ".".repeat(39 - y) + "#".repeat(y + 1));
  const loops = loopsOf(runsOf(stairs), 40);

  it("draws stairs as a slope, with corners of the border only", () => {
    const [exact, thin] = [corners(pathOf(loops)), corners(pathOf(loops, 4))];
    expect(thin[0]?.length).toBeLessThan((exact[0]?.length ?? 0) / 3);
    expect(exact[0]).toEqual(expect.arrayContaining(thin[0] ?? []));
  });

  it("leaves no corner farther than the tolerance from one that is drawn", () => {
    const thin = corners(pathOf(loops, 4))[0] ?? [];
    for (const [x, y] of corners(pathOf(loops))[0] ?? []) {
      expect(Math.min(...thin.map(([a, b]) => Math.hypot(x - a, y - b)))).toBeLessThan(4);
    }
  });

  it("keeps a loop that is smaller than the tolerance", () => {
    expect(pathOf([[1, 1, 1, 2, 2, 2, 2, 1]], 9)).toBe("M1 1 1 2 2 2 2 1Z");
  });
});

describe("smoothed", () => {
  const smooth = (...rows: string[]): Loop[] => loopsOf(runsOf(rows), rows.length).map(smoothed);
  const areaOf = (loop: Loop): number => {
    let sum = 0;
    for (let i = 0; i < loop.length; i += 2) {
      const j = (i + 2) % loop.length;
      sum += (loop[i] ?? 0) * (loop[j + 1] ?? 0) - (loop[j] ?? 0) * (loop[i + 1] ?? 0);
    }
    return Math.abs(sum / 2);
  };

  it("draws one pixel as a diamond through the middles of its edges", () => {
    expect(smooth("#")).toEqual([[0, 0.5, 0.5, 1, 1, 0.5, 0.5, 0]]);
  });

  it("draws a straight edge with two points, clear of its corners", () => {
    const [loop] = smooth("####", "####", "####");
    expect(loop).toEqual([0, 0.5, 0, 2.5, 0.5, 3, 3.5, 3, 4, 2.5, 4, 0.5, 3.5, 0, 0.5, 0]);
  });

  it("encloses the area but for the cut corners, of holes too", () => {
    expect(smooth("#####", "#...#", "#...#", "#...#", "#####").map(areaOf)).toEqual([24.5, 8.5]);
    expect(smooth("..##..", ".####.", "######", ".####.", "..##..").map(areaOf)).toEqual([17.5]);
  });
});

describe("calm", () => {
  const noisy = loopsOf(runsOf(["#.....", "......", "..####", "..#.##", "..####"]), 5);

  it("leaves out specks and pinholes, also where the mask is wide", () => {
    expect(noisy).toHaveLength(3);
    expect(calm(noisy, 3)).toEqual([noisy.find((loop) => loop.includes(6))]);
  });

  it("keeps the largest loop, however small, and all where nothing is too small", () => {
    expect(calm(noisy, 99)).toHaveLength(1);
    expect([calm(noisy, 1), calm([], 9)]).toEqual([noisy, []]);
  });
});
