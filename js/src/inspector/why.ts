/** "Why above #n": the difference of two ledgers, and the choice of the other hit. */

import { h, replace } from "../dom";
import { signed } from "../format";
import type { ResultTable, WhyReply } from "../protocol";
import { fileName } from "../words";
import { type Answered, waiting } from "./answered";
import { ledgerGroups } from "./ledger";
import { termTable } from "./term_bars";

export class Why {
  readonly #title = h("summary");
  readonly #rank = h("input", {
    type: "number",
    min: 1,
    step: 1,
    "aria-label": "Rank of the other hit",
  });
  readonly #name = h("bdi", { class: "matir-hint" });
  readonly #answer = h("div");
  readonly el: HTMLDetailsElement;
  #row = 0;
  #nRows = 0;
  /** As chosen; null = the next hit. */
  #chosen: number | null = null;
  #shown: WhyReply | undefined;

  /** `changed` = an answer may be needed. */
  constructor(changed: () => void) {
    this.#rank.addEventListener("change", () => {
      const row = this.#rank.valueAsNumber - 1 || 0;
      // the hit itself is stepped over
      this.#chosen = row === this.#row ? row + (row < this.other ? -1 : 1) : row;
      changed();
    });
    this.el = h(
      "details",
      { class: "matir-fold matir-why" },
      this.#title,
      h("p", null, "Rank ", this.#rank, " ", this.#name),
      this.#answer,
    );
    this.el.addEventListener("toggle", changed);
  }

  /** Row of the other hit; that of the hit itself = there is no other. */
  get other(): number {
    const next = this.#row + 1 < this.#nRows ? this.#row + 1 : this.#row - 1;
    const chosen = this.#chosen === this.#row ? null : this.#chosen;
    return Math.min(Math.max(chosen ?? next, 0), this.#nRows - 1);
  }

  /** True = an answer is wanted. */
  get isOpen(): boolean {
    return this.el.open && this.other !== this.#row;
  }

  /** Another result: choose the next hit again. */
  forget(): void {
    this.#chosen = null;
  }

  /** Say whom it is about; `gap` = to the next hit. */
  about(row: number, { columns }: ResultTable, gap: number | null): void {
    [this.#row, this.#nRows] = [row, columns.image_id.length];
    const { other } = this;
    this.el.hidden = other === row;
    const rough = (columns.final_score[row] as number) - (columns.final_score[other] as number);
    const by = other === row + 1 && gap !== null ? gap : rough;
    const way = other > row ? "above" : "below";
    replace(this.#title, `Why ${way} #${other + 1}? `, h("b", null, signed(by)));
    this.#rank.max = String(this.#nRows);
    this.#rank.value = String(other + 1);
    this.#name.textContent = fileName(columns.image_id[other] ?? "");
  }

  show({ reply, error }: Answered<WhyReply>): void {
    if (reply !== undefined && reply === this.#shown) return;
    this.#shown = reply;
    const caption = `#${this.#row + 1} minus #${this.other + 1}: log-odds, added`;
    replace(
      this.#answer,
      reply
        ? termTable(caption, "difference", ledgerGroups(reply.entries), reply.difference)
        : waiting(error, "Comparing the two ledgers …"),
    );
  }
}
