/** Regions: order of the table, the smallest under the pointer. */

import { describe, expect, it } from "vitest";
import { smallestAt, sortRegions } from "../src/inspector/regions";
import type { Region } from "../src/protocol";

function region(id: number, more: Partial<Region> = {}): Region {
  return {
    id,
    mask: { size: [1, 1], counts: "" },
    box: [0, 0, 10, 10],
    area: 100,
    score: 0,
    predicted_iou: 1,
    stability_score: 1,
    box_iou: null,
    ...more,
  };
}

describe("sortRegions", () => {
  const ids = (regions: Region[]): number[] => regions.map(({ id }) => id);
  const regions = [
    region(0, { box_iou: 0, score: 0.2 }),
    region(1, { box_iou: 0.7, score: 0.1 }),
    region(2, { box_iou: 0, score: 0.9 }),
    region(3, { box_iou: 0, score: null }),
  ];

  it("goes by box IoU, then by score, unknown last", () => {
    expect(ids(sortRegions(regions, "align"))).toEqual([1, 2, 0, 3]);
  });

  it("goes by score where the judge gave no box", () => {
    const boxless = regions.map((one) => ({ ...one, box_iou: null }));
    expect(ids(sortRegions(boxless, "align"))).toEqual([2, 0, 1, 3]);
  });

  it("turns around, with unknown values still last", () => {
    expect(ids(sortRegions(regions, "score", true))).toEqual([1, 0, 2, 3]);
  });

  it("counts ids up, and down when turned", () => {
    expect(ids(sortRegions([...regions].reverse(), "id"))).toEqual([0, 1, 2, 3]);
    expect(ids(sortRegions(regions, "id", true))).toEqual([3, 2, 1, 0]);
  });

  it("leaves its input alone and settles ties by id", () => {
    const same = [region(5), region(4)];
    expect(ids(sortRegions(same, "area"))).toEqual([4, 5]);
    expect(ids(same)).toEqual([5, 4]);
  });
});

describe("smallestAt", () => {
  const large = region(0, { area: 90 });
  const small = region(1, { area: 9, box: [2, 2, 5, 5] });

  it("prefers the smaller of two that hold the point", () => {
    expect(smallestAt([large, small], 3, 3, () => true)).toBe(small);
    expect(smallestAt([small, large], 3, 3, () => true)).toBe(small);
  });

  it("asks the mask, not only the box", () => {
    expect(smallestAt([large, small], 3, 3, ({ id }) => id === 0)).toBe(large);
  });

  it("takes boxes as half-open", () => {
    expect(smallestAt([small], 5, 3, () => true)).toBeNull();
    expect(smallestAt([small], 2, 2, () => true)).toBe(small);
  });
});
