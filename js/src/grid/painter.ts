/** Paints masks a few at a time, so that scrolling stays smooth while many tiles arrive. */

import type { TileNode } from "./tile";

const BUDGET_MS = 7;

export class Painter {
  readonly #waiting = new Set<TileNode>();
  #frame = 0;

  /** `paint` draws one tile's masks. */
  constructor(private readonly paint: (tile: TileNode) => void) {}

  add(tile: TileNode): void {
    this.#waiting.add(tile);
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#some());
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    this.#waiting.clear();
  }

  #some(): void {
    const end = performance.now() + BUDGET_MS;
    for (const tile of this.#waiting) {
      this.#waiting.delete(tile);
      this.paint(tile);
      if (performance.now() > end) break;
    }
    const isDone = this.#waiting.size === 0;
    this.#frame = isDone ? 0 : requestAnimationFrame(() => this.#some());
  }
}
