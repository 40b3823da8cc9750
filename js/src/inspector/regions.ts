/** Ordering and finding regions of one picture. Knows no DOM and no run-length code. */

import type { BoxXYXY, Region } from "../protocol";

export type SortKey =
  | "align"
  | "id"
  | "box_iou"
  | "score"
  | "predicted_iou"
  | "stability_score"
  | "area";

/**
 * Sorted copy. "align" = by box IoU, then stage-1 score; others by that column, best or largest
 * first (ids: lowest first). Unknown values go last, equal ones by id; `reversed` turns the rest.
 */
export function sortRegions(regions: readonly Region[], key: SortKey, reversed = false): Region[] {
  const keys = key === "align" ? (["box_iou", "score"] as const) : [key];
  const sign = reversed !== (key === "id") ? 1 : -1;
  return [...regions].sort((a, b) => {
    for (const name of keys) {
      const [left, right] = [a[name], b[name]];
      if (left !== right) {
        if (left === null) return 1;
        if (right === null) return -1;
        return sign * (left - right);
      }
    }
    return a.id - b.id;
  });
}

/**
 * The smallest region that holds a point of the picture; null = none does.
 *
 * `holds` answers for a region whose box holds the point: does its mask hold it too?
 */
export function smallestAt(
  regions: readonly Region[],
  x: number,
  y: number,
  holds: (region: Region) => boolean,
): Region | null {
  let best: Region | null = null;
  for (const region of regions) {
    const isSmaller = !best || region.area < best.area;
    if (isSmaller && isInside(region.box, x, y) && holds(region)) best = region;
  }
  return best;
}

function isInside([x0, y0, x1, y1]: BoxXYXY, x: number, y: number): boolean {
  return x >= x0 && x < x1 && y >= y0 && y < y1;
}
