/**
 * Marks: what a reader says of a hit. The words, keys and signs of the three marks, and setting
 * and clearing them in a session. A sign stands beside each colour, so that colour is never
 * alone.
 */

import type { MarkName } from "./protocol";
import type { Session } from "./session";

export interface MarkKind {
  name: MarkName;
  key: string;
  sign: string;
}

export const MARKS: readonly MarkKind[] = [
  { name: "relevant", key: "r", sign: "✓" },
  { name: "not relevant", key: "n", sign: "✕" },
  { name: "unsure", key: "u", sign: "?" },
];
const CLEAR_KEY = "x";

/** The mark that a key sets, null for the key that clears it, undefined for any other key. */
export function markOfKey(key: string): MarkName | null | undefined {
  const lower = key.toLowerCase();
  if (lower === CLEAR_KEY) return null;
  return MARKS.find((mark) => mark.key === lower)?.name;
}

/** "✓", "✕", "?" or "" without a mark. */
export function signOf(name: MarkName | null | undefined): string {
  return MARKS.find((mark) => mark.name === name)?.sign ?? "";
}

/** The mark of one image; null = none. */
export function markOf(session: Session, imageId: string): MarkName | null {
  return Object.hasOwn(session.get("marks"), imageId)
    ? (session.get("marks")[imageId] ?? null)
    : null;
}

/** What a mark key acts on: the selection when the current hit is in it, else the current hit. */
export function markTargets(session: Session): string[] {
  const [current, selection] = [session.get("current"), session.get("selection")];
  if (current === "") return selection;
  return selection.includes(current) ? selection : [current];
}

/** The marks after `imageIds` got `mark` (null = cleared); `marks` stays as it is. */
export function withMark(
  marks: Record<string, MarkName>,
  imageIds: readonly string[],
  mark: MarkName | null,
): Record<string, MarkName> {
  const entries = new Map(Object.entries(marks));
  for (const id of imageIds) {
    if (mark === null) entries.delete(id);
    else entries.set(id, mark);
  }
  return Object.fromEntries(entries);
}

/** Mark `imageIds`, by default what `markTargets` says, and tell Python. */
export function setMark(
  session: Session,
  mark: MarkName | null,
  imageIds: readonly string[] = markTargets(session),
): void {
  if (imageIds.length > 0) session.set("marks", withMark(session.get("marks"), imageIds, mark));
}

/** How many images bear each mark. */
export function countMarks(marks: Record<string, MarkName>): Record<MarkName, number> {
  const counts: Record<MarkName, number> = { relevant: 0, "not relevant": 0, unsure: 0 };
  for (const name of Object.values(marks)) counts[name] += 1;
  return counts;
}
