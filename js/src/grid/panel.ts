/** The slot beside the grid: its view is made when it is opened and destroyed when it closes. */

import { h, replace } from "../dom";
import { follow } from "../listeners";
import type { Session, View } from "../session";

export type CreateView = (session: Session) => View;
export interface Panels {
  inspector: CreateView;
  flow: CreateView;
}

/** `leave` is called when what had the focus in the panel goes away. */
export function createPanel(session: Session, panels: Panels, leave: () => void): View {
  const el = h("div", { class: "matir-panel" });
  let open: "" | "inspector" | "flow" = "";
  let view: View | null = null;
  const title = h("b");
  const close = h(
    "button",
    {
      type: "button",
      "aria-label": "Close the panel",
      title: "close (Esc)",
      onclick: () => session.set("panel", ""),
    },
    "×",
  );
  const show = (): void => {
    const wanted = session.get("panel");
    if (wanted === open && view !== null) return;
    const hadFocus = el.matches(":focus-within");
    view?.destroy();
    open = wanted;
    view = wanted === "" ? null : panels[wanted](session);
    el.hidden = view === null;
    title.textContent = wanted === "flow" ? "Flow" : "Inspector";
    replace(el, view && h("div", { class: "matir-panel-head" }, title, close), view?.el);
    if (hadFocus) leave();
  };
  const stop = follow(session, ["panel"], show);
  const destroy = (): void => {
    stop();
    view?.destroy();
  };
  return { el, destroy };
}
