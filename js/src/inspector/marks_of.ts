/** Which marks stand above the outlines of a picture, and what they are called. Knows no DOM. */

import type { BoxXYXY } from "../protocol";
import type { Detail } from "./shapes";

/** What the picture and the table of regions point at, by region id. */
export interface Pointing {
  hovered: number | null;
  pinned: number | null;
  /** Left out: what the scores would be without it. */
  blanked: number | null;
}

export const NOTHING: Pointing = { hovered: null, pinned: null, blanked: null };

export interface Mark {
  kind: "blanked" | "chosen" | "box" | "pinned" | "hovered";
  /** Border in mask pixels; "" = it is `box` itself that is drawn. */
  d: string;
  /** Where the label stands, pixels of the picture; null = there is no place for one. */
  box: BoxXYXY | null;
  text: string;
}

/** From the lowest to the topmost; a region is named once. */
export function marksOf(
  detail: Pick<Detail, "shapes" | "ownPath" | "chosen" | "judged_box">,
  { hovered, pinned, blanked }: Pointing,
  has: { masks: boolean; boxes: boolean },
): Mark[] {
  const marks: Mark[] = [];
  const add = (kind: Mark["kind"], id: number | null, text: string): void => {
    const shape = detail.shapes.find(({ region }) => region.id === id);
    if (shape) marks.push({ kind, d: shape.d, box: shape.region.box, text });
  };
  add("blanked", blanked, "");
  if (has.masks) {
    add("chosen", detail.chosen, `chosen: region ${detail.chosen}`);
    if (detail.ownPath) marks.push({ kind: "chosen", d: detail.ownPath, box: null, text: "" });
  }
  if (has.boxes && detail.judged_box) {
    marks.push({ kind: "box", d: "", box: detail.judged_box, text: "judge's box" });
  }
  const isNamed = (id: number | null): boolean => has.masks && id === detail.chosen;
  if (!isNamed(pinned) && pinned !== hovered) add("pinned", pinned, `region ${pinned}`);
  add("hovered", hovered, isNamed(hovered) ? "" : `region ${hovered}`);
  return marks;
}
