/**
 * The difference of two ledgers, for a page without a kernel: what `difference_entries` of
 * `matir_nb/explain/ledger.py` gives. Knows no DOM.
 */

import type { LedgerEntry } from "../protocol";

const STAGES = ["retrieve", "judge", "align"];
const DIGITS = 6;

/** Entries of `mine` minus those of `its`, by stage and name; who lacks an entry counts as 0. */
export function differenceOf(
  mine: readonly LedgerEntry[],
  its: readonly LedgerEntry[],
): LedgerEntry[] {
  const nameOf = ({ stage, name }: LedgerEntry): string => `${stage} ${name}`;
  const [first, second] = [mine, its].map((all) => new Map(all.map((one) => [nameOf(one), one])));
  const names = new Set([...mine, ...its].map(nameOf));
  return [...names]
    .map((name) => minus(first?.get(name), second?.get(name)))
    .sort((a, b) => STAGES.indexOf(a.stage) - STAGES.indexOf(b.stage));
}

function minus(mine: LedgerEntry | undefined, its: LedgerEntry | undefined): LedgerEntry {
  const { stage, name } = (mine ?? its) as LedgerEntry;
  const contribution = (mine?.contribution ?? 0) - (its?.contribution ?? 0);
  const [left, right] = [mine?.value ?? null, its?.value ?? null];
  return {
    stage,
    name,
    value: left === null || right === null ? null : left - right,
    formula:
      mine?.contribution || its?.contribution
        ? `${side(mine)} − ${side(its)}`
        : `${informed(mine)}; the other: ${informed(its)}`,
    contribution,
  };
}

function side(entry: LedgerEntry | undefined): string {
  if (!entry) return "0";
  const text = factor(entry.contribution);
  return entry.contribution < 0 ? `(${text})` : text;
}

function informed(entry: LedgerEntry | undefined): string {
  if (!entry) return "without";
  return entry.value === null ? "with" : factor(entry.value);
}

function factor(value: number): string {
  return String(Number(value.toPrecision(DIGITS))).replace("-", "−");
}
