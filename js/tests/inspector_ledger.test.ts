/** A ledger in groups: summands with bars, facts without. */

import { describe, expect, it } from "vitest";
import { ledgerGroups } from "../src/inspector/ledger";
import { hundredths } from "../src/inspector/words";
import type { LedgerEntry } from "../src/protocol";

const LEDGER: LedgerEntry[] = [
  { stage: "judge", name: "judge", value: 2, formula: "1 × 2", contribution: 2 },
  { stage: "judge", name: "probability", value: 0.88, formula: "sigmoid(2)", contribution: 0 },
  { stage: "retrieve", name: "whole image", value: 0.3, formula: "2 × 0.3", contribution: 0.6 },
  { stage: "retrieve", name: "rounding", value: 3e-8, formula: "stored", contribution: 3e-8 },
];

describe("ledgerGroups", () => {
  it("follows the stages and leaves out those without an entry", () => {
    const groups = ledgerGroups(LEDGER);
    expect(groups.map(({ head }) => head)).toEqual(["stage 1: retrieve", "stage 2: judge"]);
    expect(groups.map(({ lines }) => lines.map(({ value }) => value))).toEqual([
      [0.6, null],
      [2, null],
    ]);
  });

  it("writes the value of a fact beside where it comes from", () => {
    const [, judge] = ledgerGroups(LEDGER);
    expect(judge?.lines[1]).toMatchObject({ formula: "0.880 · sigmoid(2)", value: null });
    expect(judge?.lines[0]).toMatchObject({ formula: "1 × 2", kind: "judge" });
  });
});

it("writes contributions of words in hundredths, with their sign", () => {
  expect([0.0342, -0.0004, 0, -0.121].map(hundredths)).toEqual(["+3.4", "0.0", "0.0", "−12.1"]);
});
