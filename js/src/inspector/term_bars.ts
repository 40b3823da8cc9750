/**
 * Numbers that add up, as a table with bars: each starts where the last one ended. Lines can
 * stand in groups; a fact is a line that adds nothing and has no bar.
 */

import { h } from "../dom";
import { score, signed } from "../format";
import type { Stage } from "../protocol";
import { type Bar, waterfall } from "./waterfall";

export interface Line {
  name: string;
  /** What the name means. */
  title?: string | undefined;
  formula: string;
  /** What it adds; null = a fact. */
  value: number | null;
  /** Whose colour the bar has; stage 1's by default. */
  kind?: Stage;
}
export interface Group {
  /** "" = the lines need no head. */
  head: string;
  lines: Line[];
}

/** A table of `groups` whose values add up to `total`. */
export function termTable(
  caption: string,
  totalName: string,
  groups: readonly Group[],
  total: number,
): HTMLTableElement {
  const summands = groups.flatMap(({ lines }) => lines).filter((line) => line.value !== null);
  const layout = waterfall(
    summands.map((line) => line.value as number),
    total,
  );
  const places = new Map(summands.map((line, i) => [line, layout.bars[i] as Bar]));
  const draw = (line: Line): HTMLElement => {
    const place = places.get(line);
    if (!place) return fact(line);
    const value = line.value as number;
    const kind = value < 0 ? "negative" : line.kind === "judge" ? "judge" : "stage1";
    return summand(line, signed(value, layout.digits), bar(place, kind, layout.zero));
  };
  const rest = { name: "unexplained", title: UNEXPLAINED, formula: "" };
  const end = { from: layout.bars.at(-1)?.to ?? layout.zero, to: layout.total.to };
  return h(
    "table",
    { class: "matir-terms" },
    h("caption", null, caption),
    ...groups.map(({ head, lines }) =>
      h(
        "tbody",
        null,
        head && h("tr", null, h("th", { scope: "rowgroup", colspan: 4 }, head)),
        ...lines.map(draw),
      ),
    ),
    h(
      "tfoot",
      null,
      layout.rest !== 0 &&
        summand(rest, signed(layout.rest, layout.digits), bar(end, "negative", layout.zero)),
      summand(
        { name: `= ${totalName}`, formula: "" },
        score(total, layout.digits),
        bar(layout.total, "total", layout.zero),
      ),
    ),
  );
}

const UNEXPLAINED = "The terms above do not add up to the score";

function summand(
  { name, title, formula }: Pick<Line, "name" | "title" | "formula">,
  value: string,
  bar: HTMLElement,
): HTMLElement {
  return h(
    "tr",
    null,
    h("th", { scope: "row", title }, name),
    h("td", { class: "matir-formula" }, formula),
    h("td", { class: "matir-term-cell" }, bar),
    h("td", null, value),
  );
}

function fact({ name, title, formula }: Line): HTMLElement {
  return h(
    "tr",
    { class: "matir-fact" },
    h("th", { scope: "row", title }, name),
    h("td", { class: "matir-formula", colspan: 3 }, formula),
  );
}

function bar({ from, to }: Bar, kind: string, zero: number): HTMLElement {
  const [left, width] = [Math.min(from, to) * 100, Math.abs(to - from) * 100];
  return h(
    "div",
    { class: "matir-term-bar", "aria-hidden": true },
    h("i", { style: `left:${zero * 100}%` }),
    h("div", { class: `matir-term-${kind}`, style: `left:${left}%;width:${width}%` }),
  );
}
