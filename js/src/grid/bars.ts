/** Which stages have a bar in the tiles of a result, and what their ends mean. */

import { score } from "../format";
import { type Range, rangeOf } from "../palette";
import type { Columns } from "../protocol";

/** A stage's score as a bar. */
export interface Bar {
  name: string;
  kind: "stage1" | "judge" | "align";
  values: readonly (number | null)[];
  /** What is an empty and what is a full bar. */
  range: Range;
  /** What the bar means. */
  title: string;
  /** Why a value can be missing. */
  missing: string;
  /** What else is to be said of a row's value. */
  note?: (row: number) => string;
}

export const NOT_JUDGED = "not judged";

/** The bars of the stages that found something in at least one hit. */
export function barsOf(columns: Columns): Bar[] {
  const stage1 = rangeOf(columns.stage1_score);
  if (stage1 === null) return [];
  const { low, high } = stage1;
  const unit = { low: 0, high: 1 };
  const bars: Bar[] = [
    {
      name: "stage 1",
      kind: "stage1",
      values: columns.stage1_score,
      range: { low: low - (high - low) / 20, high },
      title: `stage 1: cosine; the bar goes from ${score(low)} to ${score(high)}, as in this result`,
      missing: "",
      note: (row) => aboveUnrelated(columns.null_percentile[row] ?? null),
    },
    {
      name: "p",
      kind: "judge",
      values: columns.p_relevant,
      range: unit,
      title: "p: the judge's probability that the image shows the query",
      missing: NOT_JUDGED,
    },
    {
      name: "IoU",
      kind: "align",
      values: columns.align_iou,
      range: unit,
      title: "align IoU: overlap of the judge's box with the mask's box",
      missing: "no box to compare with a mask",
    },
  ];
  return bars.filter(({ values }) => values.some((value) => value !== null));
}

/** Where a score stands among those that unrelated phrases have in the same image. */
function aboveUnrelated(percentile: number | null): string {
  if (percentile === null) return "";
  return `; higher than ${percentile} % of unrelated phrases in this image`;
}
