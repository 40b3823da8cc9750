/**
 * Two results side by side: a grid each, the way of every image from rank to rank between them,
 * and how alike they are. Selection, marks and the current hit are shared; a filter shows what
 * stayed, moved, entered or left alone.
 */

import { h, replace } from "../dom";
import { count, score } from "../format";
import { createToolbar } from "../grid/toolbar";
import { freshId } from "../ids";
import { follow, onAny } from "../listeners";
import type { ModelSession } from "../model_session";
import type { Session, View } from "../session";
import { createChart } from "./chart";
import { type Side, SideSession } from "./side";
import {
  type ComparedTable,
  countsOf,
  FILTERS,
  type Filter,
  fits,
  modelsText,
  type Pair,
  pairsOf,
  saidOf,
  tileText,
} from "./states";

/** From this width on the grids stand beside each other, CSS pixels. */
const WIDE = 860;
const RANKS = 180;
const SHORT = 220;
const SIDES = ["a", "b"] as const;
const HINT = "What is picked is picked on both sides.";

/** Make the view; `createGrid` makes the grid of each side. */
export function createCompare(model: ModelSession, createGrid: (session: Session) => View): View {
  const id = freshId("compare");
  const sessions = { a: new SideSession(model, "a"), b: new SideSession(model, "b") };
  let filter: Filter = "all";
  let pairs: Pair[] = [];
  let byId = new Map<string, Pair>();

  const notices = h("div", { class: "matir-notices", role: "note", "aria-label": "Notices" });
  const title = h("div", { class: "matir-title", role: "heading", "aria-level": 3, dir: "auto" });
  const measures = h("dl", { class: "matir-measures" });
  const told = h("div", { class: "matir-counts matir-compare-told", role: "status" });
  const toolbar = createToolbar(sessions.a, id);
  const chart = createChart(sessions.a, tell);
  const { el: filters, show: showFilters } = filterControl(id, (chosen) => {
    filter = chosen;
    showRows();
  });
  const sides = SIDES.map((side) => createSide(side, createGrid(sessions[side])));
  const [left, right] = sides;
  const body = h("div", { class: "matir-compare-body" }, left?.el, chart.el, right?.el);
  const el = h(
    "div",
    { class: "matir matir-compare", "data-lm-suppress-shortcuts": true },
    notices,
    h("div", { class: "matir-head" }, title, measures, toolbar.buttons),
    toolbar.el,
    h("div", { class: "matir-head matir-compare-line" }, filters, told),
    body,
  );
  el.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) toolbar.closeHelp();
  });

  function tables(): { a: ComparedTable | null; b: ComparedTable | null } {
    return { a: sessions.a.result as ComparedTable, b: sessions.b.result as ComparedTable };
  }

  function showResults(): void {
    const { a, b } = tables();
    if (a === null || b === null) return;
    pairs = pairsOf(a, b);
    byId = new Map(pairs.map((pair) => [pair.id, pair]));
    const words = new Set([...b.comparison.notes, ...a.notices, ...b.notices]);
    notices.hidden = words.size === 0;
    replace(notices, ...[...words].map((word) => h("p", null, word)));
    const same = a.query === b.query;
    title.textContent = same ? `A, B: ${a.query}` : `A: ${a.query} → B: ${b.query}`;
    replace(measures, ...measuresOf(b));
    for (const side of sides) {
      const table = { a, b }[side.side];
      side.models.textContent = modelsText(table);
      side.models.title = modelsText(table, true);
    }
    showFilters(countsOf(pairs));
    showRows();
  }

  function showRows(): void {
    for (const { side } of sides) {
      const rows = pairs.flatMap((pair) => {
        const rank = pair[side];
        return rank !== null && fits(pair, filter) ? [rank - 1] : [];
      });
      sessions[side].show(filter === "all" ? null : new Set(rows));
    }
    el.dataset.filter = filter;
    drawChart();
    decorate();
  }

  function tell(pair: Pair | null): void {
    const { b } = tables();
    const same = pair?.b ? (b?.comparison.same_region[pair.b - 1] ?? null) : null;
    const text = pair === null ? HINT : saidOf(pair, same);
    if (told.textContent !== text) told.textContent = text;
  }

  /** Say on each tile where its image stands in the other result. */
  function decorate(): void {
    for (const { side, el: node } of sides) {
      const ids = sessions[side].result?.columns.image_id;
      for (const tile of node.querySelectorAll<HTMLElement>(".matir-tile")) {
        const pair = byId.get(ids?.[Number(tile.dataset.row)] ?? "");
        const text = pair === undefined ? "" : tileText(pair, side);
        if (tile.dataset.other !== text) tile.dataset.other = text;
      }
    }
  }

  function drawChart(): void {
    const isWide = el.clientWidth >= WIDE;
    el.classList.toggle("matir-side-by-side", isWide);
    // as tall as the windows on the tiles
    const tall = Math.min(Math.max(0.7 * innerHeight, 320), 720);
    chart.draw(pairs, filter, isWide ? RANKS : el.clientWidth || RANKS, isWide ? tall : SHORT);
  }

  // Tiles are made and given other rows as the grids scroll.
  const tiles = new MutationObserver(decorate);
  for (const side of sides) {
    const what = {
      childList: true,
      subtree: true,
      attributes: true,
      attributeFilter: ["data-row"],
    };
    tiles.observe(side.el, what);
  }
  const observer = new ResizeObserver(drawChart);
  observer.observe(el);
  const stops = [
    follow(model, ["result"], showResults),
    onAny(model, ["current", "selection"], chart.follow),
  ];
  tell(null);
  return {
    el,
    destroy: () => {
      for (const stop of stops) stop();
      tiles.disconnect();
      observer.disconnect();
      toolbar.destroy();
      for (const side of sides) side.grid.destroy();
      el.remove();
    },
  };
}

