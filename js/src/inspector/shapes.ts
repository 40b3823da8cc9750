/** Regions made ready for drawing: borders as paths, stage-1 scores as colours. */

import { calm, type Loop, loopsOf, pathOf, smoothed } from "../outline";
import { type LineColour, lineColours } from "../palette";
import type { InspectReply, Region } from "../protocol";
import { runs } from "../rle";

/** Where the pixels of a mask are larger than this, CSS pixels, they are drawn one by one. */
const SQUARES = 3;
/** Specks and holes smaller than this are left out where pixels are not drawn, CSS pixels. */
const SPECK = 5;
/** Corners nearer than this to each other are not told apart, CSS pixels. */
const UNSEEN = 0.75;

/** A region made ready for drawing. */
export class Shape {
  readonly #loops: Loop[];
  readonly #paths = new Map<number, Path2D>();
  #d = "";

  constructor(
    readonly region: Region,
    readonly look: LineColour,
  ) {
    this.#loops = loopsOf(runs(region.mask), region.mask.size[0]);
  }

  /** Exact border, mask pixels. */
  get d(): string {
    this.#d ||= pathOf(this.#loops);
    return this.#d;
  }

  /** Border for a canvas on which one CSS pixel is `unit` mask pixels wide. */
  path(unit: number): Path2D {
    // Powers of two, so that few paths are made while zooming.
    const step = unit * SQUARES <= 1 ? 0 : 2 ** Math.round(Math.log2(unit));
    let path = this.#paths.get(step);
    if (!path) {
      path = new Path2D(step ? this.#sketch(step) : this.d);
      this.#paths.set(step, path);
    }
    return path;
  }

  #sketch(step: number): string {
    const loops = calm(this.#loops, SPECK * step).map(smoothed);
    return pathOf(loops, step * UNSEEN > 1 ? step * UNSEEN : 0);
  }
}

/** An answer with its regions' shapes, ascending in score, so that the best is drawn last. */
export interface Detail extends InspectReply {
  shapes: Shape[];
  /** Border of the hit's mask that is no stored region; "" = it is one. */
  ownPath: string;
}

/** Throws where a mask is damaged. */
export function detailOf(reply: InspectReply): Detail {
  const looks = lineColours(reply.regions.map(({ score }) => score));
  const lowest = Number.NEGATIVE_INFINITY;
  const shapes = reply.regions
    .map((region, i) => new Shape(region, looks[i] as LineColour))
    .sort(
      ({ region: a }, { region: b }) =>
        (a.score ?? lowest) - (b.score ?? lowest) || b.area - a.area,
    );
  return {
    ...reply,
    shapes,
    ownPath: reply.mask ? pathOf(loopsOf(runs(reply.mask), reply.mask.size[0])) : "",
  };
}
