/** The null band in words, and its places on the axis. */

import { describe, expect, it } from "vitest";
import { bandPlaces, bandWords } from "../src/inspector/null_band";

const band = (percentile: number) => ({ n_phrases: 256, percentile, quantiles: [] });

describe("bandWords", () => {
  it.each([
    [99.6, "higher than 99.6 % of 256 unrelated phrases"],
    [50, "higher than 50 % of 256 unrelated phrases"],
    [100, "higher than all 256 unrelated phrases"],
    [0, "not higher than any of 256 unrelated phrases"],
  ])("%s", (percentile, words) => {
    expect(bandWords(band(percentile))).toBe(words);
  });
});

describe("bandPlaces", () => {
  it("holds the quantiles and the query, with a margin", () => {
    const { quantiles, value } = bandPlaces([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0.8);
    const all = [...quantiles, value];
    expect(Math.min(...all)).toBeCloseTo(0.04 / 1.08);
    expect(Math.max(...all)).toBeCloseTo(1.04 / 1.08);
    expect(all).toEqual([...all].sort((a, b) => a - b));
    expect((quantiles[3] as number) - (quantiles[0] as number)).toBeCloseTo(0.375 / 1.08);
  });

  it("has an axis where everything is one value", () => {
    expect(bandPlaces([1, 1, 1, 1, 1, 1, 1], 1)).toEqual({
      quantiles: [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
      value: 0.5,
    });
  });
});
