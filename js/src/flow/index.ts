/**
 * StageFlow: how the hits changed places between the stages, what each stage cost, and how their
 * scores stand apart from the rest. Follows the session's result, current image and selection.
 */

import { h, replace } from "../dom";
import { follow, onAny } from "../listeners";
import { noticeBar } from "../notices";
import type { Session, View } from "../session";
import { type Bump, createBump } from "./bump";
import { createDistributions, type Distribution } from "./distribution";
import { createSeconds } from "./seconds";

/** Two histograms stand side by side from this width on, CSS pixels. */
const WIDE = 560;
const GAP = 16;

export function createFlow(session: Session): View {
  const notices = noticeBar(session);
  const body = h("div");
  const attributes = { class: "matir matir-flow", "data-lm-suppress-shortcuts": "true" };
  const el = h("div", attributes, notices.el, body);
  let bump: Bump | null = null;
  let figures: Distribution[] = [];
  let width = 0;

  function build(): void {
    const { result } = session;
    bump = null;
    figures = [];
    if (!result?.columns.image_id.length) {
      const why = result ? "The search found no images." : "There is no result yet.";
      replace(body, h("p", { class: "matir-flow-empty" }, why));
      return;
    }
    bump = createBump(session, result);
    const scores = createDistributions(result);
    figures = scores.all;
    replace(
      body,
      h("section", { "aria-label": "Ranks by stage" }, h("h3", null, "Ranks by stage"), bump.el),
      Object.keys(result.seconds).length > 0 && createSeconds(result.seconds),
      figures.length > 0 && scores.el,
    );
    resize();
    show();
  }

  function resize(): void {
    if (width <= 0) return;
    bump?.resize(width);
    for (const figure of figures) figure.resize(width < WIDE ? width : (width - GAP) / 2);
  }

  function show(): void {
    bump?.follow();
    const row = session.result?.columns.image_id.indexOf(session.get("current")) ?? -1;
    for (const figure of figures) figure.mark(row);
  }

  const observer = new ResizeObserver(([entry]) => {
    const now = Math.floor(entry?.contentRect.width ?? 0);
    if (now === width) return;
    width = now;
    resize();
  });
  observer.observe(body);
  const ends = [
    notices.destroy,
    follow(session, ["result"], build),
    onAny(session, ["current", "selection"], show),
  ];
  return {
    el,
    destroy: () => {
      observer.disconnect();
      for (const end of ends) end();
    },
  };
}
