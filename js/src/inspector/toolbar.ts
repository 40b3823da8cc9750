/** Buttons for zoom and, where no grid has them, the controls of masks, boxes and labels. */

import { layerControls } from "../controls";
import { h } from "../dom";
import type { Session, View } from "../session";

const ZOOMS = [
  ["-", "−", "Zoom out"],
  ["+", "+", "Zoom in"],
  ["0", "fit", "Fit the whole picture"],
] as const;

export class Toolbar implements View {
  readonly el: HTMLElement;
  readonly #percent = h("output", { title: "Size on screen, in percent of the picture's own" });
  readonly #layers;

  constructor(session: Session, zoom: (key: "+" | "-" | "0") => void) {
    this.#layers = layerControls(session);
    const [out, into, fit] = ZOOMS.map(([key, sign, name]) => {
      const title = `${name} (${key})`;
      const onclick = (): void => zoom(key);
      return h("button", { type: "button", title, "aria-label": title, onclick }, sign);
    });
    this.el = h(
      "div",
      { class: "matir-lens-bar" },
      h(
        "div",
        { class: "matir-steps", role: "group", "aria-label": "Zoom" },
        out,
        this.#percent,
        into,
        fit,
      ),
      h(
        "div",
        { class: "matir-layers matir-toolbar", role: "group", "aria-label": "Layers" },
        ...this.#layers.map(({ el }) => el),
      ),
    );
  }

  zoomed(percent: number): void {
    this.#percent.value = `${Math.round(percent)} %`;
  }

  destroy(): void {
    for (const { stop } of this.#layers) stop();
  }
}
