/** Scores of the hits and of the rest in the same bins, and what they say in words. No DOM. */

import { count, plural } from "../format";
import type { Histogram } from "../protocol";
import { niceStep } from "./scale";

export interface Bins {
  edges: number[];
  /** Images that are no hits. */
  rest: number[];
  hits: number[];
}

/** Bin `values` to the edges of `rest`, which the kernel makes to cover them, too. */
export function binned({ edges, counts }: Histogram, values: number[]): Bins {
  const hits = counts.map(() => 0);
  for (const value of values) {
    const bin = binOf(edges, value);
    hits[bin] = (hits[bin] ?? 0) + 1;
  }
  return { edges, rest: counts, hits };
}

/** The bin of `value`: half-open, the last one closed. */
export function binOf(edges: number[], value: number): number {
  const above = edges.findIndex((edge) => edge > value);
  return Math.min(Math.max((above < 0 ? edges.length : above) - 1, 0), edges.length - 2);
}

/**
 * "24 found between 0.310 and 0.580; 976 others, the best of them at most 0.330". Of `total`
 * images (null = not known) some may have no such score.
 */
export function inWords(
  { edges, rest }: Bins,
  values: number[],
  total: number | null,
  say: (score: number) => string,
): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const others = rest.reduce((a, b) => a + b, 0);
  const best = edges.filter((_, i) => i > 0 && rest[i - 1]).at(-1) ?? 0;
  const unscored = (total ?? 0) - values.length - others;
  return [
    `${count(values.length)} found between ${say(low)} and ${say(high)}`,
    others ? `${count(others)} others, the best of them at most ${say(best)}` : "no others",
    unscored > 0 && `${plural(unscored, "image")} without this score`,
  ]
    .filter(Boolean)
    .join("; ");
}

/** Round numbers within [low, high], about `n` of them. */
export function roundTicks(low: number, high: number, n: number): number[] {
  const step = niceStep((high - low) / n);
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-6); i * step <= high + step * 1e-6; i++)
    ticks.push(i * step);
  return ticks;
}
