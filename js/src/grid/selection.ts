/** What clicks and keys do to a selection of image ids, which keeps the order of picking. */

export type Pick = "only" | "toggle" | "range";

/** How a click or key with these modifiers picks. */
export function pickOf(event: { shiftKey: boolean; ctrlKey: boolean; metaKey: boolean }): Pick {
  if (event.shiftKey) return "range";
  return event.ctrlKey || event.metaKey ? "toggle" : "only";
}

/**
 * The selection after picking `id`.
 *
 * @param shown Image ids in the order shown; a range runs along it.
 * @param anchor Where a range starts; when it is not shown, the range is `id` alone.
 */
export function picked(
  selection: readonly string[],
  id: string,
  how: Pick,
  shown: readonly string[],
  anchor: string,
): string[] {
  if (how === "only") return [id];
  if (how === "range") return between(shown, anchor, id);
  return selection.includes(id) ? selection.filter((other) => other !== id) : [...selection, id];
}

/** All of `shown`, in the order shown; nothing when they are all selected already. */
export function pickedAll(selection: readonly string[], shown: readonly string[]): string[] {
  const selected = new Set(selection);
  return shown.every((id) => selected.has(id)) ? [] : [...shown];
}

function between(shown: readonly string[], anchor: string, id: string): string[] {
  const [from, to] = [shown.indexOf(anchor), shown.indexOf(id)];
  if (from < 0 || to < 0) return [id];
  const ids = shown.slice(Math.min(from, to), Math.max(from, to) + 1);
  return from <= to ? ids : ids.reverse();
}
