/** Marks as a CSV table (RFC 4180), for the page that has no kernel to take them. */

import type { MarkName, ResultTable } from "./protocol";

const LINE_END = "\r\n";

/** One line per marked hit, in rank order, below a line of names. */
export function marksCsv(table: ResultTable, marks: Record<string, MarkName>): string {
  const { image_id, final_score } = table.columns;
  const lines = image_id.flatMap((id, row) =>
    Object.hasOwn(marks, id) ? [[table.query, row + 1, id, final_score[row], marks[id]]] : [],
  );
  return [["query", "rank", "image_id", "final_score", "mark"], ...lines]
    .map((cells) => cells.map(quoted).join(",") + LINE_END)
    .join("");
}

function quoted(cell: unknown): string {
  const text = String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
