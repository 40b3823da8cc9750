/** Zoom and pan: what is under the pointer stays there, and a picture never leaves its window. */

import { describe, expect, it } from "vitest";
import {
  clamp,
  FITTING,
  type Frame,
  fitScale,
  isInSight,
  neededSide,
  panBy,
  place,
  toImage,
  type Zoom,
  zoomAt,
} from "../src/inspector/zoom";

const frame: Frame = { width: 400, height: 300, imageWidth: 1600, imageHeight: 800 };

describe("place", () => {
  it("fits and centres the whole picture", () => {
    expect(fitScale(frame)).toBe(0.25);
    expect(place(FITTING, frame)).toEqual({ scale: 0.25, left: 0, top: 50 });
  });
});

describe("zoomAt", () => {
  it("keeps the pixel under the pointer", () => {
    const before = toImage(FITTING, frame, 130, 170);
    const zoomed = zoomAt(FITTING, frame, 3, 130, 170);
    const after = toImage(zoomed, frame, 130, 170);
    expect(zoomed.factor).toBe(3);
    expect(after[0]).toBeCloseTo(before[0], 6);
    expect(after[1]).toBeCloseTo(before[1], 6);
  });

  it("ends at the fitting size and at 16 CSS pixels per pixel", () => {
    expect(zoomAt({ factor: 2, x: 0.3, y: 0.6 }, frame, 0.01, 10, 10)).toEqual(FITTING);
    expect(place(zoomAt(FITTING, frame, 1e6, 200, 150), frame).scale).toBe(16);
  });

  it("still zooms four times into a picture that is tiny already", () => {
    const tiny: Frame = { width: 400, height: 400, imageWidth: 16, imageHeight: 16 };
    expect(zoomAt(FITTING, tiny, 100, 0, 0).factor).toBe(4);
  });
});

describe("clamp", () => {
  it("leaves no gap beside a larger picture and centres a smaller side", () => {
    const zoom = clamp({ factor: 1.2, x: -5, y: 9 }, frame);
    const { left, top, scale } = place(zoom, frame);
    expect(left).toBeCloseTo(0, 9);
    expect(top).toBeCloseTo((300 - 800 * scale) / 2, 9);
    expect(zoom.y).toBe(0.5);
  });
});

describe("panBy", () => {
  it("moves the picture by so many CSS pixels", () => {
    const start: Zoom = { factor: 4, x: 0.5, y: 0.5 };
    const [before, after] = [place(start, frame), place(panBy(start, frame, 25, -40), frame)];
    expect(after.left - before.left).toBeCloseTo(25, 6);
    expect(after.top - before.top).toBeCloseTo(-40, 6);
  });
});

describe("neededSide", () => {
  it.each([
    [1, 1, 512],
    [1, 2, 1024],
    [3.9, 1, 2048],
    [100, 3, 2048],
  ])("zoom %d at %d device pixels asks for %d", (factor, ratio, side) => {
    expect(neededSide({ ...FITTING, factor }, frame, ratio)).toBe(side);
  });

  it("never asks for more than the picture has", () => {
    const small = { ...frame, imageWidth: 640, imageHeight: 480 };
    expect(neededSide({ ...FITTING, factor: 50 }, small, 2)).toBe(1024);
  });
});

describe("isInSight", () => {
  const placement = { scale: 2, left: -100, top: 0 };

  it.each([
    [[0, 0, 50, 10], false],
    [[0, 0, 51, 10], true],
    [[250, 0, 260, 10], false],
    [[249, 149, 260, 160], true],
    [[60, 150, 70, 160], false],
  ] as [[number, number, number, number], boolean][])("box %j: %s", (box, isSeen) => {
    expect(isInSight(box, placement, 400, 300)).toBe(isSeen);
  });
});
