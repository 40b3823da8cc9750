/**
 * The tiles in the document: only those near what can be seen, each node reused for hit after
 * hit. In a new order, tiles glide to their new places; those that come or go cross the edge.
 */

import { h } from "../dom";
import {
  type Layout,
  MAX_NODES,
  nearEdge,
  type Place,
  placeOf,
  type Stretch,
  visibleIn,
  withMargin,
} from "./layout";
import { TileNode } from "./tile";

export interface Scene {
  layout: Layout;
  /** Row at each position. */
  rows: readonly number[];
  /** Position of each row; -1 = hidden. */
  positions: Int32Array;
  scrollTop: number;
  viewport: number;
}

const GLIDE_MS = 340;

export class Stage {
  readonly #tiles = new Map<number, TileNode>();
  readonly #spare: TileNode[] = [];
  /** By their index among all rows. */
  readonly #rowNodes = new Map<number, HTMLElement>();
  /** Tiles on their way out. */
  #leaving: TileNode[] = [];
  #glide: ReturnType<typeof setTimeout> | undefined;
  #made = 0;
  visible: Stretch = { first: 0, last: -1 };

  constructor(
    private readonly content: HTMLElement,
    private readonly id: string,
    /** Called for a tile that shows another hit now. */
    private readonly onRow: (tile: TileNode, row: number) => void,
  ) {}

  get tiles(): IterableIterator<TileNode> {
    return this.#tiles.values();
  }

  tile(row: number): TileNode | undefined {
    return this.#tiles.get(row);
  }

  /** Bring the tiles of the stretch that can be seen, and a margin, to their places. */
  show(scene: Scene): void {
    this.#finishGlide();
    this.#arrange(scene);
  }

  #arrange(scene: Scene): void {
    const { layout, rows } = scene;
    this.visible = visibleIn(layout, scene.scrollTop, scene.viewport);
    const { first, last } = withMargin(layout, this.visible);
    const wanted = rows.slice(first, last + 1);
    const set = new Set(wanted);
    for (const [row, tile] of this.#tiles) {
      if (!set.has(row)) this.#put(row, tile);
    }
    wanted.forEach((row, i) => {
      this.#tileFor(row).moveTo(placeOf(layout, first + i));
    });
    this.#dropSpare();
    this.#showRows(layout, first, wanted);
  }

  /** The same after a change of order: `before` is the scene that the eye still sees. */
  glide(before: Scene, scene: Scene): void {
    this.#finishGlide();
    const leaving = this.#leave(scene);
    const old = new Map([...this.#tiles].map(([row, tile]) => [row, tile.place]));
    this.#arrange(scene);
    this.#leaving = leaving.map(({ tile }) => tile);
    const arriving = [...this.#tiles].map(([row, tile]) => {
      const end = tile.place;
      tile.moveTo(old.get(row) ?? outside(before, scene, row) ?? end);
      return { tile, end };
    });
    this.content.getBoundingClientRect();
    this.content.classList.add("matir-gliding");
    for (const { tile, end } of [...arriving, ...leaving]) tile.moveTo(end);
    this.#glide = setTimeout(() => this.#finishGlide(), GLIDE_MS + 60);
  }

  /** The same tiles under other rows; those without one (undefined) go with the next order. */
  rename(rowOf: (row: number) => number | undefined): void {
    this.#finishGlide();
    const old = [...this.#tiles.values()];
    this.#tiles.clear();
    old.forEach((tile, i) => {
      tile.row = rowOf(tile.row) ?? -1 - i;
      tile.el.dataset.row = String(tile.row);
      this.#tiles.set(tile.row, tile);
    });
  }

  /** Forget what the tiles show. */
  clear(): void {
    this.#finishGlide();
    for (const [row, tile] of this.#tiles) this.#put(row, tile);
    this.#dropSpare();
  }

  destroy(): void {
    clearTimeout(this.#glide);
  }

  /** Take the tiles that the new scene does not show out of use, as far as nodes may be had. */
  #leave(scene: Scene): { tile: TileNode; end: Place }[] {
    const { layout, positions, scrollTop, viewport } = scene;
    const stays = withMargin(layout, visibleIn(layout, scrollTop, viewport));
    const free = MAX_NODES - (stays.last - stays.first + 1);
    const leaving: { tile: TileNode; end: Place }[] = [];
    for (const [row, tile] of this.#tiles) {
      const position = positions[row] ?? -1;
      const isSeen = tile.place.y < scrollTop + viewport && tile.place.y > scrollTop - 400;
      const isGoing = position < stays.first || position > stays.last;
      if (!isGoing || !isSeen || leaving.length >= free) continue;
      this.#tiles.delete(row);
      tile.el.classList.add("matir-leaving");
      tile.el.setAttribute("aria-hidden", "true");
      this.content.append(tile.el);
      const end = position < 0 ? tile.place : placeOf(layout, position);
      leaving.push({ tile, end: nearEdge(layout, end, scrollTop, viewport) });
    }
    return leaving;
  }

  #finishGlide(): void {
    clearTimeout(this.#glide);
    this.content.classList.remove("matir-gliding");
    for (const tile of this.#leaving) {
      tile.el.classList.remove("matir-leaving");
      tile.el.removeAttribute("aria-hidden");
      this.#spare.push(tile);
    }
    this.#leaving = [];
    this.#dropSpare();
  }

  #put(row: number, tile: TileNode): void {
    this.#tiles.delete(row);
    this.#spare.push(tile);
  }

  #tileFor(row: number): TileNode {
    const shown = this.#tiles.get(row);
    if (shown !== undefined) return shown;
    const tile = this.#spare.pop() ?? new TileNode(`${this.id}-${this.#made++}`);
    this.#tiles.set(row, tile);
    this.onRow(tile, row);
    return tile;
  }

  #dropSpare(): void {
    for (const tile of this.#spare) tile.el.remove();
  }

  /** Rows hold their tiles for screen readers; they take no place, so that tiles can glide. */
  #showRows({ columns }: Layout, first: number, wanted: readonly number[]): void {
    const firstRow = Math.floor(first / columns);
    const n = Math.ceil(wanted.length / columns);
    for (const [index, node] of this.#rowNodes) {
      if (index >= firstRow && index < firstRow + n) continue;
      node.remove();
      this.#rowNodes.delete(index);
    }
    for (let i = 0; i < n; i++) {
      const own = wanted.slice(i * columns, (i + 1) * columns);
      const tiles = own.flatMap((row) => this.#tiles.get(row)?.el ?? []);
      const node = this.#rowNodes.get(firstRow + i) ?? this.#newRow(firstRow + i);
      tiles.forEach((el, column) => {
        el.setAttribute("aria-colindex", String(column + 1));
        if (node.children[column] !== el) node.insertBefore(el, node.children[column] ?? null);
      });
    }
  }

  #newRow(index: number): HTMLElement {
    const node = h("div", { role: "row", "aria-rowindex": index + 1 });
    this.#rowNodes.set(index, node);
    this.content.append(node);
    return node;
  }
}

/** Where a tile that was out of sight comes from: its old place, brought to the edge. */
function outside(before: Scene, { layout, scrollTop, viewport }: Scene, row: number): Place | null {
  const position = before.positions[row] ?? -1;
  if (position < 0) return null;
  return nearEdge(layout, placeOf(before.layout, position), scrollTop, viewport);
}
