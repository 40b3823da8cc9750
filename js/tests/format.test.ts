import { describe, expect, it } from "vitest";
import { count, percent, plural, score, seconds, signed } from "../src/format";

it.each([
  [0.41234, "0.412"],
  [-1.24, "−1.240"],
  [-0.0001, "0.000"],
  [null, "–"],
  [undefined, "–"],
  [Number.NaN, "–"],
])("score %s is %s", (value, text) => {
  expect(score(value)).toBe(text);
});

it.each([
  [0.5, "+0.50"],
  [-0.5, "−0.50"],
  [0, "0.00"],
  [0.001, "0.00"],
  [null, "–"],
])("signed %s is %s", (value, text) => {
  expect(signed(value, 2)).toBe(text);
});

it.each([
  [0.874, "87 %"],
  [0, "0 %"],
  [1, "100 %"],
  [0.004, "0.4 %"],
  [0.9996, "100.0 %"],
  [0.995, "99.5 %"],
  [null, "–"],
])("percent %s is %s", (value, text) => {
  expect(percent(value)).toBe(text);
});

describe("seconds", () => {
  it.each([
    [0, "0 ms"],
    [0.0346, "35 ms"],
    [0.0999, "0.10 s"],
    [0.42, "0.42 s"],
    [9.999, "10.0 s"],
    [12.34, "12.3 s"],
    [59.99, "1 min 0 s"],
    [125, "2 min 5 s"],
    [null, "–"],
  ])("%s is %s", (value, text) => {
    expect(seconds(value)).toBe(text);
  });
});

it("counts things", () => {
  expect([count(1000), count(null)]).toEqual(["1,000", "–"]);
  expect([plural(1, "hit"), plural(0, "hit"), plural(2000, "entry", "entries")]).toEqual([
    "1 hit",
    "0 hits",
    "2,000 entries",
  ]);
});
