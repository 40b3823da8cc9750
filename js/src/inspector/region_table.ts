/**
 * The table of regions: how each agrees with the judge's box, and its numbers. One stop for the
 * Tab key, arrow keys move between rows; pointing at a row points at the region in the picture.
 */

import { h, replace, setAttribute } from "../dom";
import { score } from "../format";
import type { Region } from "../protocol";
import { NOTHING, type Pointing } from "./marks_of";
import { areaText } from "./readout";
import { type SortKey, sortRegions } from "./regions";
import type { Detail } from "./shapes";

const COLUMNS: [key: SortKey, head: string, title: string][] = [
  ["id", "region", "Number of the region, and the colour of its stage-1 score"],
  ["box_iou", "box IoU", "Overlap (IoU) of the region's box with the judge's box, 0 to 1"],
  ["score", "stage 1", "Stage-1 score: cosine of the region with the query"],
  ["predicted_iou", "pred. IoU", "Predicted IoU: the segmenter's own estimate of the mask"],
  ["stability_score", "stability", "Stability of the mask when its threshold moves"],
  ["area", "area", "Area of the region, in percent of the picture"],
];

export class RegionTable {
  readonly el = h("section", { class: "matir-section" });
  #detail: Detail | null = null;
  #key: SortKey = "align";
  #isReversed = false;
  #rows = new Map<number, HTMLTableRowElement>();
  #body = h("tbody");
  #pointing = NOTHING;

  readonly #point: (change: Partial<Pointing>) => void;

  constructor(point: (change: Partial<Pointing>) => void) {
    this.#point = point;
  }

  show(detail: Detail): void {
    this.#detail = detail;
    const hasBox = detail.judged_box !== null;
    const title = hasBox ? "Alignment: judge's box × regions" : "Regions by stage-1 score";
    const heads = COLUMNS.filter(([key]) => hasBox || key !== "box_iou").map((column) =>
      this.#head(...column),
    );
    this.#body = h("tbody", { onkeydown: (event) => this.#move(event) });
    replace(
      this.el,
      h("h3", null, title),
      h("p", { class: "matir-hint" }, statement(detail)),
      detail.regions.length > 0 &&
        h(
          "div",
          { class: "matir-regions" },
          h(
            "table",
            { "aria-label": title },
            h("thead", null, h("tr", null, ...heads)),
            this.#body,
          ),
        ),
    );
    this.#fill();
  }

  mark(pointing: Pointing): void {
    const { hovered } = this.#pointing;
    this.#pointing = pointing;
    for (const [id, row] of this.#rows) {
      row.classList.toggle("matir-hovered", id === pointing.hovered);
      row.classList.toggle("matir-pinned", id === pointing.pinned);
      setAttribute(button(row), "aria-pressed", id === pointing.pinned);
    }
    const row = this.#rows.get(pointing.hovered ?? -1);
    if (row && pointing.hovered !== hovered) this.#reveal(row);
  }

  /** Scroll within the table only: the notebook stays where it is. */
  #reveal(row: HTMLTableRowElement): void {
    const box = this.#body.closest("div");
    if (!box || row.matches(":hover")) return;
    const head = row.closest("table")?.tHead?.offsetHeight ?? 0;
    const low = row.offsetTop - head;
    const high = row.offsetTop + row.offsetHeight - box.clientHeight;
    box.scrollTop = Math.min(Math.max(box.scrollTop, high), low);
  }

  #head(key: SortKey, text: string, title: string): HTMLElement {
    const sort = (): void => {
      this.#isReversed = this.#key === key && !this.#isReversed;
      this.#key = key;
      this.#fill();
    };
    return h(
      "th",
      { scope: "col", "data-key": key },
      h("button", { type: "button", title, onclick: sort }, text),
    );
  }

  #fill(): void {
    const [detail, key, isReversed] = [this.#detail, this.#key, this.#isReversed];
    if (!detail) return;
    const shownKey = key === "align" ? (detail.judged_box ? "box_iou" : "score") : key;
    for (const head of this.el.querySelectorAll("th[data-key]")) {
      const isSorted = head.getAttribute("data-key") === shownKey;
      const order = isReversed === (key === "id") ? "descending" : "ascending";
      setAttribute(head, "aria-sort", isSorted ? order : null);
    }
    const colours = new Map(detail.shapes.map(({ region, look }) => [region.id, look.colour]));
    const regions = sortRegions(detail.regions, key, isReversed);
    this.#rows = new Map(
      regions.map((one) => [one.id, this.#row(one, detail, colours.get(one.id) ?? "")]),
    );
    replace(this.#body, ...this.#rows.values());
    const first = this.#rows.values().next().value;
    if (first) button(first).tabIndex = 0;
    this.mark(this.#pointing);
  }

  #row(region: Region, detail: Detail, colour: string): HTMLTableRowElement {
    const { id } = region;
    const isChosen = id === detail.chosen;
    const pin = (): void => this.#point({ pinned: this.#pointing.pinned === id ? null : id });
    const name = h(
      "button",
      {
        type: "button",
        tabindex: -1,
        "aria-pressed": false,
        title: "Keep this region highlighted",
        onfocus: () => this.#point({ hovered: id }),
        onblur: () => this.#point({ hovered: null }),
      },
      h("span", { class: "matir-swatch", style: `background:${colour}` }),
      id,
      isChosen && h("b", { class: "matir-chosen" }, "◆ chosen"),
    );
    return h(
      "tr",
      {
        class: isChosen ? "matir-chosen-row" : null,
        onclick: pin,
        onpointerenter: () => this.#point({ hovered: id }),
        onpointerleave: () => this.#point({ hovered: null }),
      },
      h("th", { scope: "row" }, name),
      detail.judged_box && h("td", null, score(region.box_iou, 2)),
      h("td", null, score(region.score)),
      h("td", null, score(region.predicted_iou, 2)),
      h("td", null, score(region.stability_score, 2)),
      h("td", null, areaText(region, detail)),
    );
  }

  #move(event: KeyboardEvent): void {
    const rows = [...this.#rows.values()];
    const at = rows.findIndex((row) => row.contains(event.target as Node));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    const [from, next] = [rows[at], rows[to ?? -1]];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (!from || !next) return;
    button(from).tabIndex = -1;
    button(next).tabIndex = 0;
    button(next).focus({ preventScroll: true });
  }
}

function statement({ judged_box, align_iou, min_align_iou, chosen, regions }: Detail): string {
  if (!regions.length) return "No regions are known.";
  if (!judged_box) return "There is no judge's box to align with.";
  const limit = min_align_iou === null ? "" : ` A mask needs box IoU ≥ ${score(min_align_iou, 2)}`;
  if (align_iou === null || !limit) return `${limit}.`.trim();
  const how = chosen === null ? "no mask" : `region ${chosen} is chosen`;
  return `${limit}; the best has ${score(align_iou, 2)}: ${how}.`.trim();
}

function button(row: HTMLTableRowElement): HTMLButtonElement {
  return row.querySelector("button") as HTMLButtonElement;
}
