/**
 * Paints a tile's masks on two canvases: `fill` (the hit's mask, whose opacity CSS sets) and
 * `line` (outlines with a halo that keeps them visible on any picture).
 */

import { calm, loopsOf, pathOf, smoothed } from "../outline";
import { type LineColour, lineColours } from "../palette";
import type { Rle, Tile } from "../protocol";
import { runs } from "../rle";

interface Outline extends LineColour {
  path: Path2D;
}
export interface Shapes {
  /** Of the masks, pixels. */
  height: number;
  width: number;
  mask: Path2D | null;
  /** Lowest score first, so that the best are painted last; null = not asked for. */
  regions: Outline[] | null;
}

/** Specks and holes smaller than this are no part of a region's outline, CSS pixels. */
const SPECK = 5;

/** The outlines of a tile's masks, to be seen `shownWidth` CSS pixels wide; null = it has none. */
export function shapesOf(tile: Tile, shownWidth: number): Shapes | null {
  const size = (tile.mask ?? tile.regions?.[0])?.size;
  if (size === undefined) return null;
  const [height, width] = size;
  const speck = (SPECK * width) / shownWidth;
  return {
    height,
    width,
    mask: tile.mask === null ? null : outlineOf(tile.mask, 0),
    regions: tile.regions === null ? null : outlinesOf(tile.regions, tile.region_scores, speck),
  };
}

function outlinesOf(regions: Rle[], scores: number[] | null, speck: number): Outline[] {
  const colours = lineColours(regions.map((_, i) => scores?.[i] ?? null));
  return regions
    .map((rle, i) => ({ path: outlineOf(rle, speck), ...(colours[i] as LineColour), i }))
    .sort((a, b) => (scores?.[a.i] ?? 0) - (scores?.[b.i] ?? 0));
}

function outlineOf(rle: Rle, speck: number): Path2D {
  return new Path2D(pathOf(calm(loopsOf(runs(rle), rle.size[0]), speck).map(smoothed)));
}

export interface Look {
  /** Of the frame, CSS pixels. */
  width: number;
  height: number;
  /** Device pixels per CSS pixel. */
  ratio: number;
  /** True = all regions, too. */
  regions: boolean;
  /** Of the hit's mask. */
  colour: string;
}

/** Paint `shapes` on both canvases. */
export function paint(
  fill: HTMLCanvasElement,
  line: HTMLCanvasElement,
  shapes: Shapes,
  look: Look,
): void {
  const onFill = cleared(fill, look, shapes);
  const onLine = cleared(line, look, shapes);
  const px = shapes.width / look.width;
  const stroke = (path: Path2D, colour: string, width: number): void => {
    onLine.strokeStyle = colour;
    onLine.lineWidth = width * px;
    onLine.stroke(path);
  };
  for (const { path, colour, isDark } of (look.regions && shapes.regions) || []) {
    stroke(path, isDark ? "rgb(255 255 255 / 0.5)" : "rgb(0 0 0 / 0.5)", 2.25);
    stroke(path, colour, 1);
  }
  if (shapes.mask === null) return;
  onFill.fillStyle = look.colour;
  onFill.fill(shapes.mask, "evenodd");
  const outside = new Path2D(shapes.mask);
  outside.rect(-px, -px, shapes.width + 2 * px, shapes.height + 2 * px);
  onLine.clip(outside, "evenodd");
  stroke(shapes.mask, "rgb(255 255 255 / 0.9)", 4.8);
  stroke(shapes.mask, look.colour, 2);
}

function cleared(
  canvas: HTMLCanvasElement,
  { width, height, ratio }: Look,
  shapes: Shapes,
): CanvasRenderingContext2D {
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.lineJoin = "round";
  context.scale(canvas.width / shapes.width, canvas.height / shapes.height);
  return context;
}
