/**
 * What a view sees of the world: traits, the result's table, and a kernel that answers.
 *
 * Views are made from a `Session` alone; whether a Jupyter kernel or a page with embedded data
 * stands behind it is not their business.
 */

import type { Request, ResultTable, Stage, Traits } from "./protocol";

export interface Reply<Body> {
  body: Body;
  buffers: DataView[];
}

export interface RequestOptions {
  /** Aborting tells the kernel to stop and rejects with an `AbortError`. */
  signal?: AbortSignal;
  /** Without any word for so long, milliseconds, the kernel counts as lost; default 10,000. */
  timeout?: number;
  onProgress?: (stage: Stage | "open", done: number, total: number) => void;
}

/** What `on` can watch besides traits: a new table; the kernel lost or found again. */
export type SessionEvent = keyof Traits | "result" | "connection";

export interface Session {
  get<Name extends keyof Traits>(name: Name): Traits[Name];
  /** Set a trait and tell Python: "now" for clicks and keys, "soon" (300 ms) for drags. */
  set<Name extends keyof Traits>(name: Name, value: Traits[Name], when?: "now" | "soon"): void;
  /** Call `listener` on each change; returns what ends it. */
  on(event: SessionEvent, listener: () => void): () => void;
  /** Whether a row is shown, where a session shows fewer than its traits say. */
  isShown?(row: number): boolean;
  /** The decoded table; null before the first search. */
  readonly result: ResultTable | null;
  /** False once a request stayed unanswered; true again with the next answer. */
  readonly isConnected: boolean;
  /** Ask the kernel; rejects with an Error whose message can be shown. */
  request<Body>(request: Request, options?: RequestOptions): Promise<Reply<Body>>;
}

/** A piece of the page made from a session. */
export interface View {
  readonly el: HTMLElement;
  /** Remove listeners, abort requests, free object URLs. */
  destroy(): void;
}
