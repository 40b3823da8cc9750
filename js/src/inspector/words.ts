/**
 * "Words × regions": what each word or phrase of the query adds to each region, as a table that
 * is a heat map. Pointing at a word recolours the picture, a click keeps it. The words are one
 * stop for the Tab key; arrow keys move between words and, left and right, between regions.
 */

import { h, replace, setAttribute } from "../dom";
import { score, signed } from "../format";
import type { WordsReply } from "../protocol";
import { type Answered, waiting } from "./answered";
import { DIVERGING_RAMP, limitOf, painted } from "./diverging";
import type { Detail } from "./shapes";

/** How far one word or phrase sets every region apart, by region id. */
export interface Contribution {
  text: string;
  adds: readonly number[];
  /** Largest contribution of any word (or phrase), the end of the scale. */
  limit: number;
}

export interface WordOptions {
  /** Something is pointed at, or nothing any more. */
  paint(): void;
  /** The pointer is on a region's column; null = it left. */
  point(region: number | null): void;
  /** Opened, or asked to try again. */
  wanted(): void;
}

const MAX_REGIONS = 12;
type Unit = "words" | "phrases";
/** A word as a query of its own, or the query without it. */
type Way = "alone" | "left out";

export class Words {
  readonly el: HTMLElement;
  readonly #fold: HTMLDetailsElement;
  readonly #body = h("div", { class: "matir-words" });
  readonly #told = h("p", { class: "matir-told", "aria-live": "polite" });
  readonly #options: WordOptions;
  #detail: Detail | undefined;
  #reply: WordsReply | undefined;
  #raw: number[][] = [];
  #matrix: number[][] = [];
  #unit: Unit = "words";
  #way: Way = "alone";
  #hovered: number | null = null;
  #pinned: number | null = null;
  #rows: HTMLTableRowElement[] = [];
  /** Region ids of the columns, and the column that the keyboard is in. */
  #columns: number[] = [];
  #column = -1;

