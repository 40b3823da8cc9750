/** The rank chart as SVG: its axes, all lines as three paths, and single lines with their labels. */

import { s } from "../dom";
import { count } from "../format";
import { endOf, FEW, type Layout, TOP } from "./layout";
import { curve, shorten } from "./paths";
import { gainText, type Line, type Stop, WAYS, wayOf } from "./ranks";
import { thin } from "./scale";
import { path, text } from "./svg";

/** Dashes of more lines than this run into each other; the slope alone tells up from down there. */
const MANY = 100;
/** Between stops, from which their second line of text fits. */
const ROOMY = 84;

export function axes(layout: Layout, stops: Stop[], nHits: number): SVGElement[] {
  const { xs, scale, y, bottom, band } = layout;
  const [left = 0, right = 0] = [xs[0], xs.at(-1)];
  const isRoomy = (xs[1] ?? 0) - left > ROOMY;
  const shade = (from: number, to: number, words: string) => [
    path("band", `M${left} ${from}H${right}V${to}H${left}z`),
    text("note", right + 8, (from + to) / 2 + 4, words),
  ];
  return [
    ...(scale.kind === "broken" ? shade(y(nHits) + 8, bottom, `> ${nHits}: log scale`) : []),
    ...(band ? shade(...band, "not judged") : []),
    ...thin(scale.ticks, y, 12).flatMap((tick) => [
      path("grid", `M${left} ${y(tick)}H${right}`),
      text("tick", left - 8, y(tick) + 4, count(tick)),
    ]),
    ...xs.flatMap((x, i) => [
      path("stop", `M${x} ${TOP - 4}V${band?.[1] ?? bottom}`),
      text("head matir-flow-mid", x, 14, stops[i]?.label),
      text("note matir-flow-mid", x, 29, isRoomy && stops[i]?.note),
    ]),
  ];
}

export function allLines({ curves, bottom }: Layout, lines: Line[]): SVGElement[] {
  const opacity = Math.max(0.22, Math.min(1, 1.5 - lines.length / 120));
  const drawn = WAYS.map((way) => {
    const own = lines.filter((line) => wayOf(line) === way);
    const d = own.map((line) => curve(curves[line.row] ?? [])).join("");
    return path("base", d, { "data-way": lines.length > MANY ? `${way} many` : way, opacity });
  });
  const dots = curves.flat().map(([x, y]) => (y > bottom ? "" : `M${x} ${y}h0`));
  return lines.length > FEW ? drawn : [...drawn, path("dots", dots.join(""))];
}

/** A line of its own; "current" and "hover" ones stand clear of what they cross. */
export function strand(layout: Layout, line: Line, as: "mover" | "current" | "hover"): SVGElement {
  const d = curve(layout.curves[line.row] ?? []);
  const own = path("strand", d, { "data-as": as, "data-way": wayOf(line) });
  return s("g", null, as !== "mover" && path("halo", d), own);
}

export function label(layout: Layout, line: Line, strong: boolean, picked: boolean): SVGElement {
  const { columns, xs, curves } = layout;
  const x = xs.at(-1) ?? 0;
  const room = columns.characters - (picked ? 2 : 0);
  const made = text(
    "label",
    x + 8,
    endOf(curves[line.row] ?? []) + 4,
    count(line.row + 1),
    s("tspan", { x: x + columns.gain, "data-way": wayOf(line) }, gainText(line.gain)),
    s("tspan", { x: x + columns.name }, picked && "✓ ", room > 5 && shorten(line.id, room)),
  );
  made.dataset.strong = String(strong);
  return made;
}
