/** How the scores of the hits lie among those of all other images: one histogram per score. */

import { h, replace, s, setAttribute } from "../dom";
import { count, score as say } from "../format";
import { freshId } from "../ids";
import type { Histogram, ResultTable } from "../protocol";
import { type Bins, binned, inWords, roundTicks } from "./histogram";
import { decades, thin } from "./scale";
import { path, text } from "./svg";

const SCORES = { stage1_score: "Stage 1 (cosine)", final_score: "Final score (log-odds)" } as const;
const HEIGHT = 150;
const TOP = 8;
const FLOOR = 122;
const LEFT = 34;

export interface Distribution {
  el: HTMLElement;
  resize: (width: number) => void;
  /** Show where the image of this row stands; -1 = none. */
  mark: (row: number) => void;
}

function createDistribution(
  result: ResultTable,
  name: keyof typeof SCORES,
  rest: Histogram,
): Distribution {
  const values = result.columns[name];
  const bins = binned(rest, values);
  const hatch = freshId("hatch");
  const plot = s("g");
  const pin = path("pin", "");
  const svg = s(
    "svg",
    { height: HEIGHT, "aria-hidden": true },
    s(
      "pattern",
      { id: hatch, width: 5, height: 5, patternUnits: "userSpaceOnUse" },
      path("hatch", "M-1 1L1 -1M0 5L5 0M4 6L6 4"),
    ),
    plot,
    pin,
  );
  const summary = `${inWords(bins, values, result.n_images, say)}.`;
  const el = h(
    "figure",
    null,
    h("figcaption", null, h("b", null, SCORES[name]), h("p", null, summary)),
    svg,
  );
  let x = (_score: number) => 0;
  let marked = -1;

  function mark(row: number): void {
    marked = row;
    const value = values[row];
    const at = value === undefined ? 0 : x(value).toFixed(1);
    pin.setAttribute("d", value === undefined ? "" : `M${at} ${FLOOR}V${TOP}m-4-6h8l-4 6z`);
  }

  function resize(width: number): void {
    setAttribute(svg, "width", width);
    el.style.width = `${width}px`;
    const low = bins.edges[0] ?? 0;
    const range = (bins.edges.at(-1) ?? 1) - low || 1;
    x = (value) => LEFT + ((value - low) / range) * (width - LEFT - 8);
    const most = Math.max(1, ...bins.rest, ...bins.hits);
    const y = (n: number) => FLOOR - Math.sqrt(n / most) * (FLOOR - TOP - 6);
    replace(plot, ...counts(most, y, width), ...bars(bins, x, y), ...ticks(low, range));
    mark(marked);
  }

  function counts(most: number, y: (n: number) => number, width: number): SVGElement[] {
    const shown = thin([...decades(1, most), most], (n) => FLOOR - y(n), 14);
    return shown.flatMap((n) => [
      path("grid", `M${LEFT} ${y(n)}H${width - 8}`),
      text("tick", LEFT - 5, y(n) + 4, count(n)),
    ]);
  }

  function bars(
    { edges, rest, hits }: Bins,
    x: (score: number) => number,
    y: (n: number) => number,
  ): SVGElement[] {
    const box = (n: number, i: number) => {
      const [left, right] = [x(edges[i] ?? 0), x(edges[i + 1] ?? 0)];
      return n ? `M${left} ${FLOOR}V${y(n)}H${right - 1}V${FLOOR}Z` : "";
    };
    return [
      path("rest", rest.map(box).join("")),
      path("found", hits.map(box).join(""), { style: `fill:url(#${hatch})` }),
    ];
  }

  function ticks(low: number, range: number): SVGElement[] {
    const places = roundTicks(low, low + range, 5);
    const step = (places[1] ?? 1) - (places[0] ?? 0);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-6));
    return places.flatMap((value) => [
      path("stop", `M${x(value)} ${FLOOR}v4`),
      text("mid", x(value), FLOOR + 17, say(value, digits)),
    ]);
  }

  return { el, resize, mark };
}

/** One for each score that the result knows of its other images, with what bars mean. */
export function createDistributions(result: ResultTable): { el: HTMLElement; all: Distribution[] } {
  const names = Object.keys(SCORES) as (keyof typeof SCORES)[];
  const all = names.flatMap((name) => {
    const rest = result.rest[name];
    return rest ? createDistribution(result, name, rest) : [];
  });
  const el = h(
    "section",
    { "aria-label": "Scores of the hits and of the rest" },
    h("h3", null, "Scores, found and rest ", h("span", null, "images per bin, square-root scale")),
    h(
      "div",
      { class: "matir-flow-legend" },
      h("span", null, h("i", { "data-bar": "found" }), "found (hits)"),
      h("span", null, h("i", { "data-bar": "rest" }), "rest (no hits)"),
      h("span", null, "▼ current hit"),
    ),
    h("div", { class: "matir-flow-figures" }, ...all.map((one) => one.el)),
  );
  return { el, all };
}
