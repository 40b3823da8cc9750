/** What the judge said of a hit: p as a bar, its log-odds, and its own words, unedited. */

import { h } from "../dom";
import { percent, score, signed } from "../format";
import type { Columns, InspectReply } from "../protocol";

/** The verdict in words. */
export function verdict(judge: { p_relevant: number; abstained: boolean }): string {
  if (judge.abstained) return "not here: the judge named no place";
  return judge.p_relevant >= 0.5 ? "relevant" : "rather not relevant";
}

/** The section of a judged hit, or why there is no judgement. */
export function judgeSection(judge: InspectReply["judge"], nJudged: number | null): HTMLElement {
  const children = judge ? judgement(judge) : [h("p", { class: "matir-hint" }, absence(nJudged))];
  return h("section", { class: "matir-section" }, h("h3", null, "Judge"), ...children);
}

/** What the table alone knows of the judge, before or without the details. */
export function judgedInTable(columns: Columns, row: number): string {
  const p = columns.p_relevant[row];
  if (p === null || p === undefined) return "not judged";
  return `p ${percent(p)}, ${verdict({ p_relevant: p, abstained: columns.abstained[row] === 1 })}`;
}

function absence(nJudged: number | null): string {
  return nJudged === null
    ? "No judge ran: the order is stage 1's."
    : `Not judged: it was not among the ${nJudged} best candidates of stage 1.`;
}

function judgement(judge: NonNullable<InspectReply["judge"]>): HTMLElement[] {
  const { p_relevant: p, logit, answer } = judge;
  const meter = {
    class: "matir-meter",
    role: "meter",
    "aria-label": "p, the judge's probability that the picture shows the query",
    "aria-valuemin": 0,
    "aria-valuemax": 1,
    "aria-valuenow": p.toFixed(4),
  };
  const words = {
    class: "matir-answer",
    tabindex: 0,
    dir: "auto",
    role: "region",
    "aria-label": "The judge's answer, unedited",
  };
  return [
    h(
      "div",
      { class: "matir-verdict" },
      h("strong", null, verdict(judge)),
      h("div", meter, h("div", { style: `width:${p * 100}%` })),
      h("span", null, `p ${score(p)}`),
      h("span", { title: "Log-odds before clipping and weighting" }, `logit ${signed(logit, 2)}`),
    ),
    answer ? h("pre", words, answer) : h("p", { class: "matir-hint" }, "The judge gave no words."),
  ];
}
