/**
 * The ranks of A and of B as two axes and a line per image between them: a stub where an image is
 * a hit of one alone. Lines of a kind are one path. It is for the pointer; what it shows and does
 * is in the two grids for the keyboard.
 */

import { h, replace, s, setAttribute } from "../dom";
import { curve, nearest, type Point } from "../flow/paths";
import { picked } from "../flow/pick";
import { rankScale, thin } from "../flow/scale";
import { path, text } from "../flow/svg";
import { count } from "../format";
import type { Session } from "../session";
import { type Filter, fits, type Pair, wayOf } from "./states";

/** Up to so many hits the ranks stand evenly; beyond, on a log scale. */
const EVEN = 40;
const [TOP, BOTTOM, SIDE, STUB, REACH] = [32, 12, 42, 0.28, 18];
const LEGEND = ["up", "down", "entered", "left"] as const;
const WAYS = ["same", ...LEGEND] as const;

export interface Chart {
  el: HTMLElement;
  draw(pairs: readonly Pair[], filter: Filter, width: number, height: number): void;
  /** Show what is current and selected. */
  follow(): void;
}

/** `onPoint` is called with the image that is pointed at; null = none. */
export function createChart(session: Session, onPoint: (pair: Pair | null) => void): Chart {
  let pairs: readonly Pair[] = [];
  let curves: Point[][] = [];
  let hovered = -1;
  const base = s("g");
  const front = s("g");
  const svg = s("svg", { "aria-hidden": true }, base, front);
  const el = h(
    "div",
    {
      class: "matir-flow matir-compare-ranks",
      role: "img",
      onpointermove: (event) => point(rowAt(event)),
      onpointerleave: () => point(-1),
      onclick: choose,
    },
    svg,
    h("div", { class: "matir-flow-legend" }, ...LEGEND.map(legend)),
  );

  function draw(all: readonly Pair[], filter: Filter, width: number, height: number): void {
    pairs = all.filter((pair) => fits(pair, filter));
    hovered = -1;
    const n = all.reduce((most, { a, b }) => Math.max(most, a ?? 0, b ?? 0), 0);
    const scale = rankScale(n, n, n > EVEN);
    const [left, right, room] = [SIDE, width - SIDE, height - TOP - BOTTOM];
    const y = (rank: number) => TOP + scale.y(rank) * room;
    const stub = (right - left) * STUB;
    curves = pairs.map(({ a, b }): Point[] => {
      if (a !== null && b !== null)
        return [
          [left, y(a)],
          [right, y(b)],
        ];
      if (b !== null)
        return [
          [right - stub, y(b)],
          [right, y(b)],
        ];
      return [
        [left, y(a ?? 1)],
        [left + stub, y(a ?? 1)],
      ];
    });
    setAttribute(svg, "width", width);
    setAttribute(svg, "height", height);
    const opacity = Math.max(0.25, Math.min(1, 1.5 - pairs.length / 120));
    const lines = WAYS.map((way) => {
      const own = curves.filter((_, i) => wayOf(pairs[i] as Pair) === way);
      const attributes = { "data-way": pairs.length > 100 ? `${way} many` : way, opacity };
      return path("base", own.map(curve).join(""), attributes);
    });
    replace(
      base,
      ...[left, right].map((x) => path("stop", `M${x} ${TOP - 6}V${TOP + room}`)),
      ...thin(scale.ticks, y, 12).flatMap((tick) => [
        text("tick", left - 7, y(tick) + 4, count(tick)),
        text("note", right + 7, y(tick) + 4, count(tick)),
      ]),
      text("head matir-flow-mid", left, 14, "A"),
      text("head matir-flow-mid", right, 14, "B"),
      text("note matir-flow-mid", width / 2, 14, n > EVEN && "log"),
      ...lines,
    );
    setAttribute(el, "aria-label", labelOf(pairs));
    follow();
  }

  function follow(): void {
    const places = (ids: readonly string[]) => ids.map(placeOf).filter((place) => place >= 0);
    const chosen = places(session.get("selection"));
    const current = placeOf(session.get("current"));
    const strong = [...new Set([current, hovered])].filter((place) => place >= 0);
    replace(
      front,
      path("picked", chosen.map((place) => curve(curves[place] ?? [])).join("")),
      ...strong.flatMap((place) => {
        const d = curve(curves[place] ?? []);
        return [path("halo", d), path("strand", d, { "data-as": "current" })];
      }),
    );
    onPoint(pairs[hovered] ?? pairs[current] ?? null);
  }

  function placeOf(id: string): number {
    return id === "" ? -1 : pairs.findIndex((pair) => pair.id === id);
  }

  function rowAt(event: PointerEvent): number {
    const { left, top } = svg.getBoundingClientRect();
    return nearest(curves, event.clientX - left, event.clientY - top, REACH);
  }

  function point(place: number): void {
    if (place === hovered) return;
    hovered = place;
    el.style.cursor = place >= 0 ? "pointer" : "";
    follow();
  }

  function choose(event: MouseEvent): void {
    const id = pairs[hovered]?.id;
    if (id === undefined) return;
    session.set("current", id);
    session.set("selection", picked(session.get("selection"), id, event));
  }

  return { el, draw, follow };
}

function legend(way: string): HTMLElement {
  const icon = s("svg", { width: 22, height: 8, "aria-hidden": true });
  icon.append(path("base", "M0 4H22", { "data-way": way }));
  return h("span", null, icon, way);
}

/** "Ranks from A to B: 12 up, 10 down, 18 the same, 5 entered, 5 left". */
export function labelOf(pairs: readonly Pair[]): string {
  const n = (way: string) => count(pairs.filter((pair) => wayOf(pair) === way).length);
  const kept = `${n("up")} up, ${n("down")} down, ${n("same")} the same`;
  return `Ranks from A to B: ${kept}, ${n("entered")} entered, ${n("left")} left`;
}
