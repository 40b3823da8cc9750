/** Controls that are bound to a trait of the session and follow it, for toolbars. */

import { h } from "./dom";
import { freshId } from "./ids";
import { follow } from "./listeners";
import type { Traits } from "./protocol";
import type { Session } from "./session";

export interface Control {
  el: HTMLElement;
  stop: () => void;
}

const MASK_MODES = ["best", "all", "none"] as const;

/** Which masks, whether boxes and labels are shown, and how strong masks are. */
export function layerControls(session: Session): Control[] {
  return [
    segments(session, "mask_mode", "masks", MASK_MODES),
    checkbox(session, "boxes", "boxes", "the judge's box (b)"),
    checkbox(session, "labels", "labels", "names and scores (l)"),
    slider(session, "mask_opacity", "opacity", { min: 0, max: 1, step: 0.05 }),
  ];
}

/** Turn the layer that a key stands for ("m", "b", "l"); false = it is no such key. */
export function turnLayer(session: Session, key: string): boolean {
  if (key === "m") {
    const next = MASK_MODES.indexOf(session.get("mask_mode")) + 1;
    session.set("mask_mode", MASK_MODES[next] ?? "best");
  } else if (key === "b") session.set("boxes", !session.get("boxes"));
  else if (key === "l") session.set("labels", !session.get("labels"));
  else return false;
  return true;
}

/** One of a few words, as radio buttons side by side. */
export function segments<Name extends "mask_mode" | "order">(
  session: Session,
  name: Name,
  label: string,
  values: readonly Traits[Name][],
): Control {
  const group = freshId(name);
  const inputs = values.map((value) => {
    const choose = (): void => session.set(name, value);
    return h("input", { type: "radio", name: group, value, onchange: choose });
  });
  const el = h(
    "div",
    { class: "matir-segments", role: "radiogroup", "aria-label": label },
    h("span", { class: "matir-control-name", "aria-hidden": true }, label),
    ...inputs.map((input) =>
      h("label", null, input, h("span", null, input.value === "stage1" ? "stage 1" : input.value)),
    ),
  );
  const stop = follow(session, [name], () => {
    for (const input of inputs) input.checked = input.value === session.get(name);
  });
  return { el, stop };
}

export function checkbox(
  session: Session,
  name: "boxes" | "labels" | "hide_abstained" | "only_above_cut" | "judge_as_i_scroll",
  label: string,
  title: string,
): Control {
  const input = h("input", { type: "checkbox" });
  input.addEventListener("change", () => session.set(name, input.checked));
  const el = h("label", { class: "matir-check-control", title }, input, label);
  const stop = follow(session, [name], () => {
    input.checked = session.get(name);
  });
  return { el, stop };
}

export function slider(
  session: Session,
  name: "mask_opacity" | "tile_px",
  label: string,
  range: { min: number; max: number; step: number },
): Control {
  const input = h("input", { type: "range", ...range });
  input.addEventListener("input", () => session.set(name, Number(input.value), "soon"));
  const el = h("label", { class: "matir-slider" }, h("span", null, label), input);
  const stop = follow(session, [name], () => {
    input.value = String(session.get(name));
  });
  return { el, stop };
}
