/** Terms of a score: bars that meet, an axis that holds them, numbers that add up as shown. */

import { describe, expect, it } from "vitest";
import { digitsFor, waterfall } from "../src/inspector/waterfall";

describe("waterfall", () => {
  it("stacks terms, each from where the last one ended", () => {
    const { bars, total, zero, rest } = waterfall([3, 1], 4);
    expect(bars).toEqual([
      { from: 0, to: 0.75 },
      { from: 0.75, to: 1 },
    ]);
    expect([total, zero, rest]).toEqual([{ from: 0, to: 1 }, 0, 0]);
  });

  it("puts 0 inside the axis when a partial sum is negative", () => {
    const { bars, total, zero } = waterfall([2, -6, 5], 1);
    expect(zero).toBeCloseTo(4 / 6);
    expect(bars.map((bar) => bar.to)).toEqual([1, 0, 5 / 6]);
    expect(total).toEqual({ from: zero, to: 5 / 6 });
  });

  it("names what the terms do not explain, but not float32 rounding", () => {
    expect(waterfall([1, 1], 2.5).rest).toBe(0.5);
    expect(waterfall([0.1, 0.2], Math.fround(0.3)).rest).toBe(0);
  });

  it("has an axis for nothing but zeros", () => {
    expect(waterfall([0], 0)).toMatchObject({ bars: [{ from: 0, to: 0 }], zero: 0 });
    expect(waterfall([], 0).bars).toEqual([]);
  });
});

describe("digitsFor", () => {
  it("takes 3 decimals when those add up", () => {
    expect(digitsFor([0.25, 0.125], 0.375)).toBe(3);
  });

  it("takes more when 3 would not: 0.371 + 0.041 is not 0.413", () => {
    expect(digitsFor([0.3714, 0.0414], 0.4128)).toBe(4);
  });

  it("stays at 3 when nothing adds up", () => {
    expect(digitsFor([1, 1], 3)).toBe(3);
  });
});
