/**
 * The picture of a hit: zoom and pan, every region's outline, the judge's box, and what is
 * pointed at. Says by callbacks which region is under the pointer; knows no numbers but scores.
 */

import { h, replace, s, setAttribute } from "../dom";
import { freshId } from "../ids";
import { hit } from "../rle";
import type { Session } from "../session";
import type { Painted } from "./diverging";
import { onGestures } from "./gestures";
import type { Picture } from "./load";
import { marksOf, NOTHING, type Pointing } from "./marks_of";
import { Painter } from "./paint";
import { smallestAt } from "./regions";
import type { Detail } from "./shapes";
import {
  clamp,
  FITTING,
  type Frame,
  isInSight,
  neededSide,
  panBy,
  place,
  toImage,
  type Zoom,
  zoomAt,
} from "./zoom";

export interface Shown {
  name: string;
  width: number;
  height: number;
  detail: Detail | undefined;
  picture: Picture | undefined;
  /** In place of the picture. */
  message: string;
}

export interface PictureOptions {
  point(change: Partial<Pointing>): void;
  /** The zoom changed: how large is the picture now, in percent of its own size? */
  zoomed(percent: number): void;
  /** A sharper picture is wanted. */
  sharpen(): void;
}

const STEP = 1.5;
const PAN = 48;
const SHARPEN_AFTER = 200;
/** Drawn pixels are shown as squares from this size on, CSS pixels. */
const SQUARES = 3;
/** Of masks that carry colours of their own, however faint masks are otherwise. */
const CLEAR = 0.8;

