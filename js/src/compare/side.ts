/**
 * A `Session` for one of two results: traits, requests and connection are the model's own, so that
 * selection, marks and the current hit are shared; the table is that of its side. It may show
 * fewer rows than the traits say.
 */

import { Listeners } from "../listeners";
import type { ModelSession } from "../model_session";
import type { Request, ResultTable, Traits } from "../protocol";
import type { Reply, RequestOptions, Session, SessionEvent } from "../session";

export type Side = "a" | "b";

export class SideSession implements Session {
  readonly #filtered = new Listeners<"order">();
  #shown: ReadonlySet<number> | null = null;

  constructor(
    private readonly model: ModelSession,
    readonly side: Side,
  ) {}

  get result(): ResultTable | null {
    return this.side === "a" ? this.model.result : this.model.other;
  }

  get isConnected(): boolean {
    return this.model.isConnected;
  }

  /** Show these rows alone; null = all. */
  show(rows: ReadonlySet<number> | null): void {
    this.#shown = rows;
    // views lay their rows out anew as they do for another order
    this.#filtered.emit("order");
  }

  isShown(row: number): boolean {
    return this.#shown?.has(row) ?? true;
  }

  get<Name extends keyof Traits>(name: Name): Traits[Name] {
    return this.model.get(name);
  }

  set<Name extends keyof Traits>(name: Name, value: Traits[Name], when?: "now" | "soon"): void {
    this.model.set(name, value, when);
  }

  on(event: SessionEvent, listener: () => void): () => void {
    if (event === "result") return this.#onResult(listener);
    const stop = this.model.on(event, listener);
    if (event !== "order") return stop;
    const stopOwn = this.#filtered.add(event, listener);
    return () => {
      stop();
      stopOwn();
    };
  }

  request<Body>(request: Request, options?: RequestOptions): Promise<Reply<Body>> {
    return this.model.request(request, options);
  }

  /** The model tells of both tables. */
  #onResult(listener: () => void): () => void {
    let before = this.result;
    return this.model.on("result", () => {
      if (this.result === before) return;
      before = this.result;
      listener();
    });
  }
}
