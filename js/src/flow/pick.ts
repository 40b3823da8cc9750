/** What a click or a key does to the selection. No DOM. */

/** Alone, or with Shift added, or with Ctrl / Cmd turned over; ids stay in the order of picking. */
export function picked(
  selection: string[],
  id: string,
  keys: { shiftKey: boolean; ctrlKey: boolean; metaKey: boolean },
): string[] {
  const has = selection.includes(id);
  if (keys.ctrlKey || keys.metaKey)
    return has ? selection.filter((other) => other !== id) : [...selection, id];
  if (keys.shiftKey) return has ? selection : [...selection, id];
  return [id];
}

/** The row that an arrow key leads to among `n`; null = the key means nothing here. */
export function moved(key: string, row: number, n: number): number | null {
  const targets: Record<string, number> = {
    ArrowUp: row - 1,
    ArrowDown: row + 1,
    PageUp: row - 10,
    PageDown: row + 10,
    Home: 0,
    End: n - 1,
  };
  const target = targets[key];
  return target === undefined ? null : Math.max(0, Math.min(target, n - 1));
}
