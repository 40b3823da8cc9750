/**
 * The line below the hits: how far the judge is and what lets it go on, and how far the review
 * is. The judge takes the next candidates when asked, or when hits that it has not seen come into
 * view; what it has judged stays when it is cancelled.
 */

import { checkbox } from "../controls";
import { h, replace, setAttribute } from "../dom";
import { count } from "../format";
import { follow, onAny } from "../listeners";
import type { JudgeMoreReply, ResultTable } from "../protocol";
import type { Session, View } from "../session";

/** A kernel that is busy with a cell answers later: milliseconds until it counts as lost. */
const PATIENCE = 60_000;

export interface Foot extends View {
  judge(): void;
  /** Hits have come into view. */
  look(): void;
  /** Say that hits rose above what is looked at, and let the reader go to the first of them. */
  sayRisen(n: number, go: () => void): void;
}

/** "judged 400 of 1,000 images"; "not judged" without a stage 2. */
export function judgedText({ n_judged: n, n_images: of }: ResultTable): string {
  if (n === null) return "not judged";
  if (n === of) return `all ${count(of)} images judged`;
  return `judged ${count(n)}${of === null ? " images" : ` of ${count(of)} images`}`;
}

/** How many candidates the next step takes; 0 = there is none, or it cannot be asked for. */
export function nextStep(table: ResultTable | null, step: number): number {
  if (table === null || !table.has_pictures || table.columns.image_id.length === 0) return 0;
  const left = (table.n_images ?? Number.POSITIVE_INFINITY) - (table.n_judged ?? 0);
  return Math.max(0, Math.min(step, left));
}

/** Whether another view or Python judged meanwhile: that is no failure, a new table comes. */
export function isOvertaken({ name, message }: Error): boolean {
  return name === "AbortError" || /^a newer |is not shown any more/.test(message);
}

/** `looked` gives the rows that are looked at. */
export function createFoot(session: Session, looked: () => number[]): Foot {
  let running: AbortController | null = null;
  /** Id of the result that the answer has promised. */
  let promised = "";
  const text = h("span", { role: "status" });
  const fill = h("i");
  const bar = h("div", { role: "progressbar", "aria-label": "judge", hidden: true }, fill);
  const more = h("button", { type: "button", onclick: judge });
  const cancel = h("button", { type: "button", onclick: stop, hidden: true }, "Cancel");
  const auto = checkbox(
    session,
    "judge_as_i_scroll",
    "judge as I scroll",
    "as hits that are not judged come into view",
  );
  const risen = h("button", { type: "button", hidden: true });
  const alert = h("span", { role: "alert", class: "matir-foot-error", hidden: true });
  const review = h("span", { class: "matir-foot-review" });
  const parts = [text, bar, more, cancel, auto.el, risen, alert, review];
  const el = h("div", { class: "matir-foot" }, ...parts);

  async function judge(): Promise<void> {
    const { result } = session;
    const n = nextStep(result, session.get("judge_step"));
    if (result === null || n === 0 || running !== null) return;
    const mine = new AbortController();
    begin(mine, result.n_judged ?? 0, n);
    try {
      const { body } = await session.request<JudgeMoreReply>(
        { kind: "judge_more", result: result.id, n },
        {
          signal: mine.signal,
          timeout: PATIENCE,
          onProgress: (_, done, total) => tell(result.n_judged ?? 0, done, total),
        },
      );
      promised = body.result;
      // nothing is left to judge: asking again would not change it
      if (body.n_judged === result.n_judged) session.set("judge_as_i_scroll", false);
    } catch (error) {
      fail(error as Error, mine);
    }
    if (running === mine && (promised === "" || session.result?.id === promised)) end();
  }

  function begin(mine: AbortController, before: number, n: number): void {
    running = mine;
    promised = "";
    warn("");
    risen.hidden = true;
    const hadFocus = more.matches(":focus");
    show();
    tell(before, before, before + n);
    if (hadFocus) cancel.focus();
  }

  function tell(before: number, done: number, total: number): void {
    if (running === null) return;
    text.textContent = `judging: ${count(done)} of ${count(total)}`;
    const percent = total > before ? Math.round((100 * (done - before)) / (total - before)) : 0;
    fill.style.width = `${percent}%`;
    setAttribute(bar, "aria-valuenow", percent);
  }

  function stop(): void {
    session.set("judge_as_i_scroll", false);
    running?.abort();
  }

  function fail(error: Error, mine: AbortController): void {
    if (!mine.signal.aborted && isOvertaken(error)) return;
    session.set("judge_as_i_scroll", false);
    const cancelled = "cancelled: what was judged stays";
    warn(mine.signal.aborted ? cancelled : `not judged: ${error.message}`);
  }

  function warn(words: string): void {
    alert.textContent = words;
    alert.hidden = words === "";
  }

  function end(): void {
    const hadFocus = cancel.matches(":focus");
    running = null;
    show();
    if (hadFocus && !more.hidden) more.focus();
  }

  function show(): void {
    const { result } = session;
    const n = nextStep(result, session.get("judge_step"));
    const isRunning = running !== null;
    text.hidden = result === null || (result.n_judged === null && n === 0);
    more.hidden = isRunning || n === 0;
    more.textContent = `Judge ${count(n)} more`;
    auto.el.hidden = n === 0;
    cancel.hidden = bar.hidden = !isRunning;
    if (!isRunning && result !== null) text.textContent = judgedText(result);
    const [line = "", reason = ""] = session.get("_review").split("\n");
    review.textContent = line;
    review.title = reason;
    el.hidden = text.hidden && review.textContent === "";
  }

  function look(): void {
    const ranks = session.result?.columns.judge_rank;
    if (!session.get("judge_as_i_scroll")) return;
    if (looked().some((row) => ranks?.[row] === null)) void judge();
  }

  const stops = [
    follow(session, ["result"], () => {
      if (session.result?.id === promised) end();
      else show();
    }),
    onAny(session, ["judge_step", "_review"], show),
    onAny(session, ["judge_as_i_scroll"], look),
    auto.stop,
  ];
  return {
    el,
    judge,
    look,
    sayRisen: (n, go) => {
      risen.hidden = n === 0;
      replace(risen, `↑ ${count(n)} ${n === 1 ? "hit" : "hits"} rose above this view`);
      risen.onclick = () => {
        risen.hidden = true;
        go();
      };
    },
    destroy: () => {
      running?.abort();
      for (const end of stops) end();
    },
  };
}
