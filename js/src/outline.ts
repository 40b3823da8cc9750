/**
 * The exact border of a mask as closed rectilinear loops, straight from its runs: the mask is
 * never unpacked. Fill them with the even-odd rule. What is drawn small can be smoothed, rid of
 * specks and thinned. Knows no DOM.
 *
 * A corner of the border is a point where the runs of two neighbouring columns start or end at
 * different heights. In one column corners pair up from top to bottom into upright edges, in one
 * line from left to right into level ones; following both in turn closes the loops. Where two
 * parts touch at a point only, no corner arises: the loops cross there, and even-odd fills both.
 */

/** x, y, x, y, … of the corners, in mask pixels. */
export type Loop = number[];

/** Loops around a mask of `height` whose column-major `runs` start with background. */
export function loopsOf(runs: ArrayLike<number>, height: number): Loop[] {
  const { xs, ys, across } = findCorners(runs, height);
  const done = new Uint8Array(xs.length);
  const loops: Loop[] = [];
  for (let start = 0; start < xs.length; start++) {
    if (done[start]) continue;
    const loop: Loop = [];
    for (let at = start; !done[at]; at = across[at ^ 1] as number) {
      const [x, below] = [xs[at] as number, at ^ 1];
      done[at] = done[below] = 1;
      loop.push(x, ys[at] as number, x, ys[below] as number);
    }
    loops.push(loop);
  }
  return loops;
}

/**
 * The loop through the middles of its outermost pixel edges, so that stairs become slopes: for
 * masks whose pixels are too small to be told apart.
 */
export function smoothed(loop: Loop): Loop {
  const points: Loop = [];
  for (let i = 0; i < loop.length; i += 2) {
    const [x, y] = [loop[i] as number, loop[i + 1] as number];
    const j = (i + 2) % loop.length;
    const [dx, dy] = [(loop[j] as number) - x, (loop[j + 1] as number) - y];
    const length = Math.abs(dx + dy);
    const half = 0.5 / length;
    points.push(x + dx * half, y + dy * half);
    if (length > 1) points.push(x + dx * (1 - half), y + dy * (1 - half));
  }
  return points;
}

/** The loops whose longer side is at least `least`, mask pixels; the largest in any case. */
export function calm(loops: readonly Loop[], least: number): readonly Loop[] {
  if (least <= 1 || loops.length < 2) return loops;
  const sides = loops.map(longerSide);
  const limit = Math.min(
    least,
    sides.reduce((a, b) => Math.max(a, b)),
  );
  return loops.filter((_, i) => (sides[i] as number) >= limit);
}

function longerSide(loop: Loop): number {
  let [left, top, right, bottom] = [loop[0] as number, loop[1] as number, 0, 0];
  for (let i = 0; i < loop.length; i += 2) {
    const [x, y] = [loop[i] as number, loop[i + 1] as number];
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return Math.max(right - left, bottom - top);
}

/**
 * SVG path of loops. With a `tolerance`, corners nearer than that to the last one drawn are left
 * out, so that stairs too small to be seen cost nothing; a loop that would vanish stays whole.
 */
export function pathOf(loops: readonly Loop[], tolerance = 0): string {
  return loops
    .map((loop) => {
      const thin = thinned(loop, tolerance);
      return `M${(thin.length < 6 ? loop : thin).join(" ")}Z`;
    })
    .join("");
}

function thinned(loop: Loop, tolerance: number): Loop {
  if (!tolerance) return loop;
  const kept: Loop = [];
  let [lastX, lastY] = [Number.NEGATIVE_INFINITY, 0];
  for (let i = 0; i < loop.length; i += 2) {
    const [x, y] = [loop[i] as number, loop[i + 1] as number];
    if (Math.hypot(x - lastX, y - lastY) < tolerance) continue;
    kept.push(x, y);
    [lastX, lastY] = [x, y];
  }
  return kept;
}

interface Corners {
  xs: number[];
  ys: number[];
  /** The corner at the other end of the level edge; that of the upright edge is `i ^ 1`. */
  across: number[];
}

function findCorners(runs: ArrayLike<number>, height: number): Corners {
  const xs: number[] = [];
  const ys: number[] = [];
  const across: number[] = [];
  const open = new Int32Array(height + 1).fill(-1);
  let left: number[] = [];
  for (const [x, right] of columnsOf(runs, height)) {
    for (const y of difference(left, right)) {
      const corner = xs.push(x) - 1;
      ys.push(y);
      const other = open[y] as number;
      open[y] = other < 0 ? corner : -1;
      across.push(other);
      if (other >= 0) across[other] = corner;
    }
    left = right;
  }
  return { xs, ys, across };
}

/** Each column that differs from its left neighbour, with the heights where its runs start and end. */
function* columnsOf(runs: ArrayLike<number>, height: number): Generator<[number, number[]]> {
  let column = 0;
  let edges: number[] = [];
  let at = 0;
  for (let i = 0; i < runs.length; i++) {
    const end = at + (runs[i] as number);
    while (i % 2 === 1 && at < end) {
      const x = Math.floor(at / height);
      if (x > column) {
        yield [column, edges];
        if (x > column + 1) yield [column + 1, []];
        [column, edges] = [x, []];
      }
      const stop = Math.min(end, (x + 1) * height);
      edges.push(at - x * height, stop - x * height);
      at = stop;
    }
    at = end;
  }
  yield [column, edges];
  yield [column + 1, []];
}

/** The numbers that stand in only one of two ascending lists, ascending. */
function difference(a: number[], b: number[]): number[] {
  const only: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const left = a[i] ?? Number.POSITIVE_INFINITY;
    const right = b[j] ?? Number.POSITIVE_INFINITY;
    if (left < right) {
      only.push(left);
      i++;
    } else if (right < left) {
      only.push(right);
      j++;
    } else {
      i++;
      j++;
    }
  }
  return only;
}
