/**
 * Colours that carry numbers. `scoreColour` runs from dark blue over grey to yellow (cividis):
 * its lightness rises steadily, so it reads the same with every kind of colour vision and in
 * grey. Colours of things (mask, box) are the theme's CSS variables.
 */

export type Rgb = [red: number, green: number, blue: number];

/** Seven even steps of cividis (Nuñez, Anderton, Renslow 2018). */
const STOPS = [0x00204d, 0x213d6b, 0x555b6c, 0x7b7a77, 0xa59c74, 0xd3c064, 0xffe945].map(split);

const UNKNOWN: LineColour = { colour: "rgb(190 190 190)", isDark: false };
const DARK_BELOW = 0.45;

/** Colour of `t` (0 = lowest, 1 = highest; outside is clamped, NaN = lowest) as 0 to 255. */
export function scoreRgb(t: number): Rgb {
  const place = (t > 0 ? Math.min(t, 1) : 0) * (STOPS.length - 1);
  const left = Math.min(Math.floor(place), STOPS.length - 2);
  const [from, to] = [STOPS[left] as Rgb, STOPS[left + 1] as Rgb];
  return from.map((value, i) => Math.round(value + (place - left) * (to[i as 0] - value))) as Rgb;
}

/** The same as a CSS colour. */
export function scoreColour(t: number): string {
  return `rgb(${scoreRgb(t).join(" ")})`;
}

/** Where `value` stands between `low` and `high`, 0 to 1; 0.5 when they are equal. */
export function position(value: number, low: number, high: number): number {
  return high > low ? Math.min(Math.max((value - low) / (high - low), 0), 1) : 0.5;
}

export interface Range {
  low: number;
  high: number;
}

/** Lowest and highest of the numbers; null when there are none. */
export function rangeOf(values: readonly (number | null)[]): Range | null {
  const found = values.filter((value): value is number => value !== null);
  if (found.length === 0) return null;
  return {
    low: found.reduce((a, b) => Math.min(a, b)),
    high: found.reduce((a, b) => Math.max(a, b)),
  };
}

/** How the outline of a region is drawn. */
export interface LineColour {
  colour: string;
  /** A dark line needs a light rim to be seen on a dark picture. */
  isDark: boolean;
}

/** Colours of regions by their scores within one picture; grey where the score is not known. */
export function lineColours(scores: readonly (number | null)[]): LineColour[] {
  const range = rangeOf(scores);
  return scores.map((score) => {
    if (range === null || score === null) return UNKNOWN;
    const t = position(score, range.low, range.high);
    return { colour: scoreColour(t), isDark: t < DARK_BELOW };
  });
}

/** What a gradient over all scores is in CSS. */
export const RAMP = `linear-gradient(90deg,${STOPS.map((_, i) => scoreColour(i / 6)).join()})`;

/** The colour of masks that `element` sees, for painting on a canvas. */
export function maskColour(element: Element): string {
  return getComputedStyle(element).getPropertyValue("--matir-mask").trim() || "#e6007e";
}

function split(value: number): Rgb {
  return [value >> 16, (value >> 8) & 255, value & 255];
}
