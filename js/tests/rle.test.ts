import { describe, expect, it } from "vitest";
import type { Rle } from "../src/protocol";
import { hit, runs } from "../src/rle";
import fixture from "./fixtures/rle.json";

interface Vector {
  name: string;
  rle: Rle;
  area: number;
  sha256_of_rows: string;
  points: [number, number, number][];
}
const vectors = fixture as unknown as Vector[];

/** (height * width) of 0 and 1, row after row. */
function decode(rle: Rle): Uint8Array {
  const [height, width] = rle.size;
  const columns = new Uint8Array(height * width);
  let end = 0;
  runs(rle).forEach((length, i) => {
    columns.fill(i % 2, end, end + length);
    end += length;
  });
  return columns.map((_, i) => columns[(i % width) * height + Math.floor(i / width)] as number);
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

describe.each(vectors)("as pycocotools: $name", (vector) => {
  it("decodes every pixel", async () => {
    const pixels = decode(vector.rle);
    expect(pixels.length).toBe(vector.rle.size[0] * vector.rle.size[1]);
    expect(await sha256(pixels)).toBe(vector.sha256_of_rows);
  });
  it("has its area", () => {
    expect(decode(vector.rle).reduce((sum, value) => sum + value, 0)).toBe(vector.area);
  });
  it("hits its pixels", () => {
    for (const [x, y, value] of vector.points) expect(hit(vector.rle, x, y)).toBe(value === 1);
  });
});

describe("a mask of 2 rows and 3 columns", () => {
  // Column-major 0 1 1 1 0 0: rows 0 1 0 and 1 1 0.
  const rle: Rle = { size: [2, 3], counts: "132" };
  it("is read down the columns", () => {
    expect(runs(rle)).toEqual([1, 3, 2]);
    expect([...decode(rle)]).toEqual([0, 1, 0, 1, 1, 0]);
  });
  it("takes fractions to their pixel and nothing outside", () => {
    expect(hit(rle, 1.9, 0.2)).toBe(true);
    expect(hit(rle, 0.9, 0.9)).toBe(false);
    expect(hit(rle, 0.5, 1.5)).toBe(true);
    for (const [x, y] of [
      [-0.1, 1],
      [3, 0],
      [1, 2],
      [1, -1],
      [Number.NaN, 0],
    ] as const) {
      expect(hit(rle, x, y)).toBe(false);
    }
  });
});

it.each([
  ["too short", "13"],
  ["too long", "133"],
  ["cut within a number", "13b"],
  ["negative", "1O"],
  ["empty", ""],
])("refuses a damaged code: %s", (_, counts) => {
  expect(() => runs({ size: [2, 3], counts })).toThrow("a mask is damaged");
});
