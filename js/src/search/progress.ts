/** How far a search is, stage by stage, and what it says when it ends. No DOM. */

import { plural, seconds } from "../format";
import type { ResultTable, Stage } from "../protocol";

export type Step = Stage | "open";

export interface StepState {
  name: Step;
  /** 0 to 1; null = running, nobody knows how far. */
  done: number | null;
  text: string;
}

/** What the kernel last said. */
export interface Word {
  stage: Step;
  done: number;
  total: number;
}

const STEPS: Step[] = ["open", "retrieve", "judge", "align"];

/** Every step of a search; those before the one at work are done, those after it wait. */
export function stepsOf(word: Word | null, withJudge: boolean): StepState[] {
  const steps = STEPS.filter((name) => name !== "judge" || withJudge);
  const now = word ? steps.indexOf(word.stage) : -1;
  return steps.map((name, i) => {
    if (i > now) return { name, done: 0, text: name };
    if (i < now || !word) return { name, done: 1, text: `${name} ✓` };
    if (word.total <= 0) return { name, done: null, text: `${name} …` };
    const done = Math.min(word.done / word.total, 1);
    const mark = done < 1 ? "" : " ✓";
    const counted = name === "judge" || word.total > 1;
    return {
      name,
      done,
      text: counted ? `${name} ${word.done}/${word.total}${mark}` : name + mark,
    };
  });
}

/** The kernel's own line on what a cancelled search left out; "" = it was complete. */
export function cutShort(result: ResultTable): string {
  return result.notices.find((notice) => notice.startsWith("cancelled")) ?? "";
}

/** "24 hits in 1.24 s"; of a cancelled search, how much of it was done. */
export function outcome(result: ResultTable, elapsed: number): string {
  const hits = plural(result.columns.image_id.length, "hit");
  const cut = cutShort(result);
  return cut ? `${hits} so far; ${cut}` : `${hits} in ${seconds(elapsed)}`;
}
