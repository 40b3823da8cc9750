/** Where everything of the rank chart stands, in CSS pixels. No DOM. */

import { count } from "../format";
import type { Point } from "./paths";
import { gainText, type Line, type Stop } from "./ranks";
import { type RankScale, rankScale } from "./scale";

/** Up to so many hits, every line has its own row and its label. */
export const FEW = 40;
const ROW = 16;
const TALL = 430;
export const TOP = 44;
const LEFT = 44;
const GAP = 14;
const CHARACTER = 6.8;
const MIN_STOP = 90;
const MIN_LABELS = 96;
const MAX_LABELS = 260;

export interface Layout {
  width: number;
  height: number;
  scale: RankScale;
  /** x of each stop. */
  xs: number[];
  /** One curve per line. */
  curves: Point[][];
  y: (rank: number) => number;
  /** Bottom of the ranks; below it stands what was not judged. */
  bottom: number;
  /** Top and bottom of the band of images that were not judged; null = all were. */
  band: [number, number] | null;
  columns: Columns;
}

/** The labels right of the last stop: where gain and name begin, from there, and how wide all is. */
export interface Columns {
  gain: number;
  name: number;
  width: number;
  /** Of a name that fit. */
  characters: number;
}

export function layOut(lines: Line[], stops: Stop[], width: number, log: boolean): Layout {
  const n = lines.length;
  const last = lines.reduce((most, line) => Math.max(most, ...line.ranks.map(Number)), n);
  const scale = rankScale(n, last, log);
  const height = n <= FEW ? Math.max(scale.rows, 1) * ROW : TALL;
  const bottom = TOP + height;
  const y = (rank: number) => TOP + scale.y(rank) * height;
  const columns = labelColumns(lines, width - LEFT - MIN_STOP * (stops.length - 1));
  const span = width - LEFT - columns.width;
  const xs = stops.map((_, i) => LEFT + (span * i) / (stops.length - 1));
  const unjudged = lines.filter((line) => line.ranks.includes(null));
  const band: Layout["band"] = unjudged.length
    ? [bottom + GAP, bottom + GAP + Math.min(8 + unjudged.length * 3, 40)]
    : null;
  const place = (line: Line) => {
    if (!band) return bottom;
    const share = (unjudged.indexOf(line) + 0.5) / unjudged.length;
    return band[0] + share * (band[1] - band[0]);
  };
  const curves = lines.map((line) =>
    line.ranks.map((rank, i): Point => [xs[i] ?? 0, rank == null ? place(line) : y(rank)]),
  );
  const full = (band ? band[1] : bottom) + GAP;
  return { width, height: full, scale, xs, curves, y, bottom, band, columns };
}

/** Rank, gain and name as wide as their longest text, the name as far as there is room. */
function labelColumns(lines: Line[], room: number): Columns {
  const widest = (text: (line: Line) => string) =>
    lines.reduce((most, line) => Math.max(most, text(line).length), 0) * CHARACTER;
  const gain = GAP + widest((line) => count(line.row + 1));
  const name = gain + 10 + widest((line) => gainText(line.gain));
  const wanted = name + 2 * CHARACTER + widest((line) => line.id);
  const width = Math.max(Math.min(wanted, room, MAX_LABELS), Math.max(name, MIN_LABELS));
  return { gain, name, width, characters: Math.floor((width - name) / CHARACTER) };
}

/** Height of a curve at the last stop. */
export function endOf(points: Point[]): number {
  return points.at(-1)?.[1] ?? 0;
}
