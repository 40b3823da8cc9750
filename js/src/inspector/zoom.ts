/**
 * Geometry of zoom and pan. A `Zoom` says how much larger than fitting, and which point of the
 * picture (in fractions) stands in the middle, so it means the same for the next picture and
 * after a resize. Knows no DOM; lengths are CSS pixels unless a name says otherwise.
 */

import type { BoxXYXY } from "../protocol";

export interface Zoom {
  /** 1 = the whole picture fits. */
  factor: number;
  x: number;
  y: number;
}

/** The window onto a picture, and the picture's own size in its pixels. */
export interface Frame {
  width: number;
  height: number;
  imageWidth: number;
  imageHeight: number;
}

export interface Placement {
  /** CSS pixels per picture pixel. */
  scale: number;
  left: number;
  top: number;
}

export const FITTING: Zoom = { factor: 1, x: 0.5, y: 0.5 };
/** CSS pixels per picture pixel at which zooming in ends, unless fitting needs more. */
const MAX_SCALE = 16;
const SIDES = [512, 1024, 2048];

/** Scale at which the whole picture is seen. */
export function fitScale(frame: Frame): number {
  return Math.min(frame.width / frame.imageWidth, frame.height / frame.imageHeight);
}

/** Where the picture's top-left corner stands, and how large it is drawn. */
export function place(zoom: Zoom, frame: Frame): Placement {
  const scale = fitScale(frame) * zoom.factor;
  return {
    scale,
    left: frame.width / 2 - zoom.x * frame.imageWidth * scale,
    top: frame.height / 2 - zoom.y * frame.imageHeight * scale,
  };
}

/** The nearest zoom that leaves no gap beside a picture larger than its window. */
export function clamp(zoom: Zoom, frame: Frame): Zoom {
  const fit = fitScale(frame);
  const factor = between(zoom.factor, 1, Math.max(4, MAX_SCALE / fit));
  const scale = fit * factor;
  return {
    factor,
    x: centre(zoom.x, frame.width / (frame.imageWidth * scale)),
    y: centre(zoom.y, frame.height / (frame.imageHeight * scale)),
  };
}

/** Zoom by `ratio`, keeping what is under the point (`x`, `y`) of the window in its place. */
export function zoomAt(zoom: Zoom, frame: Frame, ratio: number, x: number, y: number): Zoom {
  const [atX, atY] = toImage(zoom, frame, x, y);
  const { factor } = clamp({ ...zoom, factor: zoom.factor * ratio }, frame);
  const scale = fitScale(frame) * factor;
  return clamp(
    {
      factor,
      x: (atX + (frame.width / 2 - x) / scale) / frame.imageWidth,
      y: (atY + (frame.height / 2 - y) / scale) / frame.imageHeight,
    },
    frame,
  );
}

/** Move the picture by (`dx`, `dy`). */
export function panBy(zoom: Zoom, frame: Frame, dx: number, dy: number): Zoom {
  const { scale } = place(zoom, frame);
  return clamp(
    {
      factor: zoom.factor,
      x: zoom.x - dx / (frame.imageWidth * scale),
      y: zoom.y - dy / (frame.imageHeight * scale),
    },
    frame,
  );
}

/** The picture's pixel (not rounded) under a point of the window. */
export function toImage(zoom: Zoom, frame: Frame, x: number, y: number): [number, number] {
  const { scale, left, top } = place(zoom, frame);
  return [(x - left) / scale, (y - top) / scale];
}

/** Whether a box of the picture lies in a window of `width` × `height`, at least in part. */
export function isInSight(
  [x0, y0, x1, y1]: BoxXYXY,
  { scale, left, top }: Placement,
  width: number,
  height: number,
): boolean {
  const isAfter = left + x1 * scale > 0 && top + y1 * scale > 0;
  return isAfter && left + x0 * scale < width && top + y0 * scale < height;
}

/** Longest side to ask for so that the picture is sharp: 512, 1024 or 2048. */
export function neededSide(zoom: Zoom, frame: Frame, pixelRatio: number): number {
  const longest = Math.max(frame.imageWidth, frame.imageHeight);
  const wanted = Math.min(longest, longest * place(zoom, frame).scale * pixelRatio);
  return SIDES.find((side) => side >= wanted) ?? 2048;
}

function centre(value: number, seen: number): number {
  return seen >= 1 ? 0.5 : between(value, seen / 2, 1 - seen / 2);
}

function between(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
