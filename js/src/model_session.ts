/**
 * A `Session` over a widget model (the AFM interface that anywidget, marimo and others give to
 * `render`). Uses only get, set, on, off, save_changes and send.
 */

import { Listeners } from "./listeners";
import { Pending } from "./pending";
import type { Incoming, Request, ResultTable, Traits } from "./protocol";
import type { Reply, RequestOptions, Session, SessionEvent } from "./session";
import { readTable, toView } from "./table";

export interface AfmModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  // biome-ignore lint/suspicious/noExplicitAny: hosts pass what they like
  on(event: string, listener: (...values: any[]) => void): void;
  // biome-ignore lint/suspicious/noExplicitAny: hosts pass what they like
  off(event: string, listener: (...values: any[]) => void): void;
  save_changes(): void;
  send(content: unknown): void;
}

export const SOON_MS = 300;

export class ModelSession implements Session {
  result: ResultTable | null = null;
  isConnected = true;
  /** Why the table could not be read; "" = it could. Told as a "result" event. */
  problem = "";
  readonly #listeners = new Listeners<"result" | "connection">();
  readonly #pending: Pending;
  readonly #offs = new Set<() => void>();
  #soon: ReturnType<typeof setTimeout> | undefined;
  #nRead = 0;
  #isDestroyed = false;

  constructor(readonly model: AfmModel) {
    this.#pending = new Pending(
      (message) => model.send(message),
      () => this.#setConnected(false),
    );
    this.#listen("msg:custom", (message, buffers) => this.#receive(message, buffers));
    // Only the kernel writes this trait, so it is a sign of life.
    this.#listen("change:_table", () => {
      this.#setConnected(true);
      void this.#read();
    });
    void this.#read();
  }

  get<Name extends keyof Traits>(name: Name): Traits[Name] {
    return this.model.get(name) as Traits[Name];
  }

  set<Name extends keyof Traits>(
    name: Name,
    value: Traits[Name],
    when: "now" | "soon" = "now",
  ): void {
    this.model.set(name, value);
    clearTimeout(this.#soon);
    if (when === "now") this.#save();
    else this.#soon = setTimeout(() => this.#save(), SOON_MS);
  }

  on(event: SessionEvent, listener: () => void): () => void {
    if (event === "result" || event === "connection") return this.#listeners.add(event, listener);
    return this.#listen(`change:${event}`, () => listener());
  }

  request<Body>(request: Request, options?: RequestOptions): Promise<Reply<Body>> {
    return this.#pending.start(request, options) as Promise<Reply<Body>>;
  }

  /** Send what waits to be sent, abort all requests, hear nothing any more. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    if (this.#soon !== undefined) this.#save();
    this.#pending.abort();
    this.#listeners.clear();
    for (const off of this.#offs) off();
  }

  // biome-ignore lint/suspicious/noExplicitAny: hosts pass what they like
  #listen(event: string, listener: (...values: any[]) => void): () => void {
    this.model.on(event, listener);
    const off = () => {
      this.model.off(event, listener);
      this.#offs.delete(off);
    };
    this.#offs.add(off);
    return off;
  }

  #save(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    this.model.save_changes();
  }

  #receive(message: Incoming, buffers: unknown[] | undefined): void {
    if (message?.kind !== "reply" && message?.kind !== "progress") return;
    this.#setConnected(true);
    this.#pending.receive(message, (buffers ?? []).map(toView));
  }

  #setConnected(isConnected: boolean): void {
    if (this.isConnected === isConnected || this.#isDestroyed) return;
    this.isConnected = isConnected;
    this.#listeners.emit("connection");
  }

  /** Inflating is asynchronous: only the newest table counts, whichever is ready first. */
  async #read(): Promise<void> {
    const turn = ++this.#nRead;
    let [table, problem]: [ResultTable | null, string] = [null, ""];
    try {
      table = await readTable(toView(this.model.get("_table")));
    } catch (error) {
      problem = `The result cannot be shown: ${(error as Error).message}`;
    }
    if (turn !== this.#nRead || this.#isDestroyed) return;
    const isSame = table?.id === this.result?.id && problem === this.problem;
    [this.result, this.problem] = [table, problem];
    this.#pending.abort((request) => "result" in request && request.result !== table?.id);
    if (!isSame || table !== null) this.#listeners.emit("result");
  }
}
