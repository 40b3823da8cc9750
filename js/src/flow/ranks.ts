/** One line per hit through the stages that ran: its ranks, and how far it moved. No DOM. */

import { count, plural } from "../format";
import type { ResultTable } from "../protocol";

export interface Stop {
  label: string;
  /** How many images the column ranks; "" = not known. */
  note: string;
}

export interface Line {
  /** Row of the table; the final rank is row + 1. */
  row: number;
  id: string;
  /** One per stop; null = that stage did not see the image. */
  ranks: (number | null)[];
  /** Places gained since stage 1; negative = lost. */
  gain: number;
}

export function hasJudge(result: ResultTable): boolean {
  return result.n_judged != null || result.columns.judge_rank.some((rank) => rank != null);
}

/** The columns of the chart, from left to right. */
export function stopsOf(result: ResultTable): Stop[] {
  const { n_images, n_judged, columns } = result;
  const stops = [
    { label: "stage 1", note: n_images == null ? "" : plural(n_images, "image") },
    { label: "final", note: plural(columns.image_id.length, "hit") },
  ];
  if (hasJudge(result)) {
    const note = n_judged == null ? "" : `${count(n_judged)} judged`;
    stops.splice(1, 0, { label: "judge", note });
  }
  return stops;
}

export function linesOf(result: ResultTable): Line[] {
  const { image_id, stage1_rank, judge_rank } = result.columns;
  const judged = hasJudge(result);
  return image_id.map((id, row) => {
    const first = stage1_rank[row] ?? row + 1;
    const middle = judged ? [judge_rank[row] ?? null] : [];
    return { row, id, ranks: [first, ...middle, row + 1], gain: first - row - 1 };
  });
}

/**
 * Rows of the `n` largest movers each way, by the ratio of final to stage-1 rank: to come from
 * 7 to 1 says more than to come from 300 to 280.
 */
export function movers(lines: Line[], n: number): number[] {
  const size = (line: Line) => Math.abs(Math.log((line.row + 1 + line.gain) / (line.row + 1)));
  const largest = (sign: number) =>
    lines
      .filter((line) => line.gain * sign > 0)
      .sort((a, b) => size(b) - size(a) || a.row - b.row)
      .slice(0, n);
  return [...largest(1), ...largest(-1)].map((line) => line.row);
}

export const WAYS = ["up", "down", "same"] as const;

export function wayOf(line: Line): (typeof WAYS)[number] {
  return line.gain > 0 ? "up" : line.gain < 0 ? "down" : "same";
}

/** "▲ 6", "▼ 2" or "=": the direction in a sign that needs no colour. */
export function gainText(gain: number): string {
  return gain === 0 ? "=" : `${gain > 0 ? "▲" : "▼"} ${count(Math.abs(gain))}`;
}

/** "stage 1 #7 → judge #1 → final #1". */
export function ranksText(line: Line, stops: Stop[]): string {
  const steps = stops.map((stop, i) => {
    const rank = line.ranks[i];
    return rank == null ? "not judged" : `${stop.label} #${count(rank)}`;
  });
  return steps.join(" → ");
}
