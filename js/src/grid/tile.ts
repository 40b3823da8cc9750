/** One tile of the grid: a node that is made once and shows one hit after another. */

import { h, replace, setAttribute } from "../dom";
import { count, score } from "../format";
import { signOf } from "../marks";
import { isUnjudged } from "../order";
import { position } from "../palette";
import type { Columns, MarkName, Tile } from "../protocol";
import { badgeOf, copiesOf, fileName, labelOf, moveOf, splitName } from "../words";
import { type Bar, NOT_JUDGED } from "./bars";
import { frameOf, type Place } from "./layout";
import type { Picture } from "./loader";
import { type Look, paint, type Shapes, shapesOf } from "./overlay";

export interface TileState {
  mark: MarkName | null;
  isSelected: boolean;
  isCurrent: boolean;
}

export class TileNode {
  readonly el: HTMLElement;
  row = -1;
  place: Place = { x: 0, y: 0 };
  readonly #image = h("img", { alt: "", draggable: "false", decoding: "async" });
  readonly #fill = h("canvas", { class: "matir-fill" });
  readonly #line = h("canvas");
  readonly #box = h("div", { class: "matir-judged-box" });
  readonly #message = h("div", { class: "matir-tile-message" });
  readonly #frame = h(
    "div",
    { class: "matir-frame" },
    this.#image,
    this.#fill,
    this.#line,
    this.#box,
  );
  /** What is read aloud, in place of all that is shown. */
  readonly #label = h("span", { class: "matir-hidden-text" });
  readonly #badge = h("span", { class: "matir-badge" });
  readonly #mark = h("span", { class: "matir-mark" });
  /** Rank, for when there is no caption. */
  readonly #chip = h("span", { class: "matir-chip" });
  readonly #ranks = h("span", { class: "matir-ranks" });
  readonly #name = h("span", { class: "matir-name", dir: "auto" });
  readonly #move = h("span", { class: "matir-move" });
  readonly #bars = h("div", { class: "matir-bars" });
  #picture: Picture | undefined;
  #shapes: Shapes | null = null;
  #shapesOf: Picture | undefined;

  constructor(id: string) {
    const check = h("span", { class: "matir-check", title: "select" }, "✓");
    this.#image.addEventListener("load", () => this.#frame.classList.add("matir-loaded"));
    this.el = h(
      "div",
      { class: "matir-tile", role: "gridcell", id },
      this.#label,
      h(
        "div",
        { class: "matir-picture", "aria-hidden": true },
        this.#frame,
        this.#message,
        this.#mark,
        check,
        this.#badge,
        this.#chip,
      ),
      h(
        "div",
        { class: "matir-caption", "aria-hidden": true },
        h("div", { class: "matir-first-line" }, this.#ranks, this.#name, this.#move),
        this.#bars,
      ),
    );
  }

  /** Show another hit; its picture comes with `showPicture`. */
  showRow(row: number, columns: Columns, bars: readonly Bar[], aspect: number): void {
    this.showTexts(row, columns, bars, aspect);
    this.#picture = undefined;
    this.#forgetPicture();
  }

  /** Show what the table says of a hit whose picture stays. */
  showTexts(row: number, columns: Columns, bars: readonly Bar[], aspect: number): void {
    this.row = row;
    this.el.dataset.row = String(row);
    this.#showFrame(columns, aspect);
    this.#showNames(columns);
    const badge = badgeOf(columns, row);
    // with labels the bars say it
    const isQuiet = badge === "" && isUnjudged(columns, row);
    this.#badge.textContent = isQuiet ? NOT_JUDGED : badge;
    this.#badge.hidden = !isQuiet && badge === "";
    this.#badge.classList.toggle("matir-quiet", isQuiet);
    this.el.classList.toggle("matir-kept", columns.above_cut[row] === 1);
    replace(this.#bars, ...bars.map((bar) => barOf(bar, row)));
  }

  showState(columns: Columns, { mark, isSelected, isCurrent }: TileState): void {
    const { el } = this;
    el.classList.toggle("matir-current", isCurrent);
    setAttribute(el, "aria-selected", isSelected);
    this.#label.textContent = labelOf(columns, this.row, mark);
    setAttribute(this.#mark, "data-mark", mark);
    this.#mark.hidden = mark === null;
    if (mark !== null) this.#mark.textContent = `${signOf(mark)} ${mark}`;
  }

  /**
   * Show the picture, or why there is none (`calm` = not here, for it is known of all); masks are
   * shown without it, too. `undefined` = it is on its way.
   */
  showPicture(picture: Picture | undefined, calm: boolean): void {
    if (picture === this.#picture && picture !== undefined) return;
    this.#picture = picture;
    const { url = null, tile = null, error = null, canRetry = false } = picture ?? {};
    const said = error === null || (calm && tile !== null) ? "" : error;
    this.el.classList.toggle("matir-failed", said !== "");
    this.#message.textContent = canRetry ? `${said} · click to try again` : said;
    if (url === null) this.#forgetPicture();
    else if (this.#image.getAttribute("src") !== url) this.#image.src = url;
    if (tile === null) return;
    if (url === null) this.#frame.classList.add("matir-loaded");
    this.#showBox(tile);
  }

  /** Paint the masks of the picture that is shown. */
  paintMasks(look: Look): void {
    const tile = this.#picture?.tile ?? null;
    if (tile === null) return;
    if (this.#shapesOf !== this.#picture) this.#findShapes(tile, look.width);
    this.#shapesOf = this.#picture;
    this.el.classList.toggle("matir-painted", this.#shapes !== null);
    if (this.#shapes !== null) paint(this.#fill, this.#line, this.#shapes, look);
  }

  moveTo(place: Place): void {
    if (place.x === this.place.x && place.y === this.place.y) return;
    this.place = place;
    this.el.style.transform = `translate(${place.x}px, ${place.y}px)`;
  }

  #findShapes(tile: Tile, width: number): void {
    this.#shapes = null;
    try {
      this.#shapes = shapesOf(tile, width);
    } catch (error) {
      this.#badge.hidden = false;
      this.#badge.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  #showFrame(columns: Columns, aspect: number): void {
    const size = { width: columns.width[this.row] ?? 1, height: columns.height[this.row] ?? 1 };
    const { x, y, width, height } = frameOf(size, aspect);
    const percent = (value: number): string => `${(100 * value).toFixed(3)}%`;
    Object.assign(this.#frame.style, {
      left: percent(x),
      top: percent(y),
      width: percent(width),
      height: percent(height),
    });
  }

  #showNames(columns: Columns): void {
    const [row, id] = [this.row, columns.image_id[this.row] ?? ""];
    const stage1Rank = columns.stage1_rank[row] ?? 0;
    const move = moveOf(stage1Rank, row + 1);
    const [head, tail] = splitName(fileName(id));
    this.el.title = [id, copiesOf(columns, row)].filter(Boolean).join("\n");
    for (const el of [this.#ranks, this.#chip]) {
      replace(
        el,
        h("b", { class: "matir-rank-final" }, count(row + 1)),
        h("b", { class: "matir-rank-stage1" }, count(stage1Rank)),
      );
    }
    replace(this.#name, h("span", null, head), h("span", null, tail));
    this.#move.dataset.direction = move.direction;
    this.#move.title = move.said;
    replace(this.#move, h("span", null, move.way), h("b", null, move.change));
  }

  #showBox({ judged_box: box }: Tile): void {
    this.#box.hidden = box === null;
    if (box === null) return;
    const [x0, y0, x1, y1] = box;
    Object.assign(this.#box.style, {
      left: `${100 * x0}%`,
      top: `${100 * y0}%`,
      width: `${100 * (x1 - x0)}%`,
      height: `${100 * (y1 - y0)}%`,
    });
  }

  #forgetPicture(): void {
    this.#image.removeAttribute("src");
    this.#frame.classList.remove("matir-loaded");
    this.el.classList.remove("matir-painted");
    this.#box.hidden = true;
  }
}

function barOf(bar: Bar, row: number): HTMLElement {
  const value = bar.values[row] ?? null;
  const title = value === null ? bar.missing : `${bar.title}${bar.note?.(row) ?? ""}`;
  const attributes = { class: "matir-bar", "data-kind": bar.kind, title };
  const name = h("span", null, bar.name);
  if (value === null && bar.missing === NOT_JUDGED) {
    return h("div", attributes, name, h("em", null, NOT_JUDGED));
  }
  const filled = value === null ? 0 : position(value, bar.range.low, bar.range.high);
  return h(
    "div",
    attributes,
    name,
    h("i", null, h("i", { style: `width:${(100 * filled).toFixed(1)}%` })),
    h("span", null, score(value, 2)),
  );
}
