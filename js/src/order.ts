/** Which rows of the table are shown, in which order, and the words that say so. */

import { count, plural } from "./format";
import type { Columns } from "./protocol";
import type { Session } from "./session";

export interface Choice {
  order: "final" | "stage1";
  /** Rows with a lower final score are hidden; null = none. */
  minScore: number | null;
  hideAbstained: boolean;
  /** Hide what the query's own cut does not keep. */
  onlyAboveCut: boolean;
}

/** The traits of a choice: with another value other rows are shown. */
export const CHOICE = ["order", "min_score", "hide_abstained", "only_above_cut"] as const;

/** The rows that the session's traits show, first to last; none without a result. */
export function rowsOf(session: Session): number[] {
  if (session.result === null) return [];
  const rows = shownRows(session.result.columns, {
    order: session.get("order"),
    minScore: session.get("min_score"),
    hideAbstained: session.get("hide_abstained"),
    onlyAboveCut: session.get("only_above_cut"),
  });
  return session.isShown ? rows.filter((row) => session.isShown?.(row)) : rows;
}

/** The rows to show, first to last. */
export function shownRows(columns: Columns, choice: Choice): number[] {
  const rows = columns.image_id.map((_, row) => row).filter((row) => isShown(columns, row, choice));
  if (choice.order === "final") return rows;
  const rank = (row: number): number => columns.stage1_rank[row] ?? 0;
  return rows.sort((a, b) => rank(a) - rank(b));
}

/** Scores travel with three decimals: a hit at the very threshold must not be lost to rounding. */
const ROUNDING = 0.0005;

function isShown(columns: Columns, row: number, choice: Choice): boolean {
  const { minScore, hideAbstained, onlyAboveCut } = choice;
  if (hideAbstained && columns.abstained[row] === 1) return false;
  if (onlyAboveCut && columns.above_cut[row] === 0) return false;
  return minScore === null || (columns.final_score[row] ?? 0) >= minScore - ROUNDING;
}

/** Row -> position in `rows`; -1 = hidden. */
export function positionsOf(rows: readonly number[], n: number): Int32Array {
  const positions = new Int32Array(n).fill(-1);
  rows.forEach((row, position) => {
    positions[row] = position;
  });
  return positions;
}

/**
 * The rows before and after `row`; null = there is none. A row that a filter hides has the
 * first shown row after it.
 */
export function neighbours(rows: number[], row: number): [number | null, number | null] {
  const place = rows.indexOf(row);
  if (place < 0) return [null, rows[0] ?? null];
  return [rows[place - 1] ?? null, rows[place + 1] ?? null];
}

/** "showing 1–24 of 688 hits · 312 hidden by filters"; positions from 0. */
export function countsText(first: number, last: number, n: number, hidden: number): string {
  const seen =
    n === 0 ? "no hits" : `${count(first + 1)}–${count(last + 1)} of ${plural(n, "hit")}`;
  return `showing ${seen}${hidden === 0 ? "" : ` · ${count(hidden)} hidden by filters`}`;
}

/** Hits that the query's own cut keeps; null = there is no cut. */
export function aboveCut({ above_cut: kept }: Columns): number | null {
  return kept.every((value) => value === null) ? null : kept.filter((value) => value === 1).length;
}

/** Whether the judge has not seen this hit yet, though it has seen others. */
export function isUnjudged({ judge_rank: ranks }: Columns, row: number): boolean {
  return ranks[row] === null && ranks.some((rank) => rank !== null);
}
