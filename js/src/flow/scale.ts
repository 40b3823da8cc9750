/** Where a rank stands on the chart's axis, from 0 (top, rank 1) to 1. No DOM. */

type ScaleKind = "linear" | "log" | "broken";

export interface RankScale {
  kind: ScaleKind;
  y: (rank: number) => number;
  ticks: number[];
  /** Rows of a linear axis that the whole height is worth. */
  rows: number;
}

/** Ranks below the hits share this many rows, on a log scale. */
const TAIL_ROWS = 6;

/**
 * "linear" is exact up to rank `nHits` (at least 1) and gives the ranks below (a hit may come from far down)
 * a compressed tail, which makes it "broken"; "log" gives the first ranks the most room.
 */
export function rankScale(nHits: number, maxRank: number, log: boolean): RankScale {
  const last = Math.max(maxRank, nHits);
  if (log) {
    const y = (rank: number) => (last > 1 ? Math.log(rank) / Math.log(last) : 0);
    return { kind: "log", y, ticks: [...decades(1, last), last], rows: nHits };
  }
  const whole = Math.max(nHits - 1, 1);
  const steps = linearTicks(nHits);
  if (last <= nHits)
    return { kind: "linear", y: (r) => (r - 1) / whole, ticks: steps, rows: whole };
  const rows = whole + 1 + TAIL_ROWS;
  const tail = (rank: number) => Math.log(rank / nHits) / Math.log(last / nHits);
  const y = (rank: number) =>
    (rank <= nHits ? rank - 1 : whole + 1 + TAIL_ROWS * tail(rank)) / rows;
  return { kind: "broken", y, ticks: [...steps, ...decades(nHits + 1, last), last], rows };
}

/** Leave out ticks that stand closer than `gap` to the one before; the last one stays. */
export function thin(ticks: number[], position: (tick: number) => number, gap: number): number[] {
  const kept: number[] = [];
  for (const tick of [...new Set(ticks)].reverse()) {
    const below = kept[0];
    if (below === undefined || position(below) - position(tick) >= gap) kept.unshift(tick);
  }
  return kept;
}

function linearTicks(n: number): number[] {
  const step = niceStep(n / 6);
  const ticks = [1];
  for (let tick = step; tick < n; tick += step) if (tick > 1) ticks.push(tick);
  return n > 1 ? [...ticks, n] : ticks;
}

/** 1, 2, 5, 10, 20, ... within [from, to]. */
export function decades(from: number, to: number): number[] {
  const ticks: number[] = [];
  for (let power = 1; power <= to; power *= 10)
    for (const digit of [1, 2, 5]) {
      const tick = digit * power;
      if (tick >= from && tick <= to) ticks.push(tick);
    }
  return ticks;
}

/** The smallest of 1, 2, 5, 10, 20, ... (and their tenths) that is at least `step`. */
export function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(step, 1e-9)));
  const digit = [1, 2, 5, 10].find((d) => d * power >= step * 0.9999) ?? 10;
  return digit * power;
}
