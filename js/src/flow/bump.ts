/**
 * The rank chart: a line per hit through the stages. All lines are drawn as three paths, so that a
 * thousand cost no more nodes than ten; what is pointed at, current, selected or moved furthest is
 * drawn over them. For the keyboard it is a listbox whose one option is the line at the cursor.
 */

import { h, replace, s, setAttribute } from "../dom";
import { count } from "../format";
import { freshId } from "../ids";
import type { ResultTable } from "../protocol";
import type { Session } from "../session";
import { allLines, axes, label, strand } from "./drawing";
import { endOf, FEW, type Layout, layOut } from "./layout";
import { curve, nearest, spaced } from "./paths";
import { moved, picked } from "./pick";
import { linesOf, movers, ranksText, stopsOf, WAYS, wayOf } from "./ranks";
import { path } from "./svg";

const REACH = 24;
const LABEL_GAP = 13;
const N_MOVERS = 3;
const N_PICKED_LABELS = 12;
const WORDS = { up: "▲ moved up", down: "▼ moved down", same: "= stayed" };
const NOTES = { log: "Ranks on a log scale.", linear: "", broken: "Shaded ranks on a log scale." };
/** The space bar takes a line into the selection or out of it, as Ctrl and a click do. */
const TURN = { shiftKey: false, ctrlKey: true, metaKey: false };

export interface Bump {
  el: HTMLElement;
  /** Draw anew for this width. */
  resize: (width: number) => void;
  /** Show what is current and selected. */
  follow: () => void;
}

export function createBump(session: Session, result: ResultTable): Bump {
  const stops = stopsOf(result);
  const lines = linesOf(result);
  const few = lines.length <= FEW;
  const rowOf = new Map(lines.map((line) => [line.id, line.row]));
  const furthest = movers(lines, N_MOVERS);
  const prefix = `${freshId("flow")}-`;
  let layout: Layout | null = null;
  let log = !few;
  let hovered = -1;
  let cursor = 0;

  const base = s("g");
  const front = s("g");
  const svg = s("svg", { "aria-hidden": true }, base, front);
  const told = h("div", { role: "option", class: "matir-flow-told" });
  const list = h(
    "div",
    {
      class: "matir-flow-chart",
      role: "listbox",
      tabindex: 0,
      "aria-multiselectable": true,
      "aria-label": "Hits in final order, with their rank at each stage",
      onkeydown,
      onclick: (event) => hovered >= 0 && choose(hovered, event),
      onpointermove: (event) => point(rowAt(event)),
      onpointerleave: () => point(-1),
      onfocus: update,
      onblur: update,
    },
    told,
    svg,
  );
  const note = h("span");
  const logButton = h(
    "button",
    { type: "button", title: "Give the first ranks the most room", onclick: turnLog },
    "Log scale",
  );
  const legend = WAYS.map((way) => {
    const icon = s("svg", { width: 26, height: 10, "aria-hidden": true });
    icon.append(path("base", "M0 5H26", { "data-way": way }));
    const n = lines.filter((line) => wayOf(line) === way).length;
    return h("span", null, icon, `${WORDS[way]} ${count(n)}`);
  });
  const key = h("div", { class: "matir-flow-legend" }, ...legend, note, logButton);

  function turnLog(): void {
    log = !log;
    if (layout) resize(layout.width);
  }

  function resize(width: number): void {
    layout = layOut(lines, stops, width, log);
    setAttribute(logButton, "aria-pressed", log);
    setAttribute(svg, "width", width);
    setAttribute(svg, "height", layout.height);
    replace(base, ...axes(layout, stops, lines.length), ...allLines(layout, lines));
    note.textContent = NOTES[layout.scale.kind];
    update();
  }

  function update(): void {
    if (!layout) return;
    const shown = layout;
    const current = row(session.get("current"));
    const chosen = session.get("selection").map(row).filter(exists);
    const atCursor = list.matches(":focus") ? cursor : -1;
    const strong = [...new Set([hovered, atCursor, current])].filter(exists);
    const wanted = [...strong, ...chosen.slice(0, N_PICKED_LABELS), ...furthest, 0, 1, 2, 3, 4];
    const y = (row: number) => endOf(shown.curves[row] ?? []);
    const others = few ? lines.map((line) => line.row) : [];
    const named = spaced([...wanted, ...others], y, LABEL_GAP);
    const over = (rows: number[], as: (row: number) => "mover" | "current" | "hover") =>
      pick(rows).map((line) => strand(shown, line, as(line.row)));
    replace(
      front,
      path("picked", chosen.map((row) => curve(shown.curves[row] ?? [])).join("")),
      ...over(furthest, () => "mover"),
      ...over(strong.reverse(), (row) => (row === current ? "current" : "hover")),
      ...pick(named).map((line) =>
        label(shown, line, strong.includes(line.row), chosen.includes(line.row)),
      ),
    );
    tell(hovered >= 0 ? hovered : cursor, chosen);
  }

  function row(id: string): number {
    return rowOf.get(id) ?? -1;
  }

  function exists(row: number): boolean {
    return row >= 0;
  }

  function pick(rows: number[]) {
    return rows.flatMap((row) => lines[row] ?? []);
  }

  function tell(row: number, chosen: number[]): void {
    const said = pick([row]).flatMap((line) => [
      h("bdi", { title: line.id }, line.id),
      h("span", null, ": "),
      h("span", null, ranksText(line, stops)),
    ]);
    replace(told, ...said);
    told.id = prefix + row;
    setAttribute(list, "aria-activedescendant", told.id);
    setAttribute(told, "aria-selected", chosen.includes(row));
    setAttribute(told, "aria-posinset", row + 1);
    setAttribute(told, "aria-setsize", lines.length);
  }

  function rowAt(event: PointerEvent): number {
    const { left, top } = svg.getBoundingClientRect();
    return nearest(layout?.curves ?? [], event.clientX - left, event.clientY - top, REACH);
  }

  function point(row: number): void {
    if (row === hovered) return;
    hovered = row;
    list.style.cursor = row >= 0 ? "pointer" : "";
    update();
  }

  function choose(row: number, keys: typeof TURN): void {
    const id = lines[row]?.id ?? "";
    cursor = row;
    session.set("current", id);
    session.set("selection", picked(session.get("selection"), id, keys));
    update();
  }

  function onkeydown(event: KeyboardEvent): void {
    const target = moved(event.key, cursor, lines.length);
    if (event.key === "Enter") choose(cursor, event);
    else if (event.key === " ") choose(cursor, TURN);
    else if (target === null || event.ctrlKey || event.metaKey || event.altKey) return;
    else {
      cursor = target;
      hovered = -1;
      update();
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function follow(): void {
    const current = row(session.get("current"));
    if (exists(current)) cursor = current;
    update();
  }

  return { el: h("div", null, key, list), resize, follow };
}
