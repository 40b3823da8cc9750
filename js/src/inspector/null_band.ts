/**
 * The null band: how unrelated phrases score in this very picture, and where the query stands
 * among them. A cosine says little by itself; its distance from chance does.
 */

import { h, s } from "../dom";
import { percent, score } from "../format";
import { rangeOf } from "../palette";
import type { NullBand } from "../protocol";

/** "higher than 99.6 % of 129 unrelated phrases". */
export function bandWords({ percentile, n_phrases: n }: NullBand): string {
  if (percentile >= 100) return `higher than all ${n} unrelated phrases`;
  if (percentile <= 0) return `not higher than any of ${n} unrelated phrases`;
  return `higher than ${percent(percentile / 100)} of ${n} unrelated phrases`;
}

/** Where the quantiles and the query stand on an axis that holds all of them, 0 to 1. */
export function bandPlaces(
  quantiles: readonly number[],
  value: number,
): { quantiles: number[]; value: number } {
  const { low, high } = rangeOf([...quantiles, value]) ?? { low: value, high: value };
  const margin = (high - low) * 0.04 || 1;
  const at = (x: number): number => (x - low + margin) / (high - low + 2 * margin);
  return { quantiles: quantiles.map(at), value: at(value) };
}

/** The strip with its sentence; only the sentence where the distribution is not known. */
export function nullBand(band: NullBand, value: number): HTMLElement {
  const words = bandWords(band);
  const [low, , quarter, median, threeQuarters, , high] = band.quantiles.map((q) => score(q));
  const spread = `unrelated: ${low} to ${high}, middle half ${quarter} to ${threeQuarters}, median ${median}`;
  const isKnown = band.quantiles.length > 0;
  return h(
    "div",
    { class: "matir-null" },
    isKnown && strip(band, value),
    isKnown && h("p", { class: "matir-hint" }, spread),
    h("p", null, h("b", null, words[0]?.toUpperCase(), words.slice(1)), " in this picture."),
  );
}

function strip(band: NullBand, value: number): SVGElement {
  const places = bandPlaces(band.quantiles, value);
  const x = (i: number): string => `${(places.quantiles[i] as number) * 100}%`;
  const width = (from: number, to: number): string =>
    `${((places.quantiles[to] as number) - (places.quantiles[from] as number)) * 100}%`;
  const at = `${places.value * 100}%`;
  const box = (name: string, from: number, to: number, y: number, height: number): SVGElement =>
    s("rect", { class: `matir-null-${name}`, x: x(from), width: width(from, to), y, height });
  return s(
    "svg",
    { class: "matir-null-strip", role: "img", "aria-label": `Stage-1 score ${bandWords(band)}` },
    box("range", 0, 6, 13, 2),
    box("most", 1, 5, 9, 10),
    box("half", 2, 4, 6, 16),
    s("line", { class: "matir-null-median", x1: x(3), x2: x(3), y1: 6, y2: 22 }),
    s("line", { class: "matir-null-query", x1: at, x2: at, y1: 0, y2: 28 }),
    s("circle", { class: "matir-null-query", cx: at, cy: 14, r: 5 }),
  );
}
