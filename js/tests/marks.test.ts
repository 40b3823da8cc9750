import { expect, it } from "vitest";
import {
  countMarks,
  markOf,
  markOfKey,
  markTargets,
  setMark,
  signOf,
  withMark,
} from "../src/marks";
import { PageSession } from "../src/page_session";
import { tableOf } from "./support";

const page = (traits = {}) =>
  new PageSession({ table: tableOf("r"), traits, tiles: [], details: [], words: [] });

it("knows the keys, with and without Shift", () => {
  expect(["r", "N", "u", "x", "q"].map(markOfKey)).toEqual([
    "relevant",
    "not relevant",
    "unsure",
    null,
    undefined,
  ]);
});

it("has a sign of its own for each mark", () => {
  expect((["relevant", "not relevant", "unsure", null] as const).map(signOf)).toEqual([
    "✓",
    "✕",
    "?",
    "",
  ]);
});

it("marks the current hit, or the selection that it is part of", () => {
  expect(markTargets(page())).toEqual([]);
  expect(markTargets(page({ current: "a" }))).toEqual(["a"]);
  expect(markTargets(page({ current: "a", selection: ["b", "a"] }))).toEqual(["b", "a"]);
  expect(markTargets(page({ current: "a", selection: ["b"] }))).toEqual(["a"]);
  expect(markTargets(page({ selection: ["b"] }))).toEqual(["b"]);
});

it("sets, changes and clears marks without touching the old ones", () => {
  const session = page({ current: "a" });
  setMark(session, "relevant");
  const before = session.get("marks");
  setMark(session, "unsure", ["a", "b"]);
  expect(before).toEqual({ a: "relevant" });
  expect(session.get("marks")).toEqual({ a: "unsure", b: "unsure" });
  setMark(session, null, ["a"]);
  expect([markOf(session, "a"), markOf(session, "b")]).toEqual([null, "unsure"]);
});

it("takes any file name for a name", () => {
  const marks = withMark({}, ["__proto__", "constructor"], "relevant");
  expect(Object.keys(marks)).toEqual(["__proto__", "constructor"]);
  expect(markOf(page({ marks: {} }), "constructor")).toBeNull();
  expect(markOf(page({ marks }), "__proto__")).toBe("relevant");
});

it("counts", () => {
  expect(countMarks({ a: "relevant", b: "unsure", c: "relevant" })).toEqual({
    relevant: 2,
    "not relevant": 0,
    unsure: 1,
  });
});
