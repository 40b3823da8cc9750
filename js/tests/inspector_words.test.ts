import { describe, expect, it } from "vitest";
import { contrast, hundredths } from "../src/inspector/words";

describe("what a word sets apart", () => {
  it("is the value less the mean of the picture's regions", () => {
    expect(contrast([-0.1, -0.3, -0.2])).toEqual([
      expect.closeTo(0.1),
      expect.closeTo(-0.1),
      expect.closeTo(0),
    ]);
    expect(contrast([0.4])).toEqual([0]);
    expect(contrast([])).toEqual([]);
  });

  it("stands in a cell in hundredths", () => {
    expect(hundredths(0.0342)).toBe("+3.4");
    expect(hundredths(-0.1)).toBe("−10.0");
  });
});
