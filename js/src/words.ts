/** The words of a tile: shortened names, moves between stages, the label that is read aloud. */

import { score } from "./format";
import { isUnjudged } from "./order";
import type { Columns, MarkName } from "./protocol";

/** The last part of a posix path; a path that ends in "/" stays whole. */
export function fileName(imageId: string): string {
  return imageId.slice(imageId.lastIndexOf("/") + 1) || imageId;
}

/**
 * `name` in two parts, so that CSS can shorten the first and number and ending stay: the second
 * has at most `most` letters.
 */
export function splitName(name: string, most = 9): [head: string, tail: string] {
  const letters = [...name];
  const cut = Math.max(0, letters.length - Math.min(most, letters.length >> 1));
  return [letters.slice(0, cut).join(""), letters.slice(cut).join("")];
}

export interface Move {
  direction: "up" | "down" | "same";
  /** "7 → 1". */
  way: string;
  /** "▲6", "▼3", "=". */
  change: string;
  /** "up 6, from stage-1 rank 7 to rank 1". */
  said: string;
}

/** How a hit came from its stage-1 rank to its rank. */
export function moveOf(stage1Rank: number, rank: number): Move {
  const by = stage1Rank - rank;
  const way = `${stage1Rank} → ${rank}`;
  const ranks = `from stage-1 rank ${stage1Rank} to rank ${rank}`;
  if (by === 0) return { direction: "same", way, change: "=", said: `rank ${rank} at stage 1 too` };
  return by > 0
    ? { direction: "up", way, change: `▲${by}`, said: `up ${by}, ${ranks}` }
    : { direction: "down", way, change: `▼${-by}`, said: `down ${-by}, ${ranks}` };
}

/** "not here" (the judge named no place), "no mask", or "". */
export function badgeOf(columns: Columns, row: number): "" | "not here" | "no mask" {
  if (columns.abstained[row] === 1) return "not here";
  return columns.has_mask[row] === 1 ? "" : "no mask";
}

/** "also as: a.jpg, b.jpg", or "" where no other file has the bytes of a hit. */
export function copiesOf({ copies }: Columns, row: number): string {
  return copies?.[row] ? `also as: ${copies[row].join(", ")}` : "";
}

/** "rank 3, score 0.810, file.jpg, stage-1 rank 7, above the cut, not here, marked relevant". */
export function labelOf(columns: Columns, row: number, mark: MarkName | null): string {
  const parts = [
    `rank ${row + 1}`,
    `score ${score(columns.final_score[row])}`,
    fileName(columns.image_id[row] ?? ""),
    copiesOf(columns, row),
    `stage-1 rank ${columns.stage1_rank[row]}`,
    columns.above_cut[row] === 1 ? "above the cut" : "",
    isUnjudged(columns, row) ? "not judged" : "",
    badgeOf(columns, row),
    mark === null ? "" : `marked ${mark}`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}
