import { describe, expect, it } from "vitest";
import {
  aspectOf,
  frameOf,
  GAP,
  layoutOf,
  MAX_NODES,
  nearEdge,
  placeOf,
  positionAfter,
  scrollTo,
  thumbnailSide,
  visibleIn,
  withMargin,
} from "../src/grid/layout";

/** 3 columns of 192 × 192 + 8, 34 rows. */
const layout = layoutOf({
  n: 100,
  width: 608,
  tilePx: 192,
  aspect: 1.5,
  caption: 64,
  viewport: 500,
});

describe("layoutOf", () => {
  it("fills the width with whole columns", () => {
    expect(layout).toEqual({
      n: 100,
      columns: 3,
      rows: 34,
      tile: { width: 192, height: 192 },
      picture: { width: 192, height: 128 },
      content: { width: 608, height: 34 * 200 + 8 },
    });
  });
  it("shrinks tiles a little for one column more, but not much", () => {
    const options = { n: 9, tilePx: 200, aspect: 1, caption: 0, viewport: 500 };
    expect(layoutOf({ ...options, width: 404 }).columns).toBe(2);
    expect(layoutOf({ ...options, width: 330 }).columns).toBe(1);
  });
  it("has no height without hits and one column without width", () => {
    const none = layoutOf({ n: 0, width: 0, tilePx: 200, aspect: 1, caption: 0, viewport: 0 });
    expect(none).toMatchObject({ columns: 1, rows: 0, content: { width: 0, height: 0 } });
  });
  it("never needs more nodes than allowed, whatever the size", () => {
    for (const width of [100, 400, 1100, 2560, 5000]) {
      for (const tilePx of [96, 150, 200, 480]) {
        const made = layoutOf({ n: 5000, width, tilePx, aspect: 0.75, caption: 0, viewport: 720 });
        for (const top of [0, 1, 333, 10_000]) {
          const { first, last } = withMargin(made, visibleIn(made, top, 720));
          expect(last - first + 1).toBeLessThanOrEqual(MAX_NODES);
        }
      }
    }
  });
});

it("places tiles row by row", () => {
  expect(placeOf(layout, 0)).toEqual({ x: GAP, y: GAP });
  expect(placeOf(layout, 5)).toEqual({ x: 2 * 200 + 8, y: 208 });
});

describe("visibleIn", () => {
  it.each([
    [0, 500, 0, 8],
    [0, 8, 0, -1],
    [0, 9, 0, 2],
    [199, 200, 0, 5],
    [200, 200, 3, 5],
    [6308, 500, 93, 99],
  ])("from %i, %i high: %i to %i", (top, viewport, first, last) => {
    expect(visibleIn(layout, top, viewport)).toEqual({ first, last });
  });
  it("agrees with the places of the tiles", () => {
    for (let top = 0; top < 900; top += 7) {
      const { first, last } = visibleIn(layout, top, 333);
      const seen = Array.from({ length: 100 }, (_, i) => i).filter((i) => {
        const { y } = placeOf(layout, i);
        return y + layout.tile.height > top && y < top + 333;
      });
      expect([first, last]).toEqual([seen[0], seen[seen.length - 1]]);
    }
  });
});

it("adds a row on each side, within the hits", () => {
  expect(withMargin(layout, { first: 0, last: 8 })).toEqual({ first: 0, last: 11 });
  expect(withMargin(layout, { first: 30, last: 38 })).toEqual({ first: 27, last: 41 });
  expect(withMargin(layout, { first: 93, last: 99 })).toEqual({ first: 90, last: 99 });
});

it("scrolls as little as shows a tile", () => {
  expect(scrollTo(layout, 4, 0, 500)).toBe(0);
  expect(scrollTo(layout, 9, 0, 500)).toBe(3 * 200 + 208 - 500);
  expect(scrollTo(layout, 0, 300, 500)).toBe(0);
  expect(scrollTo(layout, 9, 0, 100)).toBe(600);
});

it("brings what comes from far to the edge", () => {
  expect(nearEdge(layout, { x: 8, y: 9000 }, 1000, 500)).toEqual({ x: 8, y: 1508 });
  expect(nearEdge(layout, { x: 8, y: 0 }, 1000, 500)).toEqual({ x: 8, y: 800 });
  expect(nearEdge(layout, { x: 8, y: 1200 }, 1000, 500)).toEqual({ x: 8, y: 1200 });
});

it("centres an image whole in its frame", () => {
  expect(frameOf({ width: 300, height: 100 }, 1.5)).toEqual({
    x: 0,
    y: 0.25,
    width: 1,
    height: 0.5,
  });
  expect(frameOf({ width: 75, height: 100 }, 1.5)).toEqual({
    x: 0.25,
    y: 0,
    width: 0.5,
    height: 1,
  });
});

it("takes the median's aspect, within limits", () => {
  expect(aspectOf([100, 400, 120], [100, 100, 100])).toBeCloseTo(1.2);
  expect(aspectOf([100], [900])).toBe(0.75);
  expect(aspectOf([], [])).toBeCloseTo(4 / 3);
});

it("asks for thumbnails in steps, for the screen's pixels", () => {
  expect(thumbnailSide({ width: 200, height: 150 }, 1)).toBe(256);
  expect(thumbnailSide({ width: 200, height: 150 }, 2)).toBe(448);
  expect(thumbnailSide({ width: 480, height: 360 }, 3)).toBe(512);
  expect(thumbnailSide({ width: 40, height: 30 }, 1)).toBe(128);
});

describe("positionAfter", () => {
  it.each([
    ["ArrowRight", 4, 5],
    ["ArrowLeft", 4, 3],
    ["ArrowDown", 4, 7],
    ["ArrowUp", 4, 1],
    ["PageDown", 4, 10],
    ["PageUp", 10, 4],
    ["Home", 50, 0],
    ["End", 50, 99],
    ["ArrowLeft", 0, 0],
    ["ArrowRight", 99, 99],
    ["ArrowUp", 1, 1],
    ["PageUp", 4, 1],
    ["ArrowDown", 97, 99],
    ["ArrowDown", 99, 99],
    ["PageDown", 96, 99],
  ])("%s from %i leads to %i", (key, from, to) => {
    expect(positionAfter(key, from, layout, 2)).toBe(to);
  });
  it("begins at the first hit when none is current", () => {
    expect(positionAfter("ArrowDown", -1, layout, 2)).toBe(0);
    expect(positionAfter("End", -1, layout, 2)).toBe(99);
  });
  it("leaves other keys, and empty grids, alone", () => {
    expect(positionAfter("a", 4, layout, 2)).toBeNull();
    expect(positionAfter("Home", 0, { ...layout, n: 0 }, 2)).toBeNull();
  });
});
