/**
 * The inspector: one hit with its picture and regions, what the judge said, how box and regions
 * agree, and what its scores are made of. It follows the trait `current`; with none, it shows
 * the first hit. What is not loaded yet, or cannot be, is said in its place.
 */

import { turnLayer } from "../controls";
import { h, replace } from "../dom";
import { score } from "../format";
import { onAny } from "../listeners";
import { markOfKey, setMark } from "../marks";
import { noticeBar } from "../notices";
import { CHOICE, neighbours, rowsOf } from "../order";
import type { OccludeReply, ResultTable, WhyReply, WordsReply } from "../protocol";
import type { Session, View } from "../session";
import { fileName } from "../words";
import type { Answered } from "./answered";
import { painted } from "./diverging";
import { Header } from "./header";
import { judgedInTable, judgeSection } from "./judge";
import { ledgerSection, stage1Section } from "./ledger";
import { Loader, type Question } from "./load";
import { NOTHING, type Pointing } from "./marks_of";
import { Occlusion } from "./occlusion";
import { PictureView } from "./picture";
import { Readout } from "./readout";
import { RegionTable } from "./region_table";
import type { Detail } from "./shapes";
import { Toolbar } from "./toolbar";
import { Why } from "./why";
import { type Contribution, Words } from "./words";

export function createInspector(session: Session): View {
  return new Inspector(session);
}

