/** Two ledgers compared in the page as Python compares them. */

import { describe, expect, it } from "vitest";
import { differenceOf } from "../src/inspector/difference";
import type { LedgerEntry, Stage } from "../src/protocol";

const entry = (
  stage: Stage,
  name: string,
  contribution: number,
  value: number | null = contribution,
): LedgerEntry => ({ stage, name, value, formula: "", contribution });

describe("differenceOf", () => {
  it("takes entry from entry, so that the rest adds up", () => {
    const mine = [entry("retrieve", "whole image", 1.5), entry("judge", "judge", -2)];
    const its = [entry("retrieve", "whole image", 0.25), entry("judge", "judge", -3)];
    const found = differenceOf(mine, its);
    expect(found.map(({ contribution }) => contribution)).toEqual([1.25, 1]);
    expect(found.map(({ formula }) => formula)).toEqual(["1.5 − 0.25", "(−2) − (−3)"]);
    expect(found.map(({ value }) => value)).toEqual([1.25, 1]);
  });

  it("counts what one of them lacks as 0, in the order of the stages", () => {
    const mine = [entry("retrieve", "encoder bias", -1), entry("align", "no region", 0, null)];
    const its = [entry("retrieve", "encoder bias", -1), entry("judge", "clip", -0.5)];
    const found = differenceOf(mine, its);
    expect(found.map(({ name, contribution }) => [name, contribution])).toEqual([
      ["encoder bias", 0],
      ["clip", 0.5],
      ["no region", 0],
    ]);
    expect(found[1]).toMatchObject({ value: null, formula: "0 − (−0.5)" });
    expect(found[2]?.formula).toBe("with; the other: without");
  });

  it("says what is known of entries that only inform", () => {
    const align = (iou: number): LedgerEntry => entry("align", "align IoU", 0, iou);
    const [found] = differenceOf([align(0.75)], [align(0.5)]);
    expect(found).toMatchObject({
      value: 0.25,
      contribution: 0,
      formula: "0.75; the other: 0.5",
    });
  });
});
