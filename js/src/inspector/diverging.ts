/**
 * Colours of contributions: blue takes away, orange adds, pale is nothing. Lightness falls evenly
 * to both sides, and blue against orange is told apart with every common kind of colour vision;
 * where it stands in a table, the number stands in it, too. Knows no DOM.
 */

import type { LineColour, Rgb } from "../palette";

/** How a region is filled and outlined that carries a contribution. */
export interface Painted extends LineColour {
  /** Of the fill, 0 to 1: what a word adds nothing to stays as it is in the picture. */
  strength: number;
}

/** Seven steps from "takes away most" over 0 to "adds most". */
const STOPS: readonly Rgb[] = [
  [16, 52, 120],
  [74, 122, 196],
  [158, 191, 226],
  [236, 234, 229],
  [244, 188, 126],
  [196, 96, 24],
  [120, 46, 0],
];
const MIDDLE = (STOPS.length - 1) / 2;

/** From this strength on, white is read better than black, and a line needs a light rim. */
const DARK_FROM = 0.7;

/** How far from 0 a value is on a scale to `limit`, 0 to 1. */
function strengthOf(value: number, limit: number): number {
  return limit > 0 ? Math.min(Math.abs(value) / limit, 1) : 0;
}

/** Colour of `value` on a scale from -`limit` to `limit`; beyond is clamped. */
export function divergingRgb(value: number, limit: number): Rgb {
  const place = MIDDLE + MIDDLE * Math.sign(value) * strengthOf(value, limit);
  const left = Math.min(Math.floor(place), STOPS.length - 2);
  const [from, to] = [STOPS[left] as Rgb, STOPS[left + 1] as Rgb];
  return from.map((start, i) => Math.round(start + (place - left) * (to[i as 0] - start))) as Rgb;
}

/** How a region with a contribution is drawn; a cell of a table has the same ground. */
export function painted(value: number, limit: number): Painted {
  const strength = strengthOf(value, limit);
  return { colour: css(divergingRgb(value, limit)), isDark: strength >= DARK_FROM, strength };
}

/** Largest distance from 0 in a matrix; 0 when it is empty. */
export function limitOf(rows: readonly (readonly number[])[]): number {
  return rows.flat().reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** The whole scale as a gradient in CSS. */
export const DIVERGING_RAMP = `linear-gradient(90deg,${STOPS.map(css).join()})`;

function css(rgb: Rgb): string {
  return `rgb(${rgb.join(" ")})`;
}
