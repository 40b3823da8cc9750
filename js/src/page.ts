/**
 * The script of the standalone page (`SearchResult.to_html`): the grid with its panels over the
 * embedded data, and marks that leave as CSV, for there is no kernel to read them.
 */

import { marksCsv } from "./csv";
import { h, replace } from "./dom";
import { createFlow } from "./flow/index";
import { plural } from "./format";
import { createGrid } from "./grid/index";
import { createInspector } from "./inspector/index";
import { type PageData, PageSession } from "./page_session";

function markBar(session: PageSession): HTMLElement {
  const csv = () => marksCsv(session.result, session.get("marks"));
  const status = h("span", { role: "status" });
  const say = (text: string) => replace(status, text);
  const save = h("button", { type: "button", onclick: () => download(csv()) }, "Save marks as CSV");
  const copy = h(
    "button",
    {
      type: "button",
      onclick: () =>
        void copyText(csv()).then(
          () => say("Copied."),
          () => say("The browser does not allow it: save the marks instead."),
        ),
    },
    "Copy marks",
  );
  const count = h("span", { class: "matir-mark-count" });
  const show = () => {
    const n = Object.keys(session.get("marks")).length;
    replace(count, n === 0 ? "No marks yet: r, n or u mark a hit." : plural(n, "mark"));
    save.disabled = copy.disabled = n === 0;
    say("");
  };
  session.on("marks", show);
  show();
  return h("div", { class: "matir-page-bar" }, count, save, copy, status);
}

async function copyText(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
}

function download(csv: string): void {
  const url = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
  h("a", { href: url, download: "marks.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function mount(): void {
  const main = document.querySelector("main#matir");
  const data = document.querySelector("#matir-data")?.textContent;
  if (!main || !data) throw new Error('the page lacks <main id="matir"> or its data');
  const session = new PageSession(JSON.parse(data) as PageData);
  const view = createGrid(session, { inspector: createInspector, flow: createFlow });
  const title = h("h1", { class: "matir-hidden-text" }, session.result.query);
  replace(main, h("div", { class: "matir" }, title, markBar(session), view.el));
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mount);
else mount();