function createSide(side: Side, grid: View) {
  const models = h("span", { class: "matir-counts" });
  const name = h("b", { class: "matir-pill" }, side.toUpperCase());
  const head = h("div", { class: "matir-side-name" }, name, models);
  const label = `Result ${side.toUpperCase()}`;
  const el = h("section", { class: "matir-side", "aria-label": label }, head, grid.el);
  return { side, el, grid, models };
}

function measuresOf({ comparison, columns }: ComparedTable): HTMLElement[] {
  const { rbo, rbo_p, rbo_least, rbo_highest } = comparison;
  const bounds = `${score(rbo_least, 2)}–${score(rbo_highest, 2)}`;
  const k = Math.min(10, Math.max(columns.image_id.length, 1));
  const shown: [string, number | null, string, string][] = [
    ["RBO", rbo, bounds, `rank-biased overlap, p = ${rbo_p}, and its bounds`],
    [`overlap@${k}`, comparison.overlap_at_10, "", `of the best ${k}`],
    ["Jaccard", comparison.jaccard, "", "shared of all images"],
    ["Kendall τ", comparison.kendall_tau, "", "of shared images"],
  ];
  return shown.map(([name, value, more, about]) =>
    h(
      "div",
      { title: about },
      h("dt", null, `${name} `),
      h("dd", null, h("b", null, score(value)), more !== "" && ` ${more}`),
    ),
  );
}

function filterControl(id: string, choose: (filter: Filter) => void) {
  const parts = FILTERS.map((value) => {
    const onchange = (): void => choose(value);
    const checked = value === "all";
    const input = h("input", { type: "radio", name: `${id}-show`, value, checked, onchange });
    const n = h("span", null, value);
    return { value, n, el: h("label", null, input, n) };
  });
  const attributes = { class: "matir-segments", role: "radiogroup", "aria-label": "show" };
  const el = h("div", attributes, ...parts.map((part) => part.el));
  const show = (counts: Record<Filter, number>): void => {
    for (const { value, n } of parts) n.textContent = `${value} ${count(counts[value])}`;
  };
  return { el, show };
}
