/**
 * Requests under way: each has an id and ends exactly once, by an answer, by being aborted, or
 * because nothing was heard of it for too long. Knows no model: `send` and `onLost` are given.
 */

import { freshId } from "./ids";
import type { Incoming, Outgoing, Request } from "./protocol";
import type { Reply, RequestOptions } from "./session";

export const TIMEOUT_MS = 10_000;
export const LOST_MESSAGE = "The kernel does not answer: run this cell again.";

interface Waiting {
  request: Request;
  resolve(reply: Reply<unknown>): void;
  reject(reason: Error): void;
  /** A word came: wait from now on. */
  hear(): void;
  onProgress: RequestOptions["onProgress"];
}

export class Pending {
  readonly #waiting = new Map<string, Waiting>();
  // Every view of a model sees every answer, so ids differ between views.
  readonly #prefix = freshId("request");
  #n = 0;

  constructor(
    readonly send: (message: Outgoing) => void,
    readonly onLost: () => void,
  ) {}

  start(request: Request, options: RequestOptions = {}): Promise<Reply<unknown>> {
    const { signal, timeout = TIMEOUT_MS, onProgress } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortError());
      const id = `${this.#prefix}-${++this.#n}`;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = () => {
        this.#waiting.delete(id);
        clearTimeout(timer);
        signal?.removeEventListener("abort", cancel);
      };
      const lose = () => {
        end();
        this.onLost();
        reject(new Error(LOST_MESSAGE));
      };
      const cancel = () => this.#cancel(id);
      const hear = () => {
        clearTimeout(timer);
        timer = setTimeout(lose, timeout);
      };
      this.#waiting.set(id, {
        request,
        resolve: (reply) => {
          end();
          resolve(reply);
        },
        reject: (reason) => {
          end();
          reject(reason);
        },
        hear,
        onProgress,
      });
      signal?.addEventListener("abort", cancel);
      hear();
      try {
        this.send({ ...request, id });
      } catch {
        lose();
      }
    });
  }

  /** Take a message from the kernel; words about requests that ended already change nothing. */
  receive(message: Incoming, buffers: DataView[]): void {
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined) return;
    if (message.kind === "progress") {
      waiting.hear();
      waiting.onProgress?.(message.stage, message.done, message.total);
    } else if (message.ok) {
      waiting.resolve({ body: message.body, buffers });
    } else {
      waiting.reject(new Error(message.error));
    }
  }

  /** Abort the requests for which `isUnwanted` holds, by default all. */
  abort(isUnwanted: (request: Request) => boolean = () => true): void {
    for (const [id, { request }] of [...this.#waiting]) if (isUnwanted(request)) this.#cancel(id);
  }

  #cancel(id: string): void {
    const waiting = this.#waiting.get(id);
    waiting?.reject(abortError());
    try {
      if (waiting) this.send({ kind: "cancel", id });
    } catch {
      this.onLost();
    }
  }
}

export function abortError(): DOMException {
  return new DOMException("The request was taken back.", "AbortError");
}
