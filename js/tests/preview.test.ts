import { expect, it } from "vitest";
import { COMMENT, isPreview } from "../src/preview";

const jpeg = (bytes: string) => `data:image/jpeg;base64,${btoa(bytes)}`;
/** Signature, a JFIF segment, a comment, and the picture. */
const file = (comment: string) =>
  `\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xfe\x00\x0f${comment}${"\xab".repeat(9000)}`;

it("knows its own picture", () => {
  expect(isPreview(jpeg(file(COMMENT)))).toBe(true);
});

it("leaves other pictures alone", () => {
  expect(isPreview(jpeg(file("made by me")))).toBe(false);
  expect(isPreview(jpeg("\xab".repeat(9000) + COMMENT))).toBe(false);
  expect(isPreview(`data:image/png;base64,${btoa(COMMENT)}`)).toBe(false);
  expect(isPreview("https://example.org/a.jpg")).toBe(false);
  expect(isPreview("")).toBe(false);
});
