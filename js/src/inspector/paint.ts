/**
 * All regions of a picture on a canvas, redrawn for each zoom so that lines stay crisp. While a
 * redraw is slow (many regions), the last drawing is moved and stretched until zooming pauses.
 */

import type { Painted } from "./diverging";
import type { Shape } from "./shapes";
import { isInSight, type Placement } from "./zoom";

/** What to draw: the shapes, ascending in score, and picture pixels per mask pixel (x, y). */
export interface Drawing {
  shapes: readonly Shape[];
  ratio: [number, number];
  /** 0 = outlines only. */
  fill: number;
  /** Colours by region id in place of the shapes' own; null = those. */
  looks: readonly Painted[] | null;
}

/** With more regions than this in sight, drawing waits until zooming pauses; lines are thin. */
const CROWD = 64;
const PAUSE = 120;

export class Painter {
  readonly #canvas: HTMLCanvasElement;
  #drawn: Placement | null = null;
  #isCrowded = false;
  #timer = 0;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  /** Draw now; in a crowd that `isMoving`, move the last drawing and draw when it rests. */
  show(drawing: Drawing, placement: Placement, isMoving: boolean): void {
    clearTimeout(this.#timer);
    if (isMoving && this.#drawn && this.#isCrowded) {
      const stretch = placement.scale / this.#drawn.scale;
      const left = placement.left - stretch * this.#drawn.left;
      const top = placement.top - stretch * this.#drawn.top;
      this.#canvas.style.transform = `translate(${left}px,${top}px) scale(${stretch})`;
      this.#timer = window.setTimeout(() => this.#draw(drawing, placement), PAUSE);
    } else {
      this.#draw(drawing, placement);
    }
  }

  destroy(): void {
    clearTimeout(this.#timer);
  }

  #draw({ shapes, ratio, fill, looks }: Drawing, placement: Placement): void {
    const canvas = this.#canvas;
    const { clientWidth, clientHeight } = canvas;
    const pixelRatio = window.devicePixelRatio || 1;
    canvas.width = Math.round(clientWidth * pixelRatio);
    canvas.height = Math.round(clientHeight * pixelRatio);
    canvas.style.transform = "";
    this.#drawn = placement;
    const { scale, left, top } = placement;
    const seen = shapes.filter(({ region: { box } }) =>
      isInSight(box, placement, clientWidth, clientHeight),
    );
    this.#isCrowded = seen.length > CROWD;
    const context = canvas.getContext("2d");
    if (!context) return;
    const [x, y] = [ratio[0] * scale, ratio[1] * scale];
    context.scale(pixelRatio, pixelRatio);
    context.transform(x, 0, 0, y, left, top);
    paint(context, seen, { fill, looks, unit: 1 / x, isThin: this.#isCrowded });
  }
}

/** `unit` = mask pixels per CSS pixel. */
function paint(
  context: CanvasRenderingContext2D,
  shapes: readonly Shape[],
  {
    fill,
    looks,
    unit,
    isThin,
  }: Omit<Drawing, "shapes" | "ratio"> & { unit: number; isThin: boolean },
): void {
  const lookOf = ({ region, look }: Shape): Painted =>
    looks?.[region.id] ?? { ...look, strength: 1 };
  if (fill) {
    for (const shape of [...shapes].sort((a, b) => b.region.area - a.region.area)) {
      const { colour, strength } = lookOf(shape);
      context.globalAlpha = fill * strength;
      context.fillStyle = colour;
      context.fill(shape.path(unit), "evenodd");
    }
  }
  const line = (path: Path2D, colour: string, width: number, alpha: number): void => {
    context.globalAlpha = alpha;
    context.lineWidth = width * unit;
    context.strokeStyle = colour;
    context.stroke(path);
  };
  for (const shape of shapes) {
    const path = shape.path(unit);
    const { colour, isDark } = lookOf(shape);
    if (!isThin) line(path, isDark ? "#fff" : "#000", 2.25, 0.4);
    line(path, colour, 1, 1);
  }
}
