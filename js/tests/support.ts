/** What several tests need: small tables, and a model without a kernel. */

import type { AfmModel } from "../src/model_session";
import type { Incoming, Outgoing, ResultTable } from "../src/protocol";

export function tableOf(id: string, imageIds: string[] = ["a.jpg", "b.jpg"]): ResultTable {
  const each = <Value>(value: (row: number) => Value) => imageIds.map((_, row) => value(row));
  return {
    version: 1,
    id,
    query: "a dog",
    n_images: 10,
    n_judged: 5,
    notices: [],
    models: {},
    seconds: {},
    columns: {
      image_id: imageIds,
      final_score: each((row) => 1 - row),
      stage1_rank: each((row) => row + 1),
      stage1_score: each(() => 0.5),
      best_region_score: each(() => null),
      whole_image_score: each(() => 0.5),
      judge_rank: each(() => null),
      p_relevant: each(() => null),
      align_iou: each(() => null),
      has_mask: each(() => 0 as const),
      abstained: each(() => 0 as const),
      above_cut: each(() => null),
      null_percentile: each(() => null),
      width: each(() => 640),
      height: each(() => 480),
    },
    rest: {},
    has_pictures: true,
  };
}

export async function deflated(value: unknown): Promise<DataView<ArrayBuffer>> {
  const stream = new Blob([JSON.stringify(value)])
    .stream()
    .pipeThrough(new CompressionStream("deflate"));
  return new DataView(await new Response(stream).arrayBuffer());
}

/** A model as a widget manager gives it, whose messages the test writes itself. */
export class FakeModel implements AfmModel {
  readonly sent: Outgoing[] = [];
  nSaves = 0;
  readonly #values: Map<string, unknown>;
  readonly #listeners = new Map<string, Set<(...values: unknown[]) => void>>();

  constructor(values: Record<string, unknown> = {}) {
    this.#values = new Map(Object.entries({ _table: new DataView(new ArrayBuffer(0)), ...values }));
  }
  get(name: string): unknown {
    return this.#values.get(name);
  }
  set(name: string, value: unknown): void {
    this.#values.set(name, value);
    this.emit(`change:${name}`, this, value);
  }
  on(event: string, listener: (...values: unknown[]) => void): void {
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set.add(listener));
  }
  off(event: string, listener: (...values: unknown[]) => void): void {
    this.#listeners.get(event)?.delete(listener);
  }
  save_changes(): void {
    this.nSaves += 1;
  }
  send(content: unknown): void {
    this.sent.push(content as Outgoing);
  }
  emit(event: string, ...values: unknown[]): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(...values);
  }
  receive(message: Incoming, buffers?: DataView[]): void {
    this.emit("msg:custom", message, buffers);
  }
  /** Id of the n-th message that was sent, by default the last. */
  id(n = -1): string {
    return this.sent.at(n)?.id ?? "nothing was sent";
  }
  get nListeners(): number {
    return [...this.#listeners.values()].reduce((sum, set) => sum + set.size, 0);
  }
}
