/** The head of the inspector: which hit this is, its marks, its ranks, and the way to the next. */

import { h, replace, setAttribute } from "../dom";
import { score } from "../format";
import { MARKS, markOf, setMark } from "../marks";
import type { Session } from "../session";
import { copiesOf, fileName } from "../words";

export interface HeaderState {
  row: number;
  /** Rows before and after; null = there is none. */
  neighbours: [number | null, number | null];
  /** 1 = first of `n` shown; 0 = a filter hides it. */
  place: number;
  n: number;
}

export class Header {
  readonly el = h("header", { class: "matir-inspector-head" });
  readonly #title = h("h2");
  readonly #ranks = h("p", { class: "matir-path" });
  readonly #query = h("p", { class: "matir-query matir-hint" });
  readonly #copies = h("p", { class: "matir-copies matir-hint", dir: "auto" });
  readonly #place = h("span", { "aria-live": "polite" });
  readonly #marks: HTMLButtonElement[];
  readonly #steps: HTMLButtonElement[];
  #state: HeaderState | null = null;

  readonly #session: Session;

  constructor(session: Session, go: (row: number | null) => void) {
    this.#session = session;
    const step = (side: 0 | 1, sign: string, label: string): HTMLButtonElement =>
      h(
        "button",
        {
          type: "button",
          "aria-label": label,
          title: label,
          onclick: () => go(this.#state?.neighbours[side] ?? null),
        },
        sign,
      );
    this.#steps = [step(0, "‹", "Previous hit ([)"), step(1, "›", "Next hit (])")];
    this.#marks = MARKS.map(({ name, key, sign }) =>
      h(
        "button",
        { type: "button", title: `Mark as ${name} (${key})`, onclick: () => this.#toggle(name) },
        h("span", { "aria-hidden": true }, sign),
        ` ${name}`,
      ),
    );
    const [before, after] = this.#steps;
    const steps = h("div", { class: "matir-steps", role: "group", "aria-label": "Other hits" });
    steps.append(before as Node, this.#place, after as Node);
    const marks = h("div", { class: "matir-marks", role: "group", "aria-label": "Mark" });
    marks.append(...this.#marks);
    this.el.append(this.#query, this.#title, steps, this.#ranks, marks, this.#copies);
  }

  show(state: HeaderState): void {
    const { result } = this.#session;
    if (!result) return;
    this.#state = state;
    const { row, place, n } = state;
    const { columns } = result;
    const imageId = this.#imageId();
    const name = fileName(imageId);
    replace(this.#query, "Query: ", h("q", { dir: "auto" }, result.query));
    replace(
      this.#title,
      h("span", { class: "matir-rank" }, `#${row + 1}`),
      h("bdi", { title: imageId }, imageId.slice(0, -name.length), h("b", null, name)),
    );
    const judgeRank = columns.judge_rank[row];
    replace(
      this.#ranks,
      `stage 1 #${columns.stage1_rank[row]} → `,
      judgeRank ? `judge #${judgeRank} → ` : result.n_judged !== null && "not judged → ",
      h("b", null, `final #${row + 1}`),
      h("span", null, `final score ${score(columns.final_score[row])}`),
    );
    this.#copies.textContent = copiesOf(columns, row);
    this.#copies.hidden = !columns.copies?.[row];
    this.#place.textContent = place ? `${place} of ${n}` : `filtered out (${n} shown)`;
    this.#steps.forEach((button, side) => {
      setAttribute(button, "aria-disabled", state.neighbours[side as 0 | 1] === null);
    });
    const mark = markOf(this.#session, imageId);
    this.#marks.forEach((button, i) => {
      setAttribute(button, "aria-pressed", MARKS[i]?.name === mark);
    });
  }

  #imageId(): string {
    return this.#session.result?.columns.image_id[this.#state?.row ?? 0] ?? "";
  }

  #toggle(name: (typeof MARKS)[number]["name"]): void {
    const imageId = this.#imageId();
    setMark(this.#session, markOf(this.#session, imageId) === name ? null : name, [imageId]);
  }
}
