/**
 * Masks as COCO compressed run-length code: their runs, and whether a pixel is in one.
 *
 * The runs go down the columns, alternating 0s and 1s, 0s first. Each is a signed number in
 * groups of five bits, least first, as characters from "0"; from the fourth on it is the
 * difference to the run before the last (pycocotools' maskApi.c).
 */

import type { Rle } from "./protocol";

/** Lengths of the runs, 0s first. Throws where they do not cover the mask exactly. */
export function runs(rle: Rle): number[] {
  const [height, width] = rle.size;
  const { counts } = rle;
  const found: number[] = [];
  let covered = 0;
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let group: number;
    do {
      group = counts.charCodeAt(at++) - 48;
      value |= (group & 31) << shift;
      shift += 5;
    } while (group & 32);
    if (group & 16 && shift < 32) value |= -1 << shift;
    if (found.length > 2) value += found[found.length - 2] as number;
    covered += value;
    if (!(value >= 0 && covered <= height * width)) break;
    found.push(value);
  }
  if (covered !== height * width || at !== counts.length) {
    throw new Error(`a mask is damaged: its runs do not fill ${width} × ${height} pixels`);
  }
  return found;
}

/** Whether pixel column `x`, row `y` is 1; fractions fall into their pixel, outside is false. */
export function hit(rle: Rle, x: number, y: number): boolean {
  const [height, width] = rle.size;
  if (!(x >= 0 && y >= 0 && x < width && y < height)) return false;
  const place = Math.floor(x) * height + Math.floor(y);
  let end = 0;
  const run = runs(rle).findIndex((length) => {
    end += length;
    return end > place;
  });
  return run % 2 === 1;
}
