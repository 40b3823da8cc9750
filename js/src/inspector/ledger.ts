/**
 * "Why this score": the hit's ledger as one waterfall, stage by stage, and how stage 1 came to
 * its cosine and where that stands among unrelated phrases.
 */

import { h } from "../dom";
import { score } from "../format";
import type { InspectReply, LedgerEntry, Stage } from "../protocol";
import { nullBand } from "./null_band";
import { type Group, type Line, termTable } from "./term_bars";

const STAGES: readonly [Stage, string][] = [
  ["retrieve", "stage 1: retrieve"],
  ["judge", "stage 2: judge"],
  ["align", "align: box to mask"],
];

const MEANING: Record<string, string> = {
  "runner-up region": "What the second-best region alone would have given",
  "winning margin": "What the best region adds to that",
  "encoder bias": "What a cosine of 0 is worth: most pictures do not show the query",
};

/** Log-odds: the rounding of stored scores is less. */
const UNSEEN = 1e-6;

/** The entries of a ledger, or of a difference of two, in the stages' order. */
export function ledgerGroups(entries: readonly LedgerEntry[]): Group[] {
  return STAGES.map(([stage, head]) => ({
    head,
    lines: entries.filter((entry) => entry.stage === stage).map(lineOf),
  })).filter(({ lines }) => lines.length > 0);
}

function lineOf({ stage, name, value, formula, contribution }: LedgerEntry): Line {
  const isFact = Math.abs(contribution) < UNSEEN;
  const known = isFact && value !== null ? score(value) : "";
  return {
    name,
    title: MEANING[name],
    formula: [known, formula].filter(Boolean).join(" · "),
    value: isFact ? null : contribution,
    kind: stage,
  };
}

/** What the final score is made of; `why` stands under it. */
export function ledgerSection(detail: InspectReply, why: HTMLElement): HTMLElement {
  const { ledger, final_score } = detail;
  return h(
    "section",
    { class: "matir-section matir-ledger" },
    h("h3", null, "Why this score"),
    ledger.length
      ? termTable("Log-odds, added", "final score", ledgerGroups(ledger), final_score)
      : h("p", { class: "matir-hint" }, "The result does not say what its scores are made of."),
    why,
  );
}

/** What stage 1 found, against unrelated phrases; its sum of cosines is folded away. */
export function stage1Section(detail: InspectReply, isAboveCut: boolean | null): HTMLElement {
  const { stage1_terms, stage1_score, null_band } = detail;
  const lines = stage1_terms.map((term): Line => ({ ...term, title: MEANING[term.name] }));
  const sum = h(
    "details",
    { class: "matir-fold" },
    h("summary", null, "how it adds up"),
    termTable("Cosines, added", "stage-1 score", [{ head: "", lines }], stage1_score),
  );
  return h(
    "section",
    { class: "matir-section" },
    h("h3", null, "Stage-1 score ", h("b", { class: "matir-number" }, score(stage1_score))),
    null_band && nullBand(null_band, stage1_score),
    isAboveCut !== null && cutWords(isAboveCut),
    lines.length > 0 && sum,
  );
}

function cutWords(isAbove: boolean): HTMLElement {
  return isAbove
    ? h("p", { class: "matir-above" }, "✓ Above this query's cut: the picture probably shows it.")
    : h("p", { class: "matir-below" }, "✕ Below this query's cut: the picture probably does not.");
}
