/** The geometry of the lines: curves, their height at a place, and the one nearest to a pointer. */

export type Point = [x: number, y: number];

const f = (value: number) => String(Math.round(value * 10) / 10);

/**
 * An SVG path, level at each point. The control points stand at thirds, so that x is linear in the
 * curve's parameter and `yAt` is exact.
 */
export function curve(points: Point[]): string {
  return points
    .map(([x, y], i) => {
      const before = points[i - 1];
      if (!before) return `M${f(x)} ${f(y)}`;
      const third = (x - before[0]) / 3;
      return `C${f(before[0] + third)} ${f(before[1])} ${f(x - third)} ${f(y)} ${f(x)} ${f(y)}`;
    })
    .join("");
}

/** Height of the curve at `x`; level beyond its ends. */
export function yAt(points: Point[], x: number): number {
  let before = points[0];
  if (!before) return Number.NaN;
  for (const point of points) {
    if (x <= point[0]) {
      const width = point[0] - before[0];
      const t = width > 0 ? Math.max(0, (x - before[0]) / width) : 1;
      return before[1] + (point[1] - before[1]) * t * t * (3 - 2 * t);
    }
    before = point;
  }
  return before[1];
}

/** Index of the curve nearest to (x, y), at most `reach` away in height; -1 = none. */
export function nearest(curves: Point[][], x: number, y: number, reach: number): number {
  let found = -1;
  let least = reach;
  curves.forEach((points, i) => {
    const distance = Math.abs(yAt(points, x) - y);
    if (distance < least) {
      found = i;
      least = distance;
    }
  });
  return found;
}

/** From the most important on, keep what stands at least `gap` from all that is kept. */
export function spaced(rows: number[], y: (row: number) => number, gap: number): number[] {
  const kept: number[] = [];
  for (const row of rows)
    if (kept.every((other) => Math.abs(y(other) - y(row)) >= gap)) kept.push(row);
  return kept;
}

/** At most `length` characters: the end of a path tells files apart, so the start goes. */
export function shorten(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `…${characters.slice(1 - length).join("")}`;
}
