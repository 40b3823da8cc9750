/**
 * What becomes of each image from one result to another: kept, moved, entered or left, and the
 * words for it. The measures of the whole come from Python. No DOM.
 */

import { count } from "../format";
import type { ResultTable } from "../protocol";
import { fileName } from "../words";

/** The twin of `compared_bytes` in `matir_nb/widgets/compare.py`. */
export interface Compared {
  rbo: number | null;
  rbo_p: number;
  /** What rank-biased overlap is at least and at most, whatever stands below the hits. */
  rbo_least: number | null;
  rbo_highest: number | null;
  overlap_at_10: number | null;
  jaccard: number | null;
  kendall_tau: number | null;
  notes: string[];
  /** By row of B: 1 = both hits point at the same region; null = not known, or not in A. */
  same_region: (0 | 1 | null)[];
}

export type ComparedTable = ResultTable & { comparison: Compared };

/** One image of either result. */
export interface Pair {
  id: string;
  /** Rank in A and in B; null = no hit there. */
  a: number | null;
  b: number | null;
}

export const FILTERS = ["all", "kept", "moved", "entered", "left"] as const;
export type Filter = (typeof FILTERS)[number];
export type Way = "up" | "down" | "same" | "entered" | "left";

/** The images of B by rank, then those that are in A alone, by rank. */
export function pairsOf(a: ResultTable, b: ResultTable): Pair[] {
  const ranks = new Map(a.columns.image_id.map((id, row) => [id, row + 1]));
  const inB = b.columns.image_id.map((id, row) => ({ id, a: ranks.get(id) ?? null, b: row + 1 }));
  for (const { id } of inB) ranks.delete(id);
  return [...inB, ...[...ranks].map(([id, rank]) => ({ id, a: rank, b: null }))];
}

export function wayOf({ a, b }: Pair): Way {
  if (a === null) return "entered";
  if (b === null) return "left";
  return a > b ? "up" : a < b ? "down" : "same";
}

export function fits(pair: Pair, filter: Filter): boolean {
  const way = wayOf(pair);
  const isKept = way !== "entered" && way !== "left";
  if (filter === "kept") return isKept;
  if (filter === "moved") return isKept && way !== "same";
  return filter === "all" || filter === way;
}

export function countsOf(pairs: readonly Pair[]): Record<Filter, number> {
  const n = (filter: Filter) => pairs.filter((pair) => fits(pair, filter)).length;
  return Object.fromEntries(FILTERS.map((filter) => [filter, n(filter)])) as Record<Filter, number>;
}

/** "▲6", "▼2", "=": from A to B; "" where there is no such way. */
export function changeOf({ a, b }: Pair): string {
  if (a === null || b === null) return "";
  return a === b ? "=" : `${a > b ? "▲" : "▼"}${count(Math.abs(a - b))}`;
}

/** On a tile of `side`: where the image stands in the other result. */
export function tileText(pair: Pair, side: "a" | "b"): string {
  const [other, rank] = side === "a" ? ["B", pair.b] : ["A", pair.a];
  return rank === null ? `not in ${other}` : `${other} #${count(rank)} ${changeOf(pair)}`;
}

/** "dog.jpg: rank 7 in A, rank 1 in B (▲6), the same region". */
export function saidOf(pair: Pair, sameRegion: 0 | 1 | null): string {
  const rank = (value: number | null, name: string) =>
    value === null ? `not in ${name}` : `rank ${count(value)} in ${name}`;
  const change = changeOf(pair);
  const region = sameRegion === null ? "" : sameRegion ? ", the same region" : ", another region";
  const moved = change === "" ? "" : ` (${change})`;
  return `${fileName(pair.id)}: ${rank(pair.a, "A")}, ${rank(pair.b, "B")}${moved}${region}`;
}

/** "encoder alpha-clip, judge qwen": what made a result; `whole` = with preprocessing. */
export function modelsText({ models }: ResultTable, whole = false): string {
  return Object.entries(models)
    .map(([role, name]) => `${role} ${whole ? name : name.split(/\s*[|{]/, 1)[0]}`)
    .join(", ");
}
