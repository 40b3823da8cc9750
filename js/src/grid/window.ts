/** The scrolling window on the hits: lays tiles out, fetches their pictures, paints masks. */

import { h, setAttribute } from "../dom";
import { markOf } from "../marks";
import { positionsOf } from "../order";
import { maskColour } from "../palette";
import type { Columns, ResultTable } from "../protocol";
import type { Session } from "../session";
import { type Bar, barsOf } from "./bars";
import {
  aspectOf,
  frameOf,
  type Layout,
  layoutOf,
  placeOf,
  type Stretch,
  scrollTo,
  thumbnailSide,
  visibleIn,
  withMargin,
} from "./layout";
import { TileLoader } from "./loader";
import { Painter } from "./painter";
import { Sight } from "./sight";
import { type Scene, Stage } from "./stage";
import type { TileNode } from "./tile";

/** Tiles narrower than this show no file name, CSS pixels. */
const COMPACT = 150;
/** Heights below the picture, CSS pixels: as in grid.css. */
const CAPTION = { line: 32, bar: 15 };
const DEFAULT_VIEWPORT = 720;
const CALM_MS = 120;
/** With other values in these, a hit has another mask or box. */
const MASK_COLUMNS = ["p_relevant", "has_mask", "abstained", "align_iou"] as const;