class Inspector implements View {
  readonly el: HTMLElement;
  readonly #session: Session;
  readonly #loader: Loader;
  readonly #notices: View;
  readonly #header: Header;
  readonly #picture: PictureView;
  readonly #toolbar: Toolbar;
  readonly #readout = new Readout();
  readonly #table = new RegionTable((change) => this.#point(change));
  readonly #occlusion = new Occlusion(() => this.#turnOut());
  readonly #why = new Why(() => this.#render());
  readonly #words = new Words({
    paint: () => this.#paint(),
    point: (hovered) => this.#point({ hovered }),
    wanted: () => this.#retry(),
  });
  readonly #facts = h("div", { class: "matir-facts" });
  readonly #empty = h("p", { class: "matir-hint", role: "status" });
  readonly #body: HTMLElement;
  readonly #ends: (() => void)[];
  #pointing = NOTHING;
  #word: Contribution | null = null;
  #result: ResultTable | null = null;
  #row = -1;
  #detail: Detail | undefined;

  constructor(session: Session) {
    this.#session = session;
    this.#loader = new Loader(session, (row) => row === this.#row && this.#render());
    this.#notices = noticeBar(session);
    this.#header = new Header(session, (row) => this.#go(row));
    this.#toolbar = new Toolbar(session, (key) => this.#picture.zoomBy(key));
    this.#picture = new PictureView(session, {
      point: (change) => this.#point(change),
      zoomed: (percent) => this.#toolbar.zoomed(percent),
      sharpen: () => this.#ask(),
    });
    this.#body = h(
      "div",
      { class: "matir-inspector-body" },
      h("div", null, this.#toolbar.el, this.#picture.el, this.#readout.el, this.#occlusion.el),
      this.#facts,
    );
    this.el = h(
      "section",
      {
        class: "matir matir-inspector",
        "aria-label": "Inspector",
        "data-lm-suppress-shortcuts": true,
        onkeydown: (event) => this.#key(event),
      },
      this.#notices.el,
      this.#empty,
      this.#header.el,
      this.#body,
    );
    this.#ends = this.#watch();
    this.#follow();
  }

  destroy(): void {
    for (const end of this.#ends) end();
    this.#notices.destroy();
    this.#toolbar.destroy();
    this.#picture.destroy();
    this.#loader.clear();
  }

  #watch(): (() => void)[] {
    const session = this.#session;
    const shown = [...CHOICE, "result", "current", "marks"] as const;
    const layers = ["mask_mode", "boxes", "labels", "mask_opacity"] as const;
    return [
      onAny(session, shown, () => this.#follow()),
      onAny(session, layers, () => this.#picture.draw()),
      onAny(session, ["connection"], () => session.isConnected && this.#retry()),
    ];
  }

  /** Show the hit that is current now. */
  #follow(): void {
    const { result } = this.#session;
    const known = result?.columns.image_id.indexOf(this.#session.get("current")) ?? -1;
    const row = known < 0 ? (rowsOf(this.#session)[0] ?? 0) : known;
    const isOther = result?.id !== this.#result?.id;
    if (isOther) {
      this.#loader.clear();
      this.#why.forget();
      this.#words.forget();
    }
    if (isOther || row !== this.#row) {
      this.#loader.retry();
      this.#pointing = NOTHING;
      this.#detail = undefined;
    }
    [this.#result, this.#row] = [result, row];
    this.#render();
  }

  get #neighbours(): [number | null, number | null] {
    return neighbours(rowsOf(this.#session), this.#row);
  }

  #render(): void {
    const [result, row] = [this.#result, this.#row];
    const isEmpty = !result?.columns.image_id.length;
    this.#empty.textContent = !isEmpty ? "" : result ? "No hits." : "No search yet.";
    this.#header.el.hidden = this.#body.hidden = isEmpty;
    if (!result || isEmpty) return;
    const rows = rowsOf(this.#session);
    this.#header.show({
      row,
      neighbours: neighbours(rows, row),
      place: rows.indexOf(row) + 1,
      n: rows.length,
    });
    const { columns } = result;
    const detail = this.#loader.detail(row);
    this.#picture.show({
      name: fileName(columns.image_id[row] as string),
      width: columns.width[row] as number,
      height: columns.height[row] as number,
      detail,
      picture: this.#loader.picture(row),
      message: this.#message(result, row),
    });
    const hadFocus = this.#facts.matches(":focus-within");
    if (!detail) replace(this.#facts, ...this.#known(result, row));
    else if (detail !== this.#detail) this.#showFacts(detail, result);
    if (hadFocus && !this.#facts.matches(":focus-within")) this.#picture.focus();
    this.#detail = detail;
    this.#explain();
    this.#paint();
    this.#ask();
  }

  /** Show what is known of the questions that are open, and ask the others. */
  #explain(): void {
    const [detail, result, row] = [this.#detail, this.#result, this.#row];
    if (!detail || !result) return;
    this.#why.about(row, result, detail.gap);
    if (this.#why.isOpen) {
      this.#why.show(this.#answered<WhyReply>({ kind: "why", row, other: this.#why.other }));
    }
    if (this.#words.isOpen)
      this.#words.show(detail, this.#answered<WordsReply>({ kind: "words", row }));
  }

  #answered<Body>(question: Question): Answered<Body> {
    if (this.#picture.isLaidOut) this.#loader.ask(question);
    return this.#loader.answered<Body>(question);
  }

  #showFacts(detail: Detail, result: ResultTable): void {
    const isAboveCut = result.columns.above_cut[this.#row] ?? null;
    this.#table.show(detail);
    const notes = detail.notes.map((note) => h("li", null, note));
    replace(
      this.#facts,
      this.#words.el,
      judgeSection(detail.judge, result.n_judged),
      this.#table.el,
      ledgerSection(detail, this.#why.el),
      stage1Section(detail, isAboveCut === null ? null : isAboveCut === 1),
      notes.length > 0 &&
        h("section", { class: "matir-section" }, h("h3", null, "Notes"), h("ul", null, ...notes)),
    );
  }

  /** What stands in place of the picture until there is one. */
  #message(result: ResultTable, row: number): string {
    const error = this.#loader.error("image", row);
    if (error !== undefined) return `Picture cannot be read: ${error}`;
    return result.has_pictures
      ? "Loading the picture …"
      : "No pictures: this result was loaded without its index. In Python, result.with_source(…) gives it one.";
  }

  /** What the table says, while there are no details or when there will be none. */
  #known({ columns }: ResultTable, row: number): (Node | false)[] {
    const error = this.#loader.error("inspect", row);
    const facts: [string, string][] = [
      ["final score", score(columns.final_score[row])],
      ["stage-1 score", score(columns.stage1_score[row])],
      ["best region", score(columns.best_region_score[row])],
      ["whole image", score(columns.whole_image_score[row])],
      ["judge", judgedInTable(columns, row)],
      ["align IoU", score(columns.align_iou[row], 2)],
    ];
    const list = facts.flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]);
    const words = error === undefined ? "Loading regions and terms …" : `No details: ${error}`;
    return [
      h("p", { class: error === undefined ? "matir-hint" : "matir-error", role: "status" }, words),
      error !== undefined &&
        h("button", { type: "button", onclick: () => this.#retry() }, "Try again"),
      h(
        "section",
        { class: "matir-section" },
        h("h3", null, "Known so far"),
        h("dl", null, ...list),
      ),
    ];
  }

  /** Ask for what this hit needs, then for the next one, so that it is there at once. */
  #ask(): void {
    if (!this.#result || !this.#picture.isLaidOut) return;
    const [, next] = this.#neighbours;
    const { side } = this.#picture;
    this.#loader.only(this.#row, next);
    this.#loader.need(this.#row, side);
    if (next !== null && this.#loader.isComplete(this.#row)) {
      this.#loader.need(next, Math.min(side, 1024));
    }
  }

  #retry(): void {
    this.#loader.retry();
    this.#render();
  }

  #point(change: Partial<Pointing>): void {
    const { pinned } = this.#pointing;
    this.#pointing = { ...this.#pointing, ...change };
    if (this.#pointing.pinned !== pinned) this.#putBack();
    this.#picture.point(this.#pointing);
    this.#table.mark(this.#pointing);
    this.#readout.point(this.#detail, this.#pointing, this.#word);
    this.#showOcclusion();
  }

  /** Show in the picture what the word pointed at adds to each region, or the regions as ever. */
  #paint(): void {
    const word = this.#detail ? this.#words.contribution : null;
    const isSame = word?.adds === this.#word?.adds;
    this.#word = word;
    if (!isSame) this.#picture.paint(word?.adds.map((value) => painted(value, word.limit)) ?? null);
    this.#readout.show(this.#detail, word);
    this.#point({});
  }

  #without(region: number): Question {
    return { kind: "occlude", row: this.#row, region };
  }

  /** Leave the pinned region out, or put it back. */
  #turnOut(): void {
    const { pinned, blanked } = this.#pointing;
    if (pinned === null) return;
    if (blanked === null) {
      this.#loader.ask(this.#without(pinned));
      this.#point({ blanked: pinned });
    } else {
      this.#putBack();
      this.#point({});
    }
  }

  #putBack(): void {
    const { blanked } = this.#pointing;
    if (blanked === null) return;
    this.#loader.drop(this.#without(blanked));
    this.#pointing = { ...this.#pointing, blanked: null };
  }

  #showOcclusion(): void {
    const [detail, { pinned, blanked }] = [this.#detail, this.#pointing];
    if (!detail || pinned === null) {
      this.#occlusion.show(null);
      return;
    }
    const answered = this.#loader.answered<OccludeReply>(this.#without(pinned));
    this.#occlusion.show({ ...answered, detail, region: pinned, isOut: blanked !== null });
  }

  #go(row: number | null): void {
    const imageId = this.#result?.columns.image_id[row ?? -1];
    if (imageId !== undefined) this.#session.set("current", imageId);
  }

  #key(event: KeyboardEvent): void {
    const isTyping = event.target instanceof Element && event.target.matches("input,select");
    // Many keyboards have brackets behind Alt or AltGr.
    const isBracket = event.altKey && /^[[\]]$/.test(event.key);
    const isChord = event.ctrlKey || event.metaKey || event.altKey;
    if (isTyping || (isChord && !isBracket)) return;
    if (!this.#use(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** True = the key meant something here. */
  #use(event: KeyboardEvent): boolean {
    const { key } = event;
    const mark = markOfKey(key);
    const imageId = this.#result?.columns.image_id[this.#row];
    if (imageId === undefined) return false;
    if (key === "[" || key === "]") this.#go(this.#neighbours[key === "[" ? 0 : 1]);
    else if (key === "Escape" && this.#pointing.pinned !== null) this.#point({ pinned: null });
    else if (key === "Escape" && this.#words.unpin()) return true;
    else if (mark !== undefined) {
      const [, next] = this.#neighbours;
      setMark(this.#session, mark, [imageId]);
      if (event.shiftKey) this.#go(next);
    } else return this.#picture.key(event) || turnLayer(this.#session, key);
    return true;
  }
}
