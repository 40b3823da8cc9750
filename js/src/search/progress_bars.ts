/** What a running search shows: a bar for each stage and the seconds since it began. */

import { h, replace, setAttribute } from "../dom";
import { seconds } from "../format";
import { stepsOf, type Word } from "./progress";

/** Without a word for so long, seconds, a reader wants to know why. */
const SILENCE = 8;

export interface ProgressBars {
  el: HTMLElement;
  start: (withJudge: boolean) => void;
  /** The kernel's last word. */
  tell: (word: Word) => void;
  /** Seconds since the start; hides the bars. */
  stop: () => number;
}

export function createProgressBars(): ProgressBars {
  const list = h("ol", { class: "matir-search-steps" });
  const clock = h("span", { class: "matir-search-clock" });
  const hint = h("span", null);
  const el = h("div", { class: "matir-search-progress", hidden: true }, list, clock, hint);
  let began = 0;
  let heard = 0;
  let judged = true;
  let timer = 0;

  const now = () => performance.now() / 1000;

  function tick(): void {
    clock.textContent = seconds(Math.max(now() - began, 0.1));
    const silent = now() - heard > SILENCE;
    hint.textContent = silent ? "no word from the kernel yet: it may be busy with a cell" : "";
  }

  function show(word: Word | null): void {
    heard = now();
    replace(
      list,
      ...stepsOf(word, judged).map(({ name, done, text }) => {
        const fill = h("div", {
          style: `width:${(done ?? 1) * 100}%`,
          "data-unknown": done === null,
        });
        const bar = h("div", {
          role: "progressbar",
          "aria-label": name,
          "aria-valuemin": 0,
          "aria-valuemax": 100,
          "aria-valuetext": text,
        });
        setAttribute(bar, "aria-valuenow", done === null ? null : Math.round(done * 100));
        bar.append(fill);
        return h("li", { "data-at-work": word?.stage === name }, text, bar);
      }),
    );
    tick();
  }

  return {
    el,
    start: (withJudge) => {
      judged = withJudge;
      began = now();
      el.hidden = false;
      show(null);
      window.clearInterval(timer);
      timer = window.setInterval(tick, 100);
    },
    tell: show,
    stop: () => {
      window.clearInterval(timer);
      el.hidden = true;
      return now() - began;
    },
  };
}
