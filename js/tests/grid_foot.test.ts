import { expect, it } from "vitest";
import { isOvertaken, judgedText, nextStep } from "../src/grid/foot";
import { tableOf } from "./support";

const table = { ...tableOf("r1"), n_judged: 400, n_images: 1000 };

it("says how far the judge is", () => {
  expect(judgedText(table)).toBe("judged 400 of 1,000 images");
  expect(judgedText({ ...table, n_images: null })).toBe("judged 400 images");
  expect(judgedText({ ...table, n_judged: 1000 })).toBe("all 1,000 images judged");
  expect(judgedText({ ...table, n_judged: null })).toBe("not judged");
});

it("offers a step, or what is left of the images", () => {
  expect(nextStep(table, 64)).toBe(64);
  expect(nextStep({ ...table, n_judged: 990 }, 64)).toBe(10);
  expect(nextStep({ ...table, n_judged: 1000 }, 64)).toBe(0);
  expect(nextStep({ ...table, n_judged: null }, 64)).toBe(64);
  expect(nextStep({ ...table, n_images: null }, 64)).toBe(64);
});

it("offers none where nothing can be asked for", () => {
  expect(nextStep(null, 64)).toBe(0);
  expect(nextStep(table, 0)).toBe(0);
  expect(nextStep({ ...table, has_pictures: false }, 64)).toBe(0);
  expect(nextStep({ ...tableOf("r1", []), n_judged: 0, n_images: 9 }, 64)).toBe(0);
});

it("tells a failure from a newer request, whose table comes", () => {
  expect(isOvertaken(new DOMException("taken back", "AbortError"))).toBe(true);
  expect(isOvertaken(new Error("a newer judge_more took its place"))).toBe(true);
  expect(isOvertaken(new Error("result 'a' is not shown any more: it is 'b'"))).toBe(true);
  expect(isOvertaken(new Error("the judge needs the index: give it"))).toBe(false);
});
