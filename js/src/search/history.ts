/** Walking through earlier queries with the arrow keys, as in a shell. No DOM. */

import type { Traits } from "../protocol";

export type Earlier = Traits["history"];

/** Where the walk is (-1 = the reader's own words) and those words, which come back at the end. */
export interface Walk {
  at: number;
  draft: string;
}

export const START: Walk = { at: -1, draft: "" };

/**
 * One step to older (+1) or newer (-1) queries; null = there is nothing there. `text` is what the
 * field holds now: a walk begins only in an empty field and goes on only while it is untouched.
 */
export function step(
  history: Earlier,
  walk: Walk,
  text: string,
  by: 1 | -1,
): { walk: Walk; text: string } | null {
  const queries = unique(history);
  const goesOn = walk.at >= 0 && queries[walk.at] === text;
  if (!goesOn && text.trim()) return null;
  const from = goesOn ? walk : { at: -1, draft: text };
  const at = from.at + by;
  const found = at < 0 ? from.draft : queries[at];
  if (at < -1 || found === undefined) return null;
  return { walk: { ...from, at }, text: found };
}

/** The queries, newest first, each once. */
export function unique(history: Earlier): string[] {
  return [...new Set(history.map((entry) => entry.query))];
}
