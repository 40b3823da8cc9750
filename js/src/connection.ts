/** The banner over a view whose kernel does not answer, or whose table cannot be read. */

import { h } from "./dom";
import { follow } from "./listeners";
import type { ModelSession } from "./model_session";
import type { View } from "./session";

const BANNER = "The kernel does not answer. What was loaded stays usable; run the cell again.";

export function connectionBanner(session: ModelSession): View {
  const el = h("div", { class: "matir-lost", role: "alert" });
  const show = () => {
    el.textContent = session.problem || (session.isConnected ? "" : BANNER);
    el.hidden = el.textContent === "";
  };
  return { el, destroy: follow(session, ["connection", "result"], show) };
}
