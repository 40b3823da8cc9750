/** What stands in place of an answer: that it is on its way, or why there is none. */

import { h } from "../dom";

/** Neither = not asked, or under way. */
export interface Answered<Body> {
  reply?: Body | undefined;
  error?: string | undefined;
}

export function waiting(error: string | undefined, words: string): HTMLElement {
  return h("p", { class: error ? "matir-error" : "matir-hint", role: "status" }, error ?? words);
}
