/** The trait `_table` (deflated JSON) as a `ResultTable`. */

import { PROTOCOL_VERSION, type ResultTable } from "./protocol";

/** Bytes in whatever form a host gives them; nothing for null or undefined. */
export function toView(bytes: unknown): DataView {
  if (ArrayBuffer.isView(bytes)) {
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  return new DataView(bytes instanceof ArrayBuffer ? bytes : new ArrayBuffer(0));
}

/** Inflate and check a table; null for no bytes. Rejects when they are no table of this version. */
export async function readTable(bytes: DataView): Promise<ResultTable | null> {
  if (bytes.byteLength === 0) return null;
  const blob = new Blob([bytes as DataView<ArrayBuffer>]);
  const stream = blob.stream().pipeThrough(new DecompressionStream("deflate"));
  const table = JSON.parse(await new Response(stream).text()) as ResultTable;
  if (table.version !== PROTOCOL_VERSION) {
    throw new Error(
      `the result has version ${table.version}, this view reads ${PROTOCOL_VERSION}: ` +
        "run the cell again",
    );
  }
  return table;
}
