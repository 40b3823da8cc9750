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
const TABLES = { _table: "result", _table_b: "other" } as const;
type TableTrait = keyof typeof TABLES;

export class ModelSession implements Session {
  result: ResultTable | null = null;
  /** The table of the other result, where two are compared. */
  other: ResultTable | null = null;
  isConnected = true;
  readonly #listeners = new Listeners<"result" | "connection">();
  readonly #pending: Pending;
  readonly #offs = new Set<() => void>();
  #soon: ReturnType<typeof setTimeout> | undefined;
  readonly #nRead = { _table: 0, _table_b: 0 };
  readonly #problems = { _table: "", _table_b: "" };
  #isDestroyed = false;

  constructor(readonly model: AfmModel) {
    this.#pending = new Pending(
      (message) => model.send(message),
      () => this.#setConnected(false),
    );
    this.#listen("msg:custom", (message, buffers) => this.#receive(message, buffers));
    for (const name of Object.keys(TABLES) as TableTrait[]) {
      // Only the kernel writes these traits, so it is a sign of life.
      this.#listen(`change:${name}`, () => {
        this.#setConnected(true);
        void this.#read(name);
      });
      void this.#read(name);
    }
  }

  /** Why a table could not be read; "" = it could. Told as a "result" event. */
  get problem(): string {
    return this.#problems._table || this.#problems._table_b;
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
  async #read(name: TableTrait): Promise<void> {
    const turn = ++this.#nRead[name];
    let [table, problem]: [ResultTable | null, string] = [null, ""];
    try {
      table = await readTable(toView(this.model.get(name)));
    } catch (error) {
      problem = `The result cannot be shown: ${(error as Error).message}`;
    }
    if (turn !== this.#nRead[name] || this.#isDestroyed) return;
    const isSame = table?.id === this[TABLES[name]]?.id && problem === this.#problems[name];
    this[TABLES[name]] = table;
    this.#problems[name] = problem;
    const ids = [this.result?.id, this.other?.id];
    this.#pending.abort((request) => "result" in request && !ids.includes(request.result));
    if (!isSame || table !== null) this.#listeners.emit("result");
  }
}
