/** The fields beside the query: index, judge, and how many hits and judged candidates. */

import { h, replace, setAttribute } from "../dom";
import { follow } from "../listeners";
import type { SearchRequest } from "../protocol";
import type { Session } from "../session";
import { judgeLabel, K, type Limits, N_JUDGED, NO_JUDGE, readNumber } from "./fields";

export interface Options {
  el: HTMLElement;
  /** What to ask for, or what is wrong; the field at fault is marked and focused. */
  read: (query: string) => SearchRequest | Error;
  destroy: () => void;
}

export function createOptions(session: Session): Options {
  const index = h("select", { onchange: () => session.set("index", index.value) });
  const judge = h("select", { onchange: () => session.set("judge", judge.value) });
  const numbers = { k: numberField("k", K), n_judged: numberField("n_judged", N_JUDGED) };
  const indexLabel = h("label", null, "Index ", index);
  const judgeLine = h("label", null, "Judge ", judge);
  const el = h(
    "div",
    { class: "matir-search-options" },
    indexLabel,
    judgeLine,
    h("label", { title: "Hits wanted" }, "Hits (k) ", numbers.k),
    h("label", { title: "Candidates that the judge sees" }, "Judged ", numbers.n_judged),
  );

  function numberField(name: "k" | "n_judged", limits: Limits): HTMLInputElement {
    const field = h("input", {
      type: "number",
      min: limits.min,
      max: limits.max,
      placeholder: limits.optional ? "preset" : null,
      onchange: () => {
        const value = checked(field, limits);
        if (value instanceof Error) return;
        if (name === "n_judged") session.set(name, value);
        else if (value !== null) session.set(name, value);
      },
    });
    return field;
  }

  function show(): void {
    fill(index, session.get("indexes") ?? [], session.get("index"), String);
    fill(judge, session.get("judges") ?? [], session.get("judge"), judgeLabel);
    indexLabel.hidden = index.options.length === 0;
    judgeLine.hidden = judge.options.length === 0;
    numbers.k.value = String(session.get("k") ?? "");
    numbers.n_judged.value = String(session.get("n_judged") ?? "");
    numbers.n_judged.disabled = session.get("judge") === NO_JUDGE;
  }

  function read(query: string): SearchRequest | Error {
    const [index, judge] = [session.get("index"), session.get("judge")];
    const k = checked(numbers.k, K);
    const n_judged = judge === NO_JUDGE ? null : checked(numbers.n_judged, N_JUDGED);
    if (n_judged instanceof Error) numbers.n_judged.focus();
    if (k instanceof Error) numbers.k.focus();
    if (k instanceof Error) return k;
    if (n_judged instanceof Error) return n_judged;
    return { kind: "search", query, index, judge, k, n_judged };
  }

  const names = ["indexes", "index", "judges", "judge", "k", "n_judged"] as const;
  return { el, read, destroy: follow(session, names, show) };
}

function checked(field: HTMLInputElement, limits: typeof K): number | Error;
function checked(field: HTMLInputElement, limits: Limits): number | null | Error;
function checked(field: HTMLInputElement, limits: Limits): number | null | Error {
  const value = readNumber(field.value, limits);
  setAttribute(field, "aria-invalid", value instanceof Error ? true : null);
  return value;
}

function fill(
  select: HTMLSelectElement,
  values: string[],
  chosen: string,
  label: (value: string) => string,
): void {
  replace(select, ...values.map((value) => h("option", { value }, label(value))));
  select.value = chosen;
}
