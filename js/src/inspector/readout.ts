/** The line under the picture: the colour scale, and the numbers of the region pointed at. */

import { h, replace } from "../dom";
import { percent, score, signed } from "../format";
import { RAMP, rangeOf } from "../palette";
import type { Region } from "../protocol";
import type { Pointing } from "./marks_of";
import type { Detail } from "./shapes";
import { type Contribution, scaleOf } from "./words";

/** Share of the picture, "<0.1 %" for a speck. */
export function areaText({ area }: Region, { width, height }: Detail): string {
  const share = area / (width * height);
  return share < 0.0005 ? "<0.1 %" : percent(share);
}

export class Readout {
  readonly el = h("div", { class: "matir-readout" });
  readonly #legend = h("div", { class: "matir-legend" });
  readonly #numbers = h("p");

  constructor() {
    this.el.append(this.#numbers, this.#legend);
  }

  /** `word` = the picture shows what it adds. */
  show(detail: Detail | undefined, word: Contribution | null): void {
    this.el.hidden = !detail?.regions.length;
    if (word) {
      replace(this.#legend, h("b", null, `“${word.text}”`), ...scaleOf(word.limit));
      return;
    }
    const range = rangeOf(detail?.regions.map((region) => region.score) ?? []);
    replace(
      this.#legend,
      ...(range
        ? [
            h("span", null, "stage-1 score of regions"),
            h("span", null, score(range.low)),
            h("i", { class: "matir-ramp", style: `background:${RAMP}` }),
            h("span", null, score(range.high)),
          ]
        : ["stage-1 scores are not known"]),
    );
  }

  point(
    detail: Detail | undefined,
    { hovered, pinned }: Pointing,
    word: Contribution | null,
  ): void {
    const id = hovered ?? pinned ?? detail?.chosen ?? null;
    const shape = detail?.shapes.find(({ region }) => region.id === id);
    if (!detail || !shape) {
      replace(
        this.#numbers,
        h("span", null, "Point at a region to read its numbers; a click keeps it."),
      );
      return;
    }
    const { region, look } = shape;
    const words = [id === detail.chosen && "chosen", id === pinned && "pinned"].filter(Boolean);
    const number = (name: string, value: string): HTMLElement =>
      h("span", null, `${name} `, h("b", null, value));
    replace(
      this.#numbers,
      h("span", { class: "matir-swatch", style: `background:${look.colour}` }),
      h("b", null, `region ${region.id}`),
      words.length > 0 && h("span", null, `(${words.join(", ")})`),
      number("stage 1", score(region.score)),
      word && number(`“${word.text}” sets apart`, signed(word.adds[region.id])),
      number("predicted IoU", score(region.predicted_iou, 2)),
      number("stability", score(region.stability_score, 2)),
      number("area", areaText(region, detail)),
    );
  }
}
