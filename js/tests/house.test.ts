/// <reference types="vite/client" />
import { describe, expect, it } from "vitest";

const sources = import.meta.glob<string>("../src/**/*.{ts,css}", {
  query: "?raw",
  import: "default",
  eager: true,
});
const files = Object.entries(sources);
const scripts = files.filter(([path]) => path.endsWith(".ts"));

it("finds the sources", () => {
  expect(scripts.length).toBeGreaterThan(15);
  expect(sources["../src/style/theme.css"]).toContain(".matir {");
});

describe.each(scripts)("%s", (_, text) => {
  it("makes no markup of text and runs none", () => {
    expect(text).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|\beval\(|new Function/,
    );
  });
  it("opens with its job", () => {
    expect(text.startsWith("/**")).toBe(true);
  });
});

describe.each(files)("%s", (_, text) => {
  it("asks no network", () => {
    const addresses = text.match(/\b(https?|wss?):\/\/[^\s"'`)]+/g) ?? [];
    expect(addresses.filter((found) => found !== "http://www.w3.org/2000/svg")).toEqual([]);
    expect(text).not.toMatch(
      /\b(fetch|importScripts)\(|XMLHttpRequest|WebSocket|sendBeacon|new Worker/,
    );
  });
});

describe.each(files.filter(([path]) => path.endsWith(".css")))("%s", (_, text) => {
  it("styles nothing outside .matir", () => {
    const selectors = text
      .replace(/\/\*[\s\S]*?\*\//g, "")
      .replace(/@import[^;]*;/g, "")
      .replace(/@(media|supports|container)[^{]*\{/g, "")
      .replace(/@keyframes[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}/g, "")
      .match(/[^{}]+(?=\{)/g);
    for (const selector of selectors ?? []) {
      for (const part of selector.split(/,(?![^(]*\))/)) expect(part).toContain(".matir");
    }
  });
});
