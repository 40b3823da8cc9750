import { expect, it } from "vitest";
import {
  lineColours,
  position,
  RAMP,
  type Rgb,
  rangeOf,
  scoreColour,
  scoreRgb,
} from "../src/palette";

/** Relative luminance (WCAG 2). */
function luminance([r, g, b]: Rgb): number {
  const [x, y, z] = [r, g, b].map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as Rgb;
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}

it("runs from dark blue to yellow and stays in range", () => {
  expect(scoreRgb(0)).toEqual([0x00, 0x20, 0x4d]);
  expect(scoreRgb(1)).toEqual([0xff, 0xe9, 0x45]);
  expect(scoreRgb(-3)).toEqual(scoreRgb(0));
  expect(scoreRgb(7)).toEqual(scoreRgb(1));
  expect(scoreRgb(Number.NaN)).toEqual(scoreRgb(0));
  expect(scoreColour(1)).toBe("rgb(255 233 69)");
});

it("gets lighter with each step", () => {
  const steps = Array.from({ length: 101 }, (_, i) => luminance(scoreRgb(i / 100)));
  for (let i = 1; i < steps.length; i++) expect(steps[i]).toBeGreaterThan(steps[i - 1] as number);
});

it("places a value in a range", () => {
  expect([position(3, 2, 6), position(9, 2, 6), position(0, 2, 6)]).toEqual([0.25, 1, 0]);
  expect(position(2, 2, 2)).toBe(0.5);
});

it("finds the range of what is known", () => {
  expect(rangeOf([null, 2, -1, null])).toEqual({ low: -1, high: 2 });
  expect(rangeOf([null])).toBeNull();
});

it("colours lines within their picture, and says which are dark", () => {
  const [low, unknown, high] = lineColours([-1, null, 3]);
  expect(low).toEqual({ colour: scoreColour(0), isDark: true });
  expect(high).toEqual({ colour: scoreColour(1), isDark: false });
  expect([lineColours([null])[0], lineColours([])]).toEqual([unknown, []]);
  expect(new Set([low?.colour, unknown?.colour, high?.colour]).size).toBe(3);
});

it("shows all colours in its gradient", () => {
  for (let i = 0; i <= 6; i++) expect(RAMP).toContain(scoreColour(i / 6));
});
