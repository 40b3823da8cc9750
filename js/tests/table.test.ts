import { describe, expect, it } from "vitest";
import { readTable, toView } from "../src/table";
import { deflated, tableOf } from "./support";

describe("readTable", () => {
  it("gives null for no bytes", async () => {
    expect(await readTable(new DataView(new ArrayBuffer(0)))).toBeNull();
  });
  it("inflates a part of a larger buffer", async () => {
    const table = tableOf("a", ["<img src=x onerror=alert(1)>", "ö/日本.jpg"]);
    const bytes = await deflated(table);
    const larger = new Uint8Array(bytes.byteLength + 30).fill(7);
    larger.set(new Uint8Array(bytes.buffer), 13);
    expect(await readTable(new DataView(larger.buffer, 13, bytes.byteLength))).toEqual(table);
  });
  it("refuses another version", async () => {
    const bytes = await deflated({ ...tableOf("a"), version: 99 });
    await expect(readTable(bytes)).rejects.toThrow("version 99");
  });
  it("rejects what is not deflated", async () => {
    await expect(readTable(toView(new Uint8Array([1, 2, 3])))).rejects.toThrow();
  });
});

describe("toView", () => {
  const bytes = new Uint8Array([1, 2, 3, 4]);
  it("keeps offset and length", () => {
    const view = toView(bytes.subarray(1, 3));
    expect([view.byteOffset, view.byteLength, view.getUint8(0)]).toEqual([1, 2, 2]);
    expect(toView(bytes.buffer).byteLength).toBe(4);
    expect(toView(null).byteLength).toBe(0);
  });
});
