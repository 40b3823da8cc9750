import { describe, expect, it } from "vitest";
import { actionOf, KEY_HELP, type Key } from "../src/grid/keys";
import { picked, pickedAll, pickOf } from "../src/grid/selection";

const shown = ["a", "b", "c", "d"];
const none = { shiftKey: false, ctrlKey: false, metaKey: false, altKey: false };

describe("picked", () => {
  it("selects one alone", () => {
    expect(picked(["a", "b"], "c", "only", shown, "a")).toEqual(["c"]);
  });
  it("adds and takes away, in the order of picking", () => {
    expect(picked(["c"], "a", "toggle", shown, "")).toEqual(["c", "a"]);
    expect(picked(["c", "a"], "c", "toggle", shown, "")).toEqual(["a"]);
  });
  it("runs a range from the anchor, either way", () => {
    expect(picked([], "d", "range", shown, "b")).toEqual(["b", "c", "d"]);
    expect(picked(["d"], "a", "range", shown, "c")).toEqual(["c", "b", "a"]);
  });
  it("needs an anchor that is shown", () => {
    expect(picked(["x"], "b", "range", shown, "x")).toEqual(["b"]);
    expect(picked([], "b", "range", shown, "")).toEqual(["b"]);
  });
  it("leaves its input as it is", () => {
    const selection = Object.freeze(["a"]);
    picked(selection, "b", "toggle", shown, "");
    expect(selection).toEqual(["a"]);
  });
});
it("selects all shown, then none", () => {
  expect(pickedAll(["b"], shown)).toEqual(shown);
  expect(pickedAll(["d", "c", "b", "a", "hidden"], shown)).toEqual([]);
});
it("reads modifiers", () => {
  expect(pickOf(none)).toBe("only");
  expect(pickOf({ ...none, ctrlKey: true })).toBe("toggle");
  expect(pickOf({ ...none, metaKey: true })).toBe("toggle");
  expect(pickOf({ ...none, shiftKey: true, ctrlKey: true })).toBe("range");
});

describe("actionOf", () => {
  const press = (key: string, more: Partial<Key> = {}) => actionOf({ ...none, key, ...more });
  it("moves, and extends with Shift", () => {
    expect(press("PageUp")).toEqual({ kind: "move", key: "PageUp", extend: false });
    expect(press("ArrowLeft", { shiftKey: true })).toMatchObject({ extend: true });
  });
  it("marks, and goes on with Shift", () => {
    expect(press("r")).toEqual({ kind: "mark", mark: "relevant", advance: false });
    expect(press("N", { shiftKey: true })).toMatchObject({ mark: "not relevant", advance: true });
    expect(press("x")).toMatchObject({ mark: null });
  });
  it("knows its commands", () => {
    expect(press("m")).toEqual({ kind: "command", command: "masks" });
    expect(press("1")).toEqual({ kind: "command", command: "stage1" });
    expect(press("a", { metaKey: true })).toEqual({ kind: "command", command: "select all" });
  });
  it("leaves the host's keys alone", () => {
    expect(press("a")).toBeNull();
    expect(press("r", { ctrlKey: true })).toBeNull();
    expect(press("m", { altKey: true })).toBeNull();
    expect(press("Tab")).toBeNull();
    expect(press("constructor")).toBeNull();
  });
  it("has a line of help for every letter that it knows", () => {
    const text = KEY_HELP.map(([keys]) => keys).join(" ");
    for (const letter of "rnuxmblif12") {
      expect(press(letter)).not.toBeNull();
      expect(text).toContain(letter);
    }
  });
});