export class PictureView {
  readonly el: HTMLElement;
  readonly #image = h("img", { alt: "", draggable: "false" });
  readonly #canvas = h("canvas", { "aria-hidden": true });
  readonly #marks = s("svg", { "aria-hidden": true });
  readonly #labels = h("div", { "aria-hidden": true });
  readonly #message = h("p", { class: "matir-lens-message", role: "status" });
  readonly #painter = new Painter(this.#canvas);
  readonly #observer = new ResizeObserver(() => {
    this.draw();
    this.#sharpen();
  });
  #zoom = FITTING;
  #shown: Shown | null = null;
  readonly #hatch = freshId("hatch");
  #pointing = NOTHING;
  #looks: readonly Painted[] | null = null;
  #frames = 0;
  #timer = 0;

  readonly #session: Session;
  readonly #options: PictureOptions;
  readonly #end: () => void;

  constructor(session: Session, options: PictureOptions) {
    this.#session = session;
    this.#options = options;
    this.el = h(
      "div",
      { class: "matir-lens", tabindex: 0, role: "group" },
      this.#image,
      this.#canvas,
      this.#marks,
      this.#labels,
      this.#message,
    );
    this.#observer.observe(this.el);
    this.#end = onGestures(this.el, {
      zoom: (ratio, x, y) => this.#set(zoomAt(this.#zoom, this.#frame, ratio, x, y)),
      pan: (dx, dy) => this.#set(panBy(this.#zoom, this.#frame, dx, dy)),
      point: (at) => {
        const hovered = at && this.#regionAt(...at);
        if (hovered !== this.#pointing.hovered) options.point({ hovered });
      },
      pick: (x, y) => {
        const id = this.#regionAt(x, y);
        options.point({ pinned: id === this.#pointing.pinned ? null : id });
      },
    });
  }

  /** False until the page gives it room, e.g. in a hidden tab. */
  get isLaidOut(): boolean {
    return this.el.clientWidth > 0;
  }

  /** Longest side, pixels, that the picture needs to look sharp. */
  get side(): number {
    return neededSide(this.#zoom, this.#frame, window.devicePixelRatio || 1);
  }

  show(shown: Shown): void {
    const before = this.#shown;
    this.#shown = shown;
    setAttribute(this.el, "aria-label", `Picture ${shown.name}; + − 0 zoom, arrow keys move it`);
    setAttribute(this.el, "aria-busy", !shown.detail || !(shown.picture || shown.message));
    if (shown.picture?.url !== before?.picture?.url) this.#load(shown.picture);
    this.#message.textContent = shown.picture ? "" : shown.message;
    this.#zoom = clamp(this.#zoom, this.#frame);
    this.draw();
  }

  point(pointing: Pointing): void {
    this.#pointing = pointing;
    this.#drawMarks();
  }

  /** Fill all regions with these colours, by region id; null = draw them as ever. */
  paint(looks: readonly Painted[] | null): void {
    if (looks === this.#looks) return;
    this.#looks = looks;
    this.draw();
  }

  /** "+", "-", "0" and, when the picture has the focus, the arrow keys; true = used. */
  key(event: KeyboardEvent): boolean {
    const towards = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const direction = towards[event.key as keyof typeof towards];
    if (!direction || event.target !== this.el) return this.zoomBy(event.key);
    const [dx, dy] = direction as [number, number];
    this.#set(panBy(this.#zoom, this.#frame, dx * PAN, dy * PAN));
    // A picture that is seen whole cannot be moved: the page scrolls.
    return this.#zoom.factor > 1;
  }

  /** Zoom by a key around the middle; false = it is no such key. */
  zoomBy(key: string): boolean {
    const { width, height } = this.#frame;
    const ratio = { "+": STEP, "=": STEP, "-": 1 / STEP, "0": 0 }[key];
    if (ratio === undefined) return false;
    this.#set(zoomAt(this.#zoom, this.#frame, ratio, width / 2, height / 2));
    return true;
  }

  focus(): void {
    this.el.focus({ preventScroll: true });
  }

  /** Draw again, e.g. after a toggle. */
  draw(): void {
    cancelAnimationFrame(this.#frames);
    this.#frames = requestAnimationFrame(() => this.#drawNow(false));
  }

  destroy(): void {
    this.#end();
    this.#observer.disconnect();
    this.#painter.destroy();
    cancelAnimationFrame(this.#frames);
    clearTimeout(this.#timer);
  }

  get #frame(): Frame {
    const { width, height } = this.#shown ?? { width: 1, height: 1 };
    const { clientWidth, clientHeight } = this.el;
    // before it is laid out there is no size yet
    return {
      width: clientWidth || 1,
      height: clientHeight || 1,
      imageWidth: width,
      imageHeight: height,
    };
  }

  #set(zoom: Zoom): boolean {
    const { factor, x, y } = this.#zoom;
    if (zoom.factor === factor && zoom.x === x && zoom.y === y) return false;
    this.#zoom = zoom;
    cancelAnimationFrame(this.#frames);
    this.#frames = requestAnimationFrame(() => this.#drawNow(true));
    this.#sharpen();
    return true;
  }

  #sharpen(): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#options.sharpen(), SHARPEN_AFTER);
  }

  #load(picture: Picture | undefined): void {
    if (picture) this.#image.src = picture.url;
    else this.#image.removeAttribute("src");
  }

  get #unit(): [number, number] {
    const { width = 1, height = 1, detail } = this.#shown ?? {};
    const [rows, columns] = detail?.mask_size ?? [height, width];
    return [width / columns, height / rows];
  }

  #regionAt(x: number, y: number): number | null {
    const at = toImage(this.#zoom, this.#frame, x, y);
    const [unitX, unitY] = this.#unit;
    const [column, row] = [Math.floor(at[0] / unitX), Math.floor(at[1] / unitY)];
    const regions = this.#shown?.detail?.regions ?? [];
    return smallestAt(regions, ...at, ({ mask }) => hit(mask, column, row))?.id ?? null;
  }

  #drawNow(isMoving: boolean): void {
    if (!this.#shown || !this.el.clientWidth) return;
    this.#zoom = clamp(this.#zoom, this.#frame);
    const { width, height, picture } = this.#shown;
    const placement = place(this.#zoom, this.#frame);
    const { scale, left, top } = placement;
    const { style } = this.#image;
    style.width = `${width * scale}px`;
    style.height = `${height * scale}px`;
    style.transform = `translate(${left}px,${top}px)`;
    const isWhole = picture !== undefined && picture.width >= width;
    style.imageRendering = isWhole && scale >= SQUARES ? "pixelated" : "";
    this.el.classList.toggle("matir-zoomed", this.#zoom.factor > 1);
    const mode = this.#session.get("mask_mode");
    const looks = this.#looks;
    const opacity = this.#session.get("mask_opacity");
    const fill = looks ? Math.max(opacity, CLEAR) : mode === "all" ? opacity : 0;
    const shapes = mode === "none" && !looks ? [] : (this.#shown.detail?.shapes ?? []);
    this.#painter.show({ shapes, ratio: this.#unit, fill, looks }, placement, isMoving);
    this.#drawMarks();
    this.#options.zoomed(scale * 100);
  }

  /** The chosen region, the judge's box and what is pointed at, above all outlines. */
  #drawMarks(): void {
    const session = this.#session;
    const detail = this.#shown?.detail;
    const frame = this.#frame;
    const placement = place(this.#zoom, frame);
    const { scale, left, top } = placement;
    const [unitX, unitY] = this.#unit;
    const has = { masks: session.get("mask_mode") !== "none", boxes: session.get("boxes") };
    const labels: HTMLElement[] = [];
    const groups = (detail ? marksOf(detail, this.#pointing, has) : []).map(
      ({ kind, d, box, text }) => {
        const isNamed = session.get("labels") || kind === "hovered";
        if (text && box && isNamed && isInSight(box, placement, frame.width, frame.height)) {
          labels.push(tag(kind, text, left + box[0] * scale, top + box[d ? 1 : 3] * scale));
        }
        const [x, y] = d ? [scale * unitX, scale * unitY] : [scale, scale];
        if (kind === "blanked") return this.#blank(d, left, top, x, y);
        const path = d || (box ? `M${box[0]} ${box[1]}H${box[2]}V${box[3]}H${box[0]}Z` : "");
        return s(
          "g",
          { transform: `translate(${left} ${top}) scale(${x} ${y})` },
          s("path", { class: "matir-mark-under", d: path }),
          kind === "chosen" && s("path", { class: "matir-mark-rim", d: path }),
          s("path", { class: `matir-mark-${kind}`, d: path }),
        );
      },
    );
    const fill = this.#looks ? 0 : session.get("mask_opacity");
    this.#marks.style.setProperty("--matir-fill", String(fill));
    replace(this.#marks, ...groups);
    replace(this.#labels, ...labels);
  }

  /** A region that is left out; its hatching stays as wide as it is while zooming. */
  #blank(d: string, left: number, top: number, x: number, y: number): SVGElement {
    const pattern = {
      id: this.#hatch,
      patternUnits: "userSpaceOnUse",
      width: 10,
      height: 10,
      patternTransform: `scale(${1 / x} ${1 / y}) rotate(45)`,
    };
    return s(
      "g",
      { transform: `translate(${left} ${top}) scale(${x} ${y})`, class: "matir-blanked" },
      s(
        "pattern",
        pattern,
        s("rect", { width: 10, height: 10 }),
        s("rect", { width: 4, height: 10 }),
      ),
      s("path", { d, style: `fill:url(#${this.#hatch})` }),
    );
  }
}

/** A label above a mark, below the judge's box; what would stick out is moved into the picture. */
function tag(kind: string, text: string, x: number, y: number): HTMLElement {
  const place = kind === "box" ? `min(${y}px,100% - 18px)` : `max(${y - 18}px,0px)`;
  const style = `left:max(${x}px,0px);top:${place}`;
  return h("span", { class: `matir-tag matir-tag-${kind}`, style }, text);
}
