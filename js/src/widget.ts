/** What anywidget loads: `render` draws the view that the model's `_kind` names. */

import { createCompare } from "./compare/index";
import { connectionBanner } from "./connection";
import { h } from "./dom";
import { createFlow } from "./flow/index";
import { createGrid } from "./grid/index";
import { createInspector } from "./inspector/index";
import { type AfmModel, ModelSession } from "./model_session";
import { hidePreview } from "./preview";
import type { Traits } from "./protocol";
import { createSearch } from "./search/index";
import type { Session, View } from "./session";
import style from "./style/index.css";

const grid = (session: Session): View =>
  createGrid(session, { inspector: createInspector, flow: createFlow });

const VIEWS: Record<Traits["_kind"], (session: ModelSession) => View> = {
  grid,
  inspector: createInspector,
  flow: createFlow,
  search: (session) => createSearch(session, { grid: () => grid(session) }),
  compare: (session) => createCompare(session, grid),
};

function render({ model, el }: { model: AfmModel; el: HTMLElement }): () => void {
  const session = new ModelSession(model);
  const banner = connectionBanner(session);
  const view = VIEWS[session.get("_kind")](session);
  // On the root, not the grid alone: a notebook's shortcuts must not fire from buttons either.
  const root = h("div", { class: "matir", "data-lm-suppress-shortcuts": true }, banner.el, view.el);
  // JupyterLab looks for that attribute from the focused node up, and ends at the first match of a
  // shortcut's selector, `:focus` among them; keys with Ctrl or Cmd stay the host's.
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  });
  // Beside the root, not in the document's head: the view may stand in a shadow tree.
  const sheet = h("style", null, style);
  el.append(sheet, root);
  const showPreview = hidePreview(el);
  return () => {
    showPreview();
    view.destroy();
    banner.destroy();
    session.destroy();
    sheet.remove();
    root.remove();
  };
}

export default { render };
