import { expect, test } from "vitest";
import { moved, picked } from "../src/flow/pick";

const PLAIN = { shiftKey: false, ctrlKey: false, metaKey: false };

test("a plain click selects one image, whatever was selected", () => {
  expect(picked(["a", "b"], "c", PLAIN)).toEqual(["c"]);
  expect(picked(["a", "b"], "b", PLAIN)).toEqual(["b"]);
});

test("Shift adds, in the order of picking", () => {
  const shift = { ...PLAIN, shiftKey: true };
  expect(picked(["b"], "a", shift)).toEqual(["b", "a"]);
  expect(picked(["b", "a"], "b", shift)).toEqual(["b", "a"]);
});

test.each(["ctrlKey", "metaKey"])("%s adds what is not selected and takes out what is", (key) => {
  const keys = { ...PLAIN, [key]: true };
  expect(picked(["b"], "a", keys)).toEqual(["b", "a"]);
  expect(picked(["b", "a"], "b", keys)).toEqual(["a"]);
});

test.each([
  ["ArrowDown", 3, 4],
  ["ArrowDown", 23, 23],
  ["ArrowUp", 0, 0],
  ["PageDown", 3, 13],
  ["PageUp", 3, 0],
  ["Home", 7, 0],
  ["End", 7, 23],
  ["f", 7, null],
])("%s leads from row %i to %s", (key, row, to) => {
  expect(moved(key, row, 24)).toBe(to);
});
