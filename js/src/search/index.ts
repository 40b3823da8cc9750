/**
 * SearchBox: words in, ranked images out. Asks the kernel, shows how far it is, and puts the grid
 * below. Typing goes on while a search runs; cancelling keeps what was judged until then.
 */

import { h, replace, setAttribute } from "../dom";
import { freshId } from "../ids";
import { follow } from "../listeners";
import type { SearchReply } from "../protocol";
import type { Session, View } from "../session";
import { NO_JUDGE } from "./fields";
import { START, step } from "./history";
import { createHistoryList } from "./history_list";
import { createOptions } from "./options";
import { outcome } from "./progress";
import { createProgressBars } from "./progress_bars";

/** A kernel that is busy with a cell answers later: milliseconds until it counts as lost. */
const PATIENCE = 60_000;

export function createSearch(session: Session, parts: { grid: () => View }): View {
  const id = freshId("search");
  let running: AbortController | null = null;
  let cancelled = false;
  /** What was there when the last search began, and the id that its answer promised. */
  let before = session.result;
  let promised = "";
  let took = 0;
  let walk = START;
  let grid: View | null = null;

  const field = h("input", {
    id,
    type: "text",
    dir: "auto",
    autocomplete: "off",
    enterkeyhint: "search",
    "aria-describedby": `${id}-error`,
    placeholder: "what to look for, in words",
    onkeydown,
    oninput: () => {
      session.set("query", field.value, "soon");
    },
  });
  const options = createOptions(session);
  const bars = createProgressBars();
  const history = createHistoryList(session, (query) => {
    setQuery(query);
    field.focus();
    search();
  });
  const searchButton = h("button", { type: "submit", class: "matir-search-go" }, "Search");
  const cancelButton = h("button", { type: "button", disabled: true, onclick: cancel }, "Cancel");
  const alert = h("p", { id: `${id}-error`, role: "alert", class: "matir-search-error" });
  const status = h("p", { role: "status", class: "matir-search-status" });
  const form = h(
    "form",
    { role: "search", "aria-label": "Search images", novalidate: true, onsubmit },
    h("label", { for: id }, "Query"),
    h("div", { class: "matir-search-line" }, field, searchButton, cancelButton),
    options.el,
    bars.el,
    alert,
    status,
  );
  const below = h("div", { class: "matir-search-result" });
  const attributes = { class: "matir matir-search", "data-lm-suppress-shortcuts": "true" };
  const el = h("div", attributes, form, history.el, below);

  function onsubmit(event: Event): void {
    event.preventDefault();
    search();
  }

  function onkeydown(event: KeyboardEvent): void {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Escape" && running) cancel();
    const by = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
    const next = by && step(session.get("history") ?? [], walk, field.value, by);
    if (!next) return;
    event.preventDefault();
    walk = next.walk;
    setQuery(next.text);
  }

  function setQuery(text: string): void {
    field.value = text;
    session.set("query", text, "soon");
  }

  async function search(): Promise<void> {
    const request = asked();
    fail(request instanceof Error ? request.message : "");
    if (request instanceof Error) return;
    running?.abort();
    const mine = new AbortController();
    begin(mine, request.judge !== NO_JUDGE);
    try {
      session.set("query", request.query);
      const reply = await session.request<SearchReply>(request, {
        signal: mine.signal,
        timeout: PATIENCE,
        onProgress: (stage, done, total) => running === mine && bars.tell({ stage, done, total }),
      });
      if (running === mine) promised = reply.body.result;
    } catch (error) {
      if (running === mine && !mine.signal.aborted) fail((error as Error).message);
    }
    if (running === mine) end();
  }

  function asked() {
    const query = field.value.trim();
    const request = options.read(query);
    setAttribute(field, "aria-invalid", query ? null : true);
    if (query) return request;
    field.focus();
    return new Error("The query is empty: say in words what to look for.");
  }

  function begin(mine: AbortController, withJudge: boolean): void {
    running = mine;
    cancelled = false;
    before = session.result;
    promised = "";
    walk = START;
    status.textContent = "Searching …";
    cancelButton.disabled = false;
    bars.start(withJudge);
  }

  function cancel(): void {
    cancelled = true;
    running?.abort();
    end();
  }

  function end(): void {
    running = null;
    took = bars.stop();
    if (cancelButton.matches(":focus")) field.focus();
    cancelButton.disabled = true;
    say();
  }

  function fail(message: string): void {
    alert.textContent = message;
  }

  /** What became of the last search; a cancelled one may still send what it had judged. */
  function say(): void {
    const { result } = session;
    const isPromised = promised !== "" && result?.id === promised;
    if (running || (promised && result === before)) return;
    if (alert.textContent) status.textContent = "";
    else if (cancelled && result === before)
      status.textContent = result
        ? "Cancelled; the result below is the earlier one."
        : "Cancelled.";
    else status.textContent = result ? outcome(result, isPromised ? took : total()) : "";
  }

  function total(): number {
    return Object.values(session.result?.seconds ?? {}).reduce((sum, s) => sum + s, 0);
  }

  function show(): void {
    if (session.result && !grid) {
      grid = parts.grid();
      replace(below, grid.el);
    }
    say();
  }

  function showQuery(): void {
    const query = session.get("query") ?? "";
    if (!field.matches(":focus") && field.value !== query) field.value = query;
  }

  const ends = [
    follow(session, ["query"], showQuery),
    follow(session, ["result"], show),
    options.destroy,
    history.destroy,
  ];
  return {
    el,
    destroy: () => {
      running?.abort();
      bars.stop();
      for (const end of ends) end();
      grid?.destroy();
    },
  };
}