export class TileWindow {
  readonly #content = h("div", { class: "matir-content", role: "presentation" });
  readonly el: HTMLElement;
  readonly #loader: TileLoader;
  readonly #stage: Stage;
  readonly #sight: Sight;
  readonly #painter = new Painter((tile) => this.#paint(tile));
  readonly #watchSize = new ResizeObserver(() => this.relayout());
  readonly #watchSight = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) this.repaint();
  });
  #table: ResultTable | null = null;
  #bars: Bar[] = [];
  #aspect = 4 / 3;
  #selected = new Set<string>();
  #scene: Scene;
  #frame = 0;
  #calm: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly session: Session,
    id: string,
    /** Called when other hits can be seen. */
    private readonly onSeen: (seen: Stretch) => void,
    /** Called with rows that have been on the screen for a while. */
    onLooked: (rows: number[]) => void,
  ) {
    this.el = h(
      "div",
      {
        class: "matir-window",
        role: "grid",
        tabindex: 0,
        "aria-multiselectable": true,
        onscroll: () => this.#onScroll(),
      },
      this.#content,
    );
    this.#loader = new TileLoader(session, (rows) => this.#showPictures(rows));
    this.#stage = new Stage(this.#content, id, (tile, row) => this.#fill(tile, row));
    this.#sight = new Sight((tile) => this.#stage.tile(tile.row) === tile, onLooked);
    this.#scene = this.#sceneOf([], new Int32Array(0));
    this.#watchSize.observe(this.el);
    this.#watchSight.observe(this.el);
  }

  get rows(): readonly number[] {
    return this.#scene.rows;
  }
  get layout(): Layout {
    return this.#scene.layout;
  }
  get rowsOfPage(): number {
    return Math.floor(this.#scene.viewport / (this.layout.tile.height || 1));
  }
  /** The rows that are looked at. */
  get looked(): number[] {
    return this.#sight.rows;
  }
  positionOf(row: number): number {
    return this.#scene.positions[row] ?? -1;
  }

  /**
   * Show another result from its top, or (true) the same one further judged, whose hits stay
   * where they are until `showRows` follows.
   */
  showTable(table: ResultTable | null): boolean {
    const before = this.#table;
    this.#table = table;
    this.#sight.clear();
    const goesOn = table !== null && before !== null && isFurther(table, before);
    if (goesOn) this.#rename(before.columns, table.columns);
    else {
      this.#loader.clear();
      this.#stage.clear();
      this.el.scrollTop = 0;
    }
    if (table === null) return false;
    this.#bars = barsOf(table.columns);
    this.#aspect = aspectOf(table.columns.width, table.columns.height);
    setAttribute(this.el, "aria-label", `Hits for ${table.query}`);
    for (const tile of goesOn ? this.#stage.tiles : []) {
      if (tile.row >= 0) tile.showTexts(tile.row, table.columns, this.#bars, this.#aspect);
    }
    return goesOn;
  }

  /** Bring what is kept by row to the rows of another table. */
  #rename(before: Columns, columns: Columns): void {
    const rows = new Map(columns.image_id.map((id, row) => [id, row]));
    const rowOf = (row: number): number | undefined => rows.get(before.image_id[row] ?? "");
    const hasChanged = (row: number): boolean => {
      const other = rowOf(row) ?? -1;
      return MASK_COLUMNS.some((name) => before[name][row] !== columns[name][other]);
    };
    this.#loader.rename(rowOf, hasChanged);
    this.#stage.rename(rowOf);
    const positions = new Int32Array(columns.image_id.length).fill(-1);
    this.#scene.rows.forEach((row, position) => {
      const now = rowOf(row);
      if (now !== undefined) positions[now] = position;
    });
    this.#scene = { ...this.#scene, positions };
  }

  /** Rows that stand above what can be seen, but did not in the positions of before. */
  #risen(before: Scene): number[] {
    const { first } = this.#stage.visible;
    return this.rows.slice(0, first).filter((row) => {
      const position = before.positions[row] ?? -1;
      return position < 0 || position >= first;
    });
  }

  /** Show these rows in this order; returns those that went up and out of sight. */
  showRows(rows: readonly number[], glide: boolean): number[] {
    const before = this.#scene;
    const n = this.#table?.columns.image_id.length ?? 0;
    this.#scene = this.#sceneOf(rows, positionsOf(rows, n));
    this.#applyLayout();
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (glide && !isCalm && this.#scene.viewport > 0) this.#stage.glide(before, this.#scene);
    else this.#stage.show(this.#scene);
    this.#afterShow();
    return this.#risen(before);
  }

  /** Lay out again, with what is looked at in its place: the size has changed. */
  relayout(): void {
    // Hidden, e.g. in another tab: it comes back as it was.
    if (this.el.clientWidth === 0) return;
    const { layout, scrollTop, rows, positions } = this.#scene;
    const seen = visibleIn(layout, scrollTop, this.#scene.viewport);
    const current = positions[this.#currentRow()] ?? -1;
    const kept = current >= seen.first && current <= seen.last ? current : seen.first;
    const offset = kept < 0 || rows.length === 0 ? 0 : placeOf(layout, kept).y - scrollTop;
    this.#scene = this.#sceneOf(rows, positions);
    this.#applyLayout();
    if (scrollTop > 0 && rows.length > 0) {
      this.el.scrollTop = placeOf(this.#scene.layout, kept).y - offset;
    }
    this.#show();
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => this.repaint(), CALM_MS);
  }

  /** Marks, selection or the current hit have changed. */
  showStates(): void {
    this.#selected = new Set(this.session.get("selection"));
    for (const tile of this.#stage.tiles) this.#showState(tile);
    this.#showCurrent();
  }

  /** Masks have to be painted again; with `mask_mode` "all" more may have to be fetched. */
  repaint(): void {
    for (const tile of this.#stage.tiles) this.#painter.add(tile);
    this.#want();
  }

  /** Scroll as little as shows the whole tile of `row`. */
  reveal(row: number): void {
    const position = this.positionOf(row);
    if (position < 0 || this.#scene.viewport === 0) return;
    const { layout, viewport } = this.#scene;
    const top = scrollTo(layout, position, this.el.scrollTop, viewport);
    if (top === this.el.scrollTop) return;
    this.el.scrollTop = top;
    this.#show();
  }

  /** Ask again for pictures that the kernel did not send. */
  retry(): void {
    this.#loader.retry();
    this.#showPictures([...this.#stage.tiles].map((tile) => tile.row));
  }

  destroy(): void {
    this.#watchSize.disconnect();
    this.#watchSight.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#calm);
    this.#painter.destroy();
    this.#sight.destroy();
    this.#stage.destroy();
    this.#loader.clear();
  }

  #onScroll(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#show();
    });
  }

  #show(): void {
    const { scrollTop, clientHeight } = this.el;
    this.#scene = { ...this.#scene, scrollTop, viewport: clientHeight };
    this.#stage.show(this.#scene);
    this.#afterShow();
  }

  #afterShow(): void {
    this.#showCurrent();
    this.#want();
    this.#sight.update();
    if (this.#scene.viewport > 0) this.onSeen(this.#stage.visible);
  }

  #sceneOf(rows: readonly number[], positions: Int32Array): Scene {
    const limit = Number.parseFloat(getComputedStyle(this.el).maxHeight) || DEFAULT_VIEWPORT;
    const layout = layoutOf({
      n: rows.length,
      width: this.el.clientWidth,
      tilePx: this.session.get("tile_px"),
      aspect: this.#aspect,
      caption: this.session.get("labels") ? CAPTION.line + CAPTION.bar * this.#bars.length : 0,
      viewport: limit,
    });
    const { scrollTop } = this.el;
    const viewport = this.el.clientWidth > 0 ? Math.min(limit, layout.content.height) : 0;
    return { layout, rows, positions, scrollTop, viewport };
  }

  #applyLayout(): void {
    const { tile, picture, content, rows, columns } = this.layout;
    const { style } = this.#content;
    style.setProperty("--matir-tile-width", `${tile.width}px`);
    style.setProperty("--matir-tile-height", `${tile.height}px`);
    style.setProperty("--matir-picture-height", `${picture.height}px`);
    style.height = `${content.height}px`;
    this.#content.classList.toggle("matir-compact", tile.width < COMPACT);
    setAttribute(this.el, "aria-rowcount", rows);
    setAttribute(this.el, "aria-colcount", columns);
  }

  #fill(tile: TileNode, row: number): void {
    const columns = this.#table?.columns;
    if (columns === undefined) return;
    tile.showRow(row, columns, this.#bars, this.#aspect);
    this.#sight.add(tile);
    this.#showState(tile);
    this.#showPicture(tile);
  }

  #showState(tile: TileNode): void {
    const columns = this.#table?.columns;
    const id = columns?.image_id[tile.row];
    if (columns === undefined || id === undefined) return;
    tile.showState(columns, {
      mark: markOf(this.session, id),
      isSelected: this.#selected.has(id),
      isCurrent: id === this.session.get("current"),
    });
  }

  #currentRow(): number {
    const current = this.session.get("current");
    return current === "" ? -1 : (this.#table?.columns.image_id.indexOf(current) ?? -1);
  }

  #showCurrent(): void {
    const tile = this.#stage.tile(this.#currentRow());
    setAttribute(this.el, "aria-activedescendant", tile?.el.id);
  }

  #want(): void {
    const { layout, rows, viewport } = this.#scene;
    if (viewport === 0) return;
    const seen = this.#stage.visible;
    const near = withMargin(layout, seen);
    this.#loader.want({
      visible: rows.slice(seen.first, seen.last + 1),
      near: rows.slice(near.first, near.last + 1),
      side: thumbnailSide(layout.picture, devicePixelRatio),
      regions: this.session.get("mask_mode") === "all",
    });
  }

  #showPictures(rows: number[]): void {
    for (const row of rows) {
      const tile = this.#stage.tile(row);
      if (tile !== undefined) this.#showPicture(tile);
    }
  }

  #showPicture(tile: TileNode): void {
    const picture = this.#loader.picture(tile.row);
    tile.showPicture(picture, this.#table?.has_pictures === false);
    if (picture?.tile) this.#painter.add(tile);
  }

  #paint(tile: TileNode): void {
    const columns = this.#table?.columns;
    const mode = this.session.get("mask_mode");
    if (columns === undefined || mode === "none") return;
    const size = { width: columns.width[tile.row] ?? 1, height: columns.height[tile.row] ?? 1 };
    const { width, height } = frameOf(size, this.#aspect);
    const { picture } = this.layout;
    tile.paintMasks({
      width: picture.width * width,
      height: picture.height * height,
      ratio: devicePixelRatio,
      regions: mode === "all",
      colour: maskColour(this.el),
    });
  }
}

/** Whether `table` is what the same search gave, with more or fewer hits judged. */
function isFurther(table: ResultTable, before: ResultTable): boolean {
  return table.query === before.query && table.n_images === before.n_images;
}
