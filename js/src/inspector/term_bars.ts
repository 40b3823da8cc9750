/** "Why this score": the terms of each score as bars that start where the last one ended. */

import { h } from "../dom";
import { score, signed } from "../format";
import type { InspectReply, Term } from "../protocol";
import { type Bar, waterfall } from "./waterfall";

const MEANING: Record<string, string> = {
  "best region": "How well the best region fits the query, weighted",
  "whole image": "How well the whole picture fits the query, weighted",
  "whole image as only region": "There are no regions, so the picture counts as its only one",
  "encoder bias": "What a cosine of 0 is worth: most pictures do not show the query",
  judge: "The judge's log-odds, clipped and weighted; nothing where it did not look",
  unexplained: "The terms above do not add up to the score",
};

export function termSection(detail: InspectReply): HTMLElement {
  const { stage1_terms, stage1_score, final_terms, final_score } = detail;
  const hasTerms = stage1_terms.length + final_terms.length > 0;
  return h(
    "section",
    { class: "matir-section" },
    h("h3", null, "Why this score"),
    ...(hasTerms
      ? [
          bars("Stage 1: cosines, added", "stage-1 score", stage1_terms, stage1_score),
          bars("Final: log-odds, added", "final score", final_terms, final_score),
        ]
      : [h("p", { class: "matir-hint" }, "The result does not say what its scores are made of.")]),
  );
}

function bars(caption: string, name: string, terms: readonly Term[], total: number): HTMLElement {
  const layout = waterfall(terms, total);
  const shown: [Term, Bar][] = terms.map((term, i) => [term, layout.bars[i] as Bar]);
  if (layout.rest) {
    const from = layout.bars.at(-1)?.to ?? layout.zero;
    const rest = { name: "unexplained", formula: "", value: layout.rest };
    shown.push([rest, { from, to: layout.total.to }]);
  }
  const line = (text: string, formula: string, value: string, bar: HTMLElement): HTMLElement =>
    h(
      "tr",
      null,
      h("th", { scope: "row", title: MEANING[text] }, text),
      h("td", { class: "matir-formula" }, formula),
      h("td", { class: "matir-term-cell" }, bar),
      h("td", null, value),
    );
  return h(
    "table",
    { class: "matir-terms" },
    h("caption", null, caption),
    h(
      "tbody",
      null,
      ...shown.map(([term, place]) => {
        const value = signed(term.value, layout.digits);
        return line(term.name, term.formula, value, bar(place, kindOf(term), layout.zero));
      }),
    ),
    h(
      "tfoot",
      null,
      line(`= ${name}`, "", score(total, layout.digits), bar(layout.total, "total", layout.zero)),
    ),
  );
}

function kindOf({ name, value }: Term): string {
  if (value < 0) return "negative";
  return name === "judge" ? "judge" : "stage1";
}

function bar({ from, to }: Bar, kind: string, zero: number): HTMLElement {
  const [left, width] = [Math.min(from, to) * 100, Math.abs(to - from) * 100];
  return h(
    "div",
    { class: "matir-term-bar", "aria-hidden": true },
    h("i", { style: `left:${zero * 100}%` }),
    h("div", { class: `matir-term-${kind}`, style: `left:${left}%;width:${width}%` }),
  );
}
