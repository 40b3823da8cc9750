/** What stands above the outlines: the chosen mask, the judge's box, what is pointed at. */

import { describe, expect, it } from "vitest";
import { type Mark, marksOf } from "../src/inspector/marks_of";
import type { Shape } from "../src/inspector/shapes";
import type { BoxXYXY } from "../src/protocol";

const box: BoxXYXY = [0, 0, 2, 2];
const shape = (id: number): Shape => ({ d: `path ${id}`, region: { id, box } }) as Shape;
const detail = { shapes: [shape(4), shape(7)], ownPath: "", chosen: 7, judged_box: box };
const nothing = { hovered: null, pinned: null, blanked: null };
const all = { masks: true, boxes: true };
const told = (marks: Mark[]): string[] => marks.map(({ kind, text }) => `${kind}|${text}`);

describe("marksOf", () => {
  it("draws the chosen region, then the judge's box", () => {
    const marks = marksOf(detail, nothing, all);
    expect(told(marks)).toEqual(["chosen|chosen: region 7", "box|judge's box"]);
    expect(marks.map(({ d }) => d)).toEqual(["path 7", ""]);
  });

  it("follows the toggles", () => {
    expect(marksOf(detail, nothing, { masks: false, boxes: false })).toEqual([]);
    expect(told(marksOf(detail, nothing, { masks: true, boxes: false }))).toHaveLength(1);
  });

  it("draws a mask that is no stored region, without a number", () => {
    const made = { ...detail, chosen: null, ownPath: "own" };
    expect(marksOf(made, nothing, all)[0]).toMatchObject({ kind: "chosen", d: "own", text: "" });
  });

  it("puts what is hovered on top, also when the masks are off", () => {
    const hidden = { masks: false, boxes: false };
    expect(told(marksOf(detail, { hovered: 7, pinned: 4, blanked: null }, hidden))).toEqual([
      "pinned|region 4",
      "hovered|region 7",
    ]);
  });

  it("names a region once", () => {
    const both = told(marksOf(detail, { hovered: 4, pinned: 4, blanked: null }, all));
    expect(both.filter((one) => one.endsWith("region 4"))).toEqual(["hovered|region 4"]);
    const chosen = told(marksOf(detail, { hovered: 7, pinned: 7, blanked: null }, all));
    expect(chosen).toEqual(["chosen|chosen: region 7", "box|judge's box", "hovered|"]);
  });

  it("ignores a region that is not there", () => {
    expect(marksOf(detail, { hovered: 99, pinned: null, blanked: null }, all)).toHaveLength(2);
  });
});
