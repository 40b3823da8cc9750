/** Which key of the grid does what; the list that the key help shows. */

import { markOfKey } from "../marks";
import type { MarkName } from "../protocol";

export type Command =
  | "inspect"
  | "close"
  | "toggle"
  | "select all"
  | "masks"
  | "boxes"
  | "labels"
  | "stage1"
  | "final"
  | "larger"
  | "smaller"
  | "inspector"
  | "flow"
  | "judge"
  | "help";
export type Action =
  | { kind: "command"; command: Command }
  | { kind: "move"; key: string; extend: boolean }
  | { kind: "mark"; mark: MarkName | null; advance: boolean };
/** The part of a KeyboardEvent that is needed here. */
export interface Key {
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

const MOVES = /^(Arrow(Left|Right|Up|Down)|Home|End|Page(Up|Down))$/;
const COMMANDS: Record<string, Command> = {
  Enter: "inspect",
  Escape: "close",
  " ": "toggle",
  m: "masks",
  b: "boxes",
  l: "labels",
  "1": "stage1",
  "2": "final",
  "+": "larger",
  "=": "larger",
  "-": "smaller",
  i: "inspector",
  f: "flow",
  j: "judge",
  "?": "help",
};

/** Keys and what they do, in the order of the key help. */
export const KEY_HELP: readonly (readonly [keys: string, does: string])[] = [
  ["← → ↑ ↓", "previous or next hit, row above or below"],
  ["Home End PgUp PgDn", "first, last, a page up or down"],
  ["Enter · Esc", "open the inspector · close the panel"],
  ["Space", "select or not; with Shift + arrows a range"],
  ["Ctrl + A", "select all hits shown, or none"],
  ["r · n · u", "mark relevant · not relevant · unsure"],
  ["Shift + r n u", "mark and go to the next hit"],
  ["x", "clear the mark"],
  ["m · b · l", "masks best/all/none · boxes · labels"],
  ["1 · 2", "stage-1 order · final order"],
  ["+ · −", "larger or smaller tiles"],
  ["i · f", "inspector · flow"],
  ["j", "judge more"],
];

/** What a key does; null = it is none of ours and stays the host's. */
export function actionOf(event: Key): Action | null {
  const { key, shiftKey } = event;
  if (event.altKey) return null;
  if (event.ctrlKey || event.metaKey) {
    return key.toLowerCase() === "a" ? { kind: "command", command: "select all" } : null;
  }
  if (MOVES.test(key)) return { kind: "move", key, extend: shiftKey };
  const mark = markOfKey(key);
  if (mark !== undefined) return { kind: "mark", mark, advance: shiftKey };
  const command = Object.hasOwn(COMMANDS, key) ? COMMANDS[key] : undefined;
  return command === undefined ? null : { kind: "command", command };
}
