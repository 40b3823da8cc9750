/** Earlier queries in a list that opens: one click asks again. */

import { h, replace } from "../dom";
import { plural, seconds } from "../format";
import { follow } from "../listeners";
import type { Session } from "../session";

export function createHistoryList(
  session: Session,
  again: (query: string) => void,
): { el: HTMLDetailsElement; destroy: () => void } {
  const title = h("summary");
  const list = h("ul");
  const el = h("details", { class: "matir-search-history" }, title, list);

  function show(): void {
    const history = session.get("history") ?? [];
    el.hidden = history.length === 0;
    title.textContent = `History (${history.length})`;
    replace(
      list,
      ...history.map((entry) => {
        const onclick = () => {
          el.open = false;
          again(entry.query);
        };
        const facts = `${plural(entry.n_hits, "hit")}, ${seconds(entry.seconds)}`;
        const words = h("bdi", null, entry.query);
        return h(
          "li",
          null,
          h("button", { type: "button", onclick }, words, h("small", null, facts)),
        );
      }),
    );
  }

  el.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !el.open) return;
    el.open = false;
    title.focus();
    event.stopPropagation();
  });
  return { el, destroy: follow(session, ["history"], show) };
}
