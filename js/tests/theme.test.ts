/// <reference types="vite/client" />
import { describe, expect, it } from "vitest";
import type { Rgb } from "../src/palette";
import text from "../src/style/theme.css?raw";

/** What hosts put below a widget: JupyterLab, Notebook, VS Code, our page. */
const GROUNDS = {
  light: ["#ffffff", "#f3f3f3"],
  dark: ["#16181b", "#111111", "#212121", "#1e1e1e"],
};
const SIDES = ["light", "dark"] as const;

function luminance(colour: Rgb): number {
  const [r, g, b] = colour.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(one: Rgb, other: Rgb): number {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (high + 0.05) / (low + 0.05);
}
const mix = (one: Rgb, other: Rgb, share: number) =>
  one.map((value, i) => value * share + (other[i as 0] as number) * (1 - share)) as Rgb;

/** "#e6007e" or "#e07" as 0 to 255; null for any other text. */
function hexRgb(text: string): Rgb | null {
  const digits = /^#([\da-f]{3}|[\da-f]{6})$/i.exec(text)?.[1];
  const six = digits?.length === 3 ? digits.replace(/./g, "$&$&") : digits;
  return (six?.match(/../g)?.map((two) => Number.parseInt(two, 16)) as Rgb | undefined) ?? null;
}

/** `--matir-name: light-dark(#light, #dark)`. */
function pair(name: string, side: (typeof SIDES)[number]): Rgb {
  const found = new RegExp(`--matir-${name}: light-dark\\((#\\w+), (#\\w+)\\)`).exec(text);
  const colour = hexRgb(found?.[side === "light" ? 1 : 2] ?? "");
  if (colour === null) throw new Error(`the theme has no pair --matir-${name}`);
  return colour;
}
/** `--matir-name: color-mix(in srgb, var(--matir-ink) SHARE%, var(--matir-bg))`. */
function share(name: string): number {
  const pattern = `--matir-${name}: color-mix\\(in srgb, var\\(--matir-ink\\) (\\d+)%`;
  return Number(new RegExp(pattern).exec(text)?.[1]) / 100;
}

const cases = SIDES.flatMap((side) => GROUNDS[side].map((ground) => ({ side, ground })));

describe.each(cases)("$side on $ground", ({ side, ground }) => {
  const paper = hexRgb(ground) as Rgb;
  const ink = mix(side === "light" ? [0, 0, 0] : [255, 255, 255], paper, 0.88);
  const raised = mix(ink, paper, share("raised"));

  it.each(["accent", "up", "down", "warn", "good"])("--matir-%s can be read", (name) => {
    expect(contrast(pair(name, side), raised)).toBeGreaterThanOrEqual(4.5);
  });
  it("faint text can be read", () => {
    expect(contrast(mix(ink, paper, share("faint")), raised)).toBeGreaterThanOrEqual(4.5);
  });
  it("text on the accent can be read", () => {
    expect(contrast(pair("on-accent", side), pair("accent", side))).toBeGreaterThanOrEqual(4.5);
  });
  it.each(["stage1", "judge", "align", "negative"])("the bar %s can be seen", (name) => {
    expect(contrast(pair(`bar-${name}`, side), raised)).toBeGreaterThanOrEqual(3);
  });
});

it("says which side hosts are on, the light high contrast after the dark one", () => {
  const dark = text.indexOf(".vscode-high-contrast .matir");
  expect(dark).toBeGreaterThan(0);
  expect(text.indexOf(".vscode-high-contrast-light .matir")).toBeGreaterThan(dark);
});
