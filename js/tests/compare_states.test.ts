import { describe, expect, it } from "vitest";
import { labelOf } from "../src/compare/chart";
import {
  changeOf,
  countsOf,
  FILTERS,
  fits,
  modelsText,
  pairsOf,
  saidOf,
  tileText,
  wayOf,
} from "../src/compare/states";
import { tableOf } from "./support";

const pairs = pairsOf(tableOf("a", ["p", "q", "r", "s"]), tableOf("b", ["q", "p", "x", "s"]));

describe("pairs", () => {
  it("are all images, those of B by rank, then those of A alone", () => {
    expect(pairs).toEqual([
      { id: "q", a: 2, b: 1 },
      { id: "p", a: 1, b: 2 },
      { id: "x", a: null, b: 3 },
      { id: "s", a: 4, b: 4 },
      { id: "r", a: 3, b: null },
    ]);
  });

  it("go each their way", () => {
    expect(pairs.map(wayOf)).toEqual(["up", "down", "entered", "same", "left"]);
    expect(pairs.map(changeOf)).toEqual(["▲1", "▼1", "", "=", ""]);
  });

  it("are counted by kind", () => {
    expect(countsOf(pairs)).toEqual({ all: 5, kept: 3, moved: 2, entered: 1, left: 1 });
    const ids = FILTERS.map((filter) =>
      pairs.filter((pair) => fits(pair, filter)).map(({ id }) => id),
    );
    expect(ids).toEqual([["q", "p", "x", "s", "r"], ["q", "p", "s"], ["q", "p"], ["x"], ["r"]]);
  });

  it("may be none", () => {
    expect(pairsOf(tableOf("a", []), tableOf("b", []))).toEqual([]);
    expect(countsOf([]).all).toBe(0);
  });

  it("take names of objects' own members as names", () => {
    const odd = pairsOf(tableOf("a", ["__proto__", "constructor"]), tableOf("b", ["constructor"]));
    expect(odd).toEqual([
      { id: "constructor", a: 2, b: 1 },
      { id: "__proto__", a: 1, b: null },
    ]);
  });
});

describe("words", () => {
  it("on a tile say where the image stands in the other result", () => {
    expect(tileText({ id: "q", a: 1207, b: 3 }, "a")).toBe("B #3 ▲1,204");
    expect(tileText({ id: "q", a: 1207, b: 3 }, "b")).toBe("A #1,207 ▲1,204");
    expect(tileText({ id: "x", a: null, b: 3 }, "b")).toBe("not in A");
    expect(tileText({ id: "r", a: 3, b: null }, "a")).toBe("not in B");
  });

  it("say all of one image", () => {
    const pair = { id: "photos/dog.jpg", a: 7, b: 1 };
    expect(saidOf(pair, 1)).toBe("dog.jpg: rank 7 in A, rank 1 in B (▲6), the same region");
    expect(saidOf(pair, 0)).toBe("dog.jpg: rank 7 in A, rank 1 in B (▲6), another region");
    expect(saidOf({ ...pair, a: null }, null)).toBe("dog.jpg: not in A, rank 1 in B");
  });

  it("label the chart", () => {
    expect(labelOf(pairs)).toBe("Ranks from A to B: 1 up, 1 down, 1 the same, 1 entered, 1 left");
  });

  it("name the models", () => {
    const table = { ...tableOf("a"), models: { encoder: "e@1", judge: "j" } };
    expect(modelsText(table)).toBe("encoder e@1, judge j");
    const made = { ...table, models: { encoder: "e@1|view-2", judge: 'j over e {"n": 1}' } };
    expect(modelsText(made)).toBe("encoder e@1, judge j over e");
    expect(modelsText(made, true)).toBe('encoder e@1|view-2, judge j over e {"n": 1}');
  });
});
