/**
 * The bar that says what a reader of the scores must know, e.g. that the models are the embedded
 * ones. Every view has one at its top; where views are nested, the style shows the outer one only.
 */

import { h, replace } from "./dom";
import { follow } from "./listeners";
import type { Session, View } from "./session";

/** Make the bar; it follows the session's table and hides when there is nothing to say. */
export function noticeBar(session: Session): View {
  const el = h("div", { class: "matir-notices", role: "note", "aria-label": "Notices" });
  const show = () => {
    const notices = session.result?.notices ?? [];
    el.hidden = notices.length === 0;
    replace(el, ...notices.map((notice) => h("p", null, notice)));
  };
  return { el, destroy: follow(session, ["result"], show) };
}
