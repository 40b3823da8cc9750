/**
 * The ranked grid: counts and controls, the hits as tiles in a scrolling window, a panel beside
 * it. Here the parts are tied to the session; what they do stands in the files next to this one.
 */

import { h, replace } from "../dom";
import { count, plural } from "../format";
import { freshId } from "../ids";
import { onAny } from "../listeners";
import { countMarks, MARKS } from "../marks";
import { noticeBar } from "../notices";
import { aboveCut, CHOICE, countsText, rowsOf } from "../order";
import { RAMP } from "../palette";
import type { Session, View } from "../session";
import { Commands } from "./commands";
import { createFoot, type Foot } from "./foot";
import type { Stretch } from "./layout";
import { createPanel, type Panels } from "./panel";
import { SeenReport } from "./sight";
import { createToolbar } from "./toolbar";
import { TileWindow } from "./window";

export type { Panels } from "./panel";

/** From this width on the panel stands beside the grid, CSS pixels. */
const WIDE = 760;
/** Counts are said when scrolling has come to rest. */
const REST_MS = 250;

/** Make the grid of the session's result. */
export function createGrid(session: Session, panels: Panels): View {
  return new Grid(session, panels);
}

class Grid implements View {
  readonly el: HTMLElement;
  readonly #title = h("div", {
    class: "matir-title",
    role: "heading",
    "aria-level": 3,
    dir: "auto",
  });
  readonly #counts = h("div", { class: "matir-counts", role: "status" });
  readonly #picks = h("div", { class: "matir-counts", role: "status" });
  readonly #cut = h("div", { class: "matir-counts" });
  readonly #empty = h("div", { class: "matir-empty" });
  readonly #noPictures = h(
    "p",
    { class: "matir-counts" },
    "This result came without its pictures: ",
    h("code", null, "result.with_source(engine)"),
    " shows them.",
  );
  readonly #tiles: TileWindow;
  readonly #foot: Foot;
  readonly #seen: SeenReport;
  readonly #parts: View[];
  readonly #stops: (() => void)[];
  #rest: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly session: Session,
    panels: Panels,
  ) {
    const id = freshId("grid");
    this.#seen = new SeenReport(session);
    this.#tiles = new TileWindow(
      session,
      id,
      (seen) => this.#say(seen),
      (rows) => this.#look(rows),
    );
    this.#foot = createFoot(session, () => this.#tiles.looked);
    const toolbar = createToolbar(session, id);
    const panel = createPanel(session, panels, () => this.#focus());
    const notices = noticeBar(session);
    this.#parts = [toolbar, panel, notices, this.#foot];
    const commands = new Commands(session, this.#tiles, toolbar, this.#foot);
    this.el = h(
      "div",
      { class: "matir matir-grid", "data-lm-suppress-shortcuts": true },
      notices.el,
      h(
        "div",
        { class: "matir-head" },
        this.#title,
        this.#counts,
        this.#cut,
        this.#picks,
        legend(),
        toolbar.buttons,
      ),
      toolbar.el,
      this.#noPictures,
      h(
        "div",
        { class: "matir-body" },
        h("div", { class: "matir-main" }, this.#tiles.el, this.#empty, this.#foot.el),
        panel.el,
      ),
    );
    this.el.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      commands.close();
      this.#focus();
    });
    const width = new ResizeObserver(() => {
      this.el.classList.toggle("matir-wide", this.el.clientWidth >= WIDE);
    });
    width.observe(this.el);
    this.#stops = [...this.#follow(), () => width.disconnect()];
    this.#showLook();
    this.#showResult();
  }

  destroy(): void {
    for (const stop of this.#stops) stop();
    for (const part of this.#parts) part.destroy();
    this.#seen.destroy();
    this.#tiles.destroy();
    clearTimeout(this.#rest);
    this.el.remove();
  }

  #follow(): (() => void)[] {
    const { session } = this;
    return [
      onAny(session, ["result"], () => this.#showResult()),
      onAny(session, CHOICE, () => this.#showRows(true)),
      onAny(session, ["tile_px", "labels"], () => {
        this.#showLook();
        this.#tiles.relayout();
      }),
      onAny(session, ["mask_mode"], () => {
        this.#showLook();
        this.#tiles.repaint();
      }),
      onAny(session, ["boxes", "mask_opacity"], () => this.#showLook()),
      onAny(session, ["marks", "selection"], () => this.#showStates()),
      onAny(session, ["current"], () => {
        this.#showStates();
        const ids = session.result?.columns.image_id ?? [];
        this.#tiles.reveal(ids.indexOf(session.get("current")));
      }),
      onAny(session, ["connection"], () => {
        if (session.isConnected) this.#tiles.retry();
      }),
    ];
  }

  /** For when what had the focus goes away. */
  #focus(): void {
    this.#tiles.el.focus({ preventScroll: true });
  }

  /** One change of the root's classes and variables, whatever the number of tiles. */
  #showLook(): void {
    const { session } = this;
    const { classList, style, dataset } = this.el;
    dataset.masks = session.get("mask_mode");
    dataset.order = session.get("order");
    classList.toggle("matir-no-boxes", !session.get("boxes"));
    classList.toggle("matir-no-labels", !session.get("labels"));
    style.setProperty("--matir-mask-opacity", String(session.get("mask_opacity")));
  }

  #showResult(): void {
    const { result } = this.session;
    this.#title.textContent = result === null ? "No search yet" : result.query;
    this.#seen.start(result?.id ?? "");
    const goesOn = this.#tiles.showTable(result);
    this.#noPictures.hidden = result?.has_pictures !== false;
    this.#showCut();
    const risen = this.#showRows(goesOn);
    this.#foot.sayRisen(goesOn ? risen.length : 0, () => {
      const id = result?.columns.image_id[risen[0] ?? -1];
      if (id !== undefined) this.session.set("current", id);
      this.#focus();
    });
    this.#showStates();
  }

  #look(rows: number[]): void {
    this.#seen.add(rows);
    this.#foot.look();
  }

  #showCut(): void {
    const columns = this.session.result?.columns;
    const n = columns === undefined ? null : aboveCut(columns);
    this.#cut.hidden = n === null;
    const kept = h("b", { class: "matir-pill" }, count(n));
    replace(this.#cut, kept, ` of ${count(columns?.image_id.length ?? 0)} above the cut`);
  }

  /** Returns the rows that went up and out of sight. */
  #showRows(glide: boolean): number[] {
    this.#showLook();
    const rows = rowsOf(this.session);
    this.#tiles.el.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
    const risen = this.#tiles.showRows(rows, glide);
    if (rows.length === 0) this.#showEmpty();
    return risen;
  }

  #showEmpty(): void {
    const { result } = this.session;
    const n = result?.columns.image_id.length ?? 0;
    this.#setCounts(result === null ? "" : countsText(0, -1, 0, n));
    if (n === 0) {
      replace(
        this.#empty,
        ...(result === null ? BEFORE_SEARCH : NO_HITS).map((text) => h("p", null, text)),
      );
      return;
    }
    const showAll = (): void => {
      this.session.set("min_score", null);
      this.session.set("hide_abstained", false);
      this.session.set("only_above_cut", false);
      this.#focus();
    };
    replace(
      this.#empty,
      h("p", null, `The filters hide ${n === 1 ? "the only hit" : `all ${plural(n, "hit")}`}.`),
      h("button", { type: "button", onclick: showAll }, "Show all hits"),
    );
  }

  #showStates(): void {
    this.#tiles.showStates();
    const marks = countMarks(this.session.get("marks"));
    const n = this.session.get("selection").length;
    const parts = MARKS.filter(({ name }) => marks[name] > 0).map(
      ({ name, sign }) => `${sign} ${count(marks[name])} ${name}`,
    );
    this.#picks.textContent = [...(n > 0 ? [`${count(n)} selected`] : []), ...parts].join(" · ");
  }

  #say({ first, last }: Stretch): void {
    const { rows } = this.#tiles;
    const hidden = (this.session.result?.columns.image_id.length ?? 0) - rows.length;
    if (rows.length === 0) return;
    const text = countsText(first, last, rows.length, hidden);
    clearTimeout(this.#rest);
    const isFirst = this.#counts.textContent === "";
    this.#rest = setTimeout(() => this.#setCounts(text), isFirst ? 0 : REST_MS);
  }

  #setCounts(text: string): void {
    clearTimeout(this.#rest);
    if (this.#counts.textContent !== text) this.#counts.textContent = text;
  }
}

/** What the colours of regions mean. */
function legend(): HTMLElement {
  return h(
    "div",
    { class: "matir-counts matir-region-scale" },
    "regions by stage-1 score, lowest ",
    h("i", { style: `background:${RAMP}` }),
    " highest in the picture",
  );
}

const BEFORE_SEARCH = ["Search for something to see its hits here."];
const NO_HITS = [
  "No image was found.",
  "Try fewer or more general words, a larger k, or another index; " +
    "matir status says how many images it holds.",
];
