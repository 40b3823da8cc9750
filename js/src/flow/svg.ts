/** Short names for the SVG that both charts are made of; classes get their prefix here. */

import { type Attributes, type Child, s } from "../dom";

export function path(name: string, d: string, more?: Attributes): SVGPathElement {
  return s("path", { class: `matir-flow-${name}`, d, ...more });
}

export function text(name: string, x: number, y: number, ...children: Child[]): SVGTextElement {
  return s("text", { class: `matir-flow-${name}`, x, y }, ...children);
}