  constructor(options: WordOptions) {
    this.#options = options;
    const title = h("summary", null, h("h3", null, "Words × regions"));
    this.#fold = h("details", { class: "matir-fold" }, title, this.#body);
    this.#fold.addEventListener("toggle", () => {
      options.wanted();
      options.paint();
    });
    this.el = h("section", { class: "matir-section" }, this.#fold);
  }

  /** True = an answer is wanted. */
  get isOpen(): boolean {
    return this.#fold.open;
  }

  /** What the picture shows in colours; null = nothing is pointed at. */
  get contribution(): Contribution | null {
    const adds = this.#matrix[this.#hovered ?? this.#pinned ?? -1];
    if (!this.isOpen || !adds) return null;
    const text = this.#texts[this.#hovered ?? this.#pinned ?? -1] as string;
    return { text, adds, limit: limitOf(this.#matrix) };
  }

  /** Another query: its words are others. */
  forget(): void {
    this.#hovered = this.#pinned = null;
  }

  /** Let go of the word that is kept; false = there was none. */
  unpin(): boolean {
    if (!this.isOpen || this.#pinned === null) return false;
    this.#pin(this.#pinned);
    return true;
  }

  show(detail: Detail, { reply, error }: Answered<WordsReply>): void {
    if (reply !== undefined && reply === this.#reply && detail === this.#detail) return;
    [this.#detail, this.#reply] = [detail, reply];
    this.#hovered = null;
    if (reply) this.#fill();
    else replace(this.#body, waiting(error, "Leaving out one word after the other …"));
  }

  get #texts(): string[] {
    const { words = [], phrases = [] } = this.#reply ?? {};
    return this.#unit === "words" ? words : phrases.map(({ text }) => text);
  }

  #fill(): void {
    const reply = this.#reply;
    if (!reply) return;
    const { base, phrases } = reply;
    const [own, without] =
      this.#unit === "words"
        ? [reply.word_alone, reply.by_word]
        : [reply.phrase_alone, reply.by_phrase];
    this.#raw = this.#way === "alone" ? own : without;
    this.#matrix = this.#raw.map(contrast);
    if (!base.length || !this.#texts.length) {
      replace(this.#body, h("p", { class: "matir-hint" }, "There are no regions to compare."));
      return;
    }
    const byScore = base.map((_, id) => id).sort((a, b) => (base[b] ?? 0) - (base[a] ?? 0));
    this.#columns = byScore.slice(0, MAX_REGIONS);
    const limit = limitOf(this.#matrix);
    this.#rows = this.#texts.map((text, i) => this.#row(text, i, limit));
    const first = this.#rows[this.#pinned ?? 0] ?? this.#rows[0];
    if (first) button(first).tabIndex = 0;
    replace(
      this.#body,
      h(
        "p",
        { class: "matir-hint" },
        this.#way === "alone"
          ? "Cosine of the word as a query of its own"
          : "Cosine of the query minus that without the word",
        ", less the picture's mean, × 100; ",
        this.#columns.length < base.length && `${MAX_REGIONS} of ${base.length} regions, `,
        "best region first.",
      ),
      h(
        "div",
        { class: "matir-lens-bar" },
        this.#turn("left out", this.#way === "left out", () => {
          this.#way = this.#way === "alone" ? "left out" : "alone";
        }),
        phrases.length > 0 &&
          this.#turn("whole phrases", this.#unit === "phrases", () => {
            this.#unit = this.#unit === "words" ? "phrases" : "words";
            this.forget();
          }),
        h("div", { class: "matir-legend" }, ...scaleOf(limit)),
      ),
      h("div", { class: "matir-heat" }, this.#table()),
      this.#told,
    );
    this.#mark();
  }

  /** A button that shows the same words in another way. */
  #turn(label: string, isOn: boolean, change: () => void): HTMLElement {
    const turn = (): void => {
      change();
      this.#fill();
      this.#options.paint();
      [...this.#body.querySelectorAll("button")].find((b) => b.textContent === label)?.focus();
    };
    return h("button", { type: "button", "aria-pressed": isOn, onclick: turn }, label);
  }

  #table(): HTMLElement {
    const colours = new Map(
      this.#detail?.shapes.map(({ region, look }) => [region.id, look.colour]),
    );
    const heads = this.#columns.map((id) =>
      h(
        "th",
        { scope: "col", title: `Region ${id}, stage 1 ${score(this.#reply?.base[id])}` },
        h("span", { class: "matir-swatch", style: `background:${colours.get(id)}` }),
        id,
        id === this.#detail?.chosen && h("span", { title: "chosen" }, "◆"),
      ),
    );
    const unit = this.#unit === "words" ? "word" : "phrase";
    return h(
      "table",
      {
        "aria-label": `How far each ${unit} sets each region apart`,
        onkeydown: (event) => this.#move(event),
      },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, unit), ...heads)),
      h("tbody", null, ...this.#rows),
    );
  }

  #row(text: string, i: number, limit: number): HTMLTableRowElement {
    const adds = this.#matrix[i] ?? [];
    const enter = (region: number | null): void => {
      this.#column = region === null ? -1 : this.#columns.indexOf(region);
      this.#hover(i);
    };
    const name = h(
      "button",
      {
        type: "button",
        tabindex: -1,
        "aria-pressed": false,
        title: "Keep the picture in this word's colours",
        dir: "auto",
        onfocus: () => enter(null),
        onblur: () => this.#hover(null),
      },
      text,
    );
    return h(
      "tr",
      { onclick: () => this.#pin(i), onpointerleave: () => this.#hover(null) },
      h("th", { scope: "row", onpointerenter: () => enter(null) }, name),
      ...this.#columns.map((id) => {
        const { colour, isDark } = painted(adds[id] ?? 0, limit);
        const style = `background:${colour};color:${isDark ? "#fff" : "#000"}`;
        return h("td", { style, onpointerenter: () => enter(id) }, hundredths(adds[id] ?? 0));
      }),
    );
  }

  #hover(word: number | null): void {
    if (word === null) this.#column = -1;
    this.#hovered = word;
    this.#mark();
    this.#options.point(this.#columns[this.#column] ?? null);
    this.#options.paint();
  }

  #pin(word: number): void {
    this.#pinned = this.#pinned === word ? null : word;
    this.#mark();
    this.#options.paint();
  }

  #mark(): void {
    const shown = this.#hovered ?? this.#pinned;
    this.#rows.forEach((row, i) => {
      row.classList.toggle("matir-hovered", i === shown);
      setAttribute(button(row), "aria-pressed", i === this.#pinned);
      [...row.cells].forEach((cell, j) => {
        cell.classList.toggle("matir-at", i === this.#hovered && j > 0 && j - 1 === this.#column);
      });
    });
    this.#told.textContent = this.#words(shown);
  }

  /** "“red” sets region 3 apart by +0.034: its cosine is 0.412". */
  #words(shown: number | null): string {
    const adds = this.#matrix[shown ?? -1];
    if (shown === null || !adds) return "Point at a word: the picture shows what it sets apart.";
    const best = this.#columns.reduce((a, b) => ((adds[b] ?? 0) > (adds[a] ?? 0) ? b : a));
    const id = this.#columns[this.#column];
    const region = id ?? best;
    const most = id === undefined ? " (most)" : "";
    const value = `region ${region}${most} apart by ${signed(adds[region])}`;
    const raw = signed(this.#raw[shown]?.[region]);
    const sum = this.#way === "alone" ? `its cosine is ${raw}` : `left out, it takes ${raw} away`;
    return `“${this.#texts[shown]}” sets ${value}: ${sum}.`;
  }

  #move(event: KeyboardEvent): void {
    const at = this.#rows.findIndex((row) => row.contains(event.target as Node));
    const last = this.#rows.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (at < 0 || (to === undefined && side === undefined)) return;
    event.preventDefault();
    event.stopPropagation();
    if (side !== undefined) {
      this.#column = Math.min(Math.max(this.#column + side, -1), this.#columns.length - 1);
      const column = this.#column;
      this.#hover(at);
      this.#rows[at]?.cells[column + 1]?.scrollIntoView({ block: "nearest", inline: "nearest" });
      return;
    }
    const [from, next] = [this.#rows[at], this.#rows[to as number]];
    if (!from || !next) return;
    button(from).tabIndex = -1;
    button(next).tabIndex = 0;
    button(next).focus({ preventScroll: true });
  }
}

/** 0.0342 -> "+3.4": what fits into a cell. */
export function hundredths(value: number): string {
  return signed(value * 100, 1);
}

/** Values less their mean: cosines without a word rise and fall together. */
export function contrast(values: readonly number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / (values.length || 1);
  return values.map((value) => value - mean);
}

/** The scale from "farthest below the mean" to "farthest above", for a legend. */
export function scaleOf(limit: number): HTMLElement[] {
  return [
    h("span", null, `less ${signed(-limit)}`),
    h("i", { class: "matir-ramp", style: `background:${DIVERGING_RAMP}` }),
    h("span", null, `${signed(limit)} more`),
  ];
}

function button(row: HTMLTableRowElement): HTMLButtonElement {
  return row.querySelector("button") as HTMLButtonElement;
}
