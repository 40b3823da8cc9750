/** The line of controls above the grid: each is bound to a trait and follows it. */

import { type Control, checkbox, layerControls, segments, slider } from "../controls";
import { h, replace } from "../dom";
import { score } from "../format";
import { follow } from "../listeners";
import { aboveCut } from "../order";
import { position, type Range, rangeOf } from "../palette";
import type { Session, View } from "../session";
import { KEY_HELP } from "./keys";
import { TILE_PX } from "./layout";

export interface Toolbar extends View {
  /** Open and close the panels and the key help. */
  buttons: HTMLElement;
  toggleHelp(): void;
  isHelpOpen(): boolean;
  closeHelp(): void;
}

const SCORE_STEPS = 200;

export function createToolbar(session: Session, id: string): Toolbar {
  const help = keyHelp(id);
  const panelButtons = panelControl(session);
  const controls = [
    ...layerControls(session),
    segments(session, "order", "order", ["stage1", "final"]),
    slider(session, "tile_px", "size", { ...TILE_PX, step: 8 }),
    minScore(session),
    checkbox(session, "hide_abstained", 'hide "not here"', "hits where the judge named no place"),
    cutFilter(session),
  ];
  const el = h(
    "div",
    { class: "matir-toolbar", role: "toolbar", "aria-label": "What the grid shows" },
    ...controls.map((control) => control.el),
  );
  const buttons = h(
    "div",
    { class: "matir-panel-buttons", role: "group", "aria-label": "Panels" },
    ...panelButtons.buttons,
    help.button,
    help.el,
  );
  const destroy = (): void => {
    for (const { stop } of [...controls, panelButtons]) stop();
  };
  return {
    el,
    buttons,
    destroy,
    toggleHelp: help.toggle,
    isHelpOpen: () => !help.el.hidden,
    closeHelp: () => help.set(false),
  };
}

/** A slider over the result's final scores; at its left end nothing is hidden. */
function minScore(session: Session): Control {
  const input = h("input", { type: "range", min: 0, max: SCORE_STEPS, step: 1 });
  const shown = h("output", { class: "matir-number" });
  const title = "hide hits with a lower final score (log-odds)";
  const el = h("label", { class: "matir-slider", title }, h("span", null, "score ≥"), input, shown);
  const range = (): Range =>
    rangeOf(session.result?.columns.final_score ?? []) ?? { low: 0, high: 0 };
  input.addEventListener("input", () => {
    session.set("min_score", scoreAt(Number(input.value) / SCORE_STEPS, range()), "soon");
  });
  const show = (): void => {
    const { low, high } = range();
    const value = session.get("min_score");
    input.disabled = high <= low;
    input.value = String(value === null ? 0 : position(value, low, high) * SCORE_STEPS);
    const text = value === null ? "off" : score(value, 2);
    shown.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  return { el, stop: follow(session, ["min_score", "result"], show) };
}

/** Shown where the query has a cut. */
function cutFilter(session: Session): Control {
  const words = "hide hits below the query's own cut";
  const { el, stop } = checkbox(session, "only_above_cut", "only above the cut", words);
  const ends = follow(session, ["result"], () => {
    el.hidden = session.result === null || aboveCut(session.result.columns) === null;
  });
  return { el, stop: () => [stop, ends].map((end) => end()) };
}

/** The least score shown at this part (0 to 1) of the slider; the best hit always stays. */
export function scoreAt(part: number, { low, high }: Range): number | null {
  return part === 0 ? null : Math.min(low + (high - low) * part, high);
}

function panelControl(session: Session): { buttons: HTMLElement[]; stop: () => void } {
  const button = (panel: "inspector" | "flow", label: string): HTMLButtonElement =>
    h("button", { type: "button", onclick: () => togglePanel(session, panel) }, label);
  const buttons = { inspector: button("inspector", "Inspector"), flow: button("flow", "Flow") };
  const stop = follow(session, ["panel"], () => {
    for (const [panel, node] of Object.entries(buttons)) {
      node.setAttribute("aria-pressed", String(session.get("panel") === panel));
    }
  });
  return { buttons: Object.values(buttons), stop };
}

export function togglePanel(session: Session, panel: "inspector" | "flow"): void {
  session.set("panel", session.get("panel") === panel ? "" : panel);
}

function keyHelp(id: string) {
  const el = h("div", { class: "matir-key-help", id: `${id}-help`, hidden: true });
  const button = h(
    "button",
    {
      type: "button",
      "aria-label": "Keys",
      title: "keys (?)",
      "aria-expanded": false,
      "aria-controls": `${id}-help`,
    },
    "?",
  );
  const set = (isOpen: boolean): void => {
    el.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
  };
  const rows = KEY_HELP.map(([keys, does]) =>
    h("div", null, h("dt", null, h("kbd", null, keys)), h("dd", null, does)),
  );
  replace(el, h("dl", null, ...rows));
  const toggle = (): void => set(el.hidden !== false);
  button.addEventListener("click", toggle);
  return { el, button, toggle, set };
}
