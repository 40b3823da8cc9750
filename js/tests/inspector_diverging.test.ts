/** The scale of contributions: centred at 0, the same on both sides, told apart by every eye. */

import { describe, expect, it } from "vitest";
import { DIVERGING_RAMP, divergingRgb, limitOf, painted } from "../src/inspector/diverging";
import type { Rgb } from "../src/palette";

const linear = (value: number): number =>
  value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]: Rgb): number =>
  0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const steps = Array.from({ length: 41 }, (_, i) => i / 20 - 1);

/** Viénot, Brettel and Mollon 1999: what a dichromat sees of a colour, linear RGB. */
const DICHROMATS: Record<string, number[][]> = {
  protan: [
    [0.11238, 0.88762, 0],
    [0.11238, 0.88762, 0],
    [0.00401, -0.00401, 1],
  ],
  deutan: [
    [0.29275, 0.70725, 0],
    [0.29275, 0.70725, 0],
    [-0.02234, 0.02234, 1],
  ],
};

describe("divergingRgb", () => {
  it("is pale at 0, blue below and orange above", () => {
    const [low, zero, high] = [-1, 0, 1].map((value) => divergingRgb(value, 1)) as [Rgb, Rgb, Rgb];
    expect(Math.max(...zero) - Math.min(...zero)).toBeLessThan(10);
    expect(low[2]).toBeGreaterThan(low[0] + 60);
    expect(high[0]).toBeGreaterThan(high[2] + 60);
  });

  it("is centred: equal distances are about equally dark, and darker the farther", () => {
    for (const value of steps.filter((step) => step >= 0)) {
      const [down, up] = [divergingRgb(-value, 1), divergingRgb(value, 1)].map(luminance);
      expect(Math.abs((down as number) - (up as number))).toBeLessThan(0.09);
    }
    for (const sign of [-1, 1]) {
      const along = steps
        .filter((step) => step >= 0)
        .map((step) => luminance(divergingRgb(sign * step, 1)));
      for (const [i, value] of along.entries()) {
        if (i) expect(value).toBeLessThan(along[i - 1] as number);
      }
    }
  });

  it("scales by the limit and clamps beyond it; without one everything is nothing", () => {
    expect(divergingRgb(0.02, 0.04)).toEqual(divergingRgb(0.5, 1));
    expect(divergingRgb(9, 1)).toEqual(divergingRgb(1, 1));
    expect(divergingRgb(5, 0)).toEqual(divergingRgb(0, 1));
  });

  it.each(Object.entries(DICHROMATS))("keeps its sides apart for %s eyes", (_, matrix) => {
    const seen = (rgb: Rgb): number[] => {
      const light = rgb.map(linear);
      return matrix.map((row) => row.reduce((sum, k, i) => sum + k * (light[i] as number), 0));
    };
    for (const value of [0.25, 0.5, 1]) {
      const [down, up] = [seen(divergingRgb(-value, 1)), seen(divergingRgb(value, 1))];
      const yellowness = (light: number[]): number => (light[0] as number) - (light[2] as number);
      expect(yellowness(up as number[]) - yellowness(down as number[])).toBeGreaterThan(0.12);
    }
  });
});

describe("painted", () => {
  it("is dark where white is read on it, with a contrast of at least 4.5 either way", () => {
    for (const value of steps) {
      const light = luminance(divergingRgb(value, 1));
      const contrast = painted(value, 1).isDark ? 1.05 / (light + 0.05) : (light + 0.05) / 0.05;
      expect(contrast).toBeGreaterThanOrEqual(4.5);
    }
  });

  it("is as strong as the contribution is large", () => {
    expect([-1, 0, 0.5, 9].map((value) => painted(value, 1).strength)).toEqual([1, 0, 0.5, 1]);
    expect(painted(2, 0).strength).toBe(0);
    expect(painted(0.5, 1).colour).toBe(`rgb(${divergingRgb(0.5, 1).join(" ")})`);
  });
});

describe("limitOf", () => {
  it("is the largest distance from 0, over all rows", () => {
    expect(limitOf([[0.1, -0.4], [0.3]])).toBe(0.4);
    expect([limitOf([]), limitOf([[]])]).toEqual([0, 0]);
  });
});

it("shows the whole scale as a gradient", () => {
  expect(DIVERGING_RAMP.match(/rgb/g)?.length).toBe(7);
  expect(DIVERGING_RAMP).toContain(painted(0, 1).colour);
});
