/** "Without this region": what stage 1 and the judge say of the picture when a region is gone. */

import { h, replace } from "../dom";
import { count, score, signed } from "../format";
import type { OccludeReply } from "../protocol";
import { type Answered, waiting } from "./answered";
import type { Detail } from "./shapes";

export interface OcclusionState extends Answered<OccludeReply> {
  detail: Detail;
  /** The region that can be left out. */
  region: number;
  /** True = it is left out: the answer is shown, or on its way. */
  isOut: boolean;
}

export class Occlusion {
  readonly el = h("div", { class: "matir-without", hidden: true });
  readonly #button: HTMLButtonElement;
  readonly #answer = h("div", { "aria-live": "polite" });
  #shown: OccludeReply | undefined;

  /** `turn` = leave the region out, or put it back. */
  constructor(turn: () => void) {
    this.#button = h("button", { type: "button", onclick: turn });
    this.el.append(this.#button, this.#answer);
  }

  /** null = no region is pinned. */
  show(state: OcclusionState | null): void {
    this.el.hidden = !state;
    if (!state) return;
    const { region, isOut, reply, error, detail } = state;
    const isPending = isOut && !reply && error === undefined;
    this.#button.textContent = isPending ? "Cancel" : `Without region ${region}`;
    this.#button.ariaPressed = String(isOut && !isPending);
    if (isOut && reply && reply === this.#shown) return;
    this.#shown = isOut ? reply : undefined;
    replace(this.#answer, ...(isOut ? said(detail, reply, error) : []));
  }
}

function said(
  { judge, stage1_score, ranks }: Detail,
  reply: OccludeReply | undefined,
  error: string | undefined,
): (Node | false)[] {
  if (!reply) return [waiting(error, "Asking again without it …")];
  const change = (name: string, before: string, after: string): HTMLElement =>
    h("span", null, `${name} ${before} → `, h("b", null, after));
  return [
    h(
      "p",
      null,
      change("stage 1", score(stage1_score), score(reply.stage1_score)),
      change("rank", `#${count(ranks.stage1)}`, `#${count(reply.stage1_rank)}`),
      change("judge p", score(judge?.p_relevant), score(reply.p_relevant)),
      change("logit", signed(judge?.logit, 2), signed(reply.logit, 2)),
    ),
    reply.answer !== null && h("p", null, "The judge: ", h("q", { dir: "auto" }, reply.answer)),
    reply.note !== "" && h("p", { class: "matir-hint" }, reply.note),
  ];
}
