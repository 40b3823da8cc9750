/**
 * Details and pictures of hits and answers to questions about them, asked for once and kept for a
 * while: what came before stays usable when the kernel is gone. Requests of hits that are not
 * wanted any more are aborted.
 */

import { jpegUrl } from "../jpeg";
import { Lru } from "../lru";
import type {
  ImageReply,
  InspectReply,
  OccludeRequest,
  Request,
  WhyRequest,
  WordsRequest,
} from "../protocol";
import type { Reply, Session } from "../session";
import type { Answered } from "./answered";
import { type Detail, detailOf } from "./shapes";

export interface Picture {
  url: string;
  /** Longest side that was asked for; what came may be smaller. */
  side: number;
  width: number;
  height: number;
}

/** Longest side of the masks. */
const MASK_SIDE = 1024;
const MAX_DETAILS = 12;
const MAX_PICTURES = 8;
const MAX_ANSWERS = 64;

type Kind = "inspect" | "image";
/** What is asked only when a reader wants to know; the result's name is put in here. */
export type Question =
  | Omit<WordsRequest, "result">
  | Omit<WhyRequest, "result">
  | Omit<OccludeRequest, "result">;

export class Loader {
  readonly #details = new Lru<number, Detail>(MAX_DETAILS, () => {});
  readonly #pictures = new Lru<number, Picture>(MAX_PICTURES, ({ url }) =>
    URL.revokeObjectURL(url),
  );
  readonly #answers = new Lru<string, object>(MAX_ANSWERS, () => {});
  readonly #errors = new Map<string, string>();
  readonly #jobs = new Map<string, { row: number; side: number; stop: AbortController }>();

  readonly #session: Session;
  readonly #changed: (row: number) => void;

  /** `changed` is called with the row about which something became known. */
  constructor(session: Session, changed: (row: number) => void) {
    this.#session = session;
    this.#changed = changed;
  }

  detail(row: number): Detail | undefined {
    return this.#details.get(row);
  }

  picture(row: number): Picture | undefined {
    return this.#pictures.get(row);
  }

  /** Why there are no details or no picture; undefined = nothing went wrong. */
  error(kind: Kind, row: number): string | undefined {
    return this.#errors.get(keyOf({ kind, row }));
  }

  /** Whether nothing more is to come, unless a sharper picture is wanted. */
  isComplete(row: number): boolean {
    return [...this.#jobs.values()].every((job) => job.row !== row);
  }

  /** Ask for what is missing of `row`, its picture at least `side` large. */
  need(row: number, side: number): void {
    if (!this.#details.get(row)) {
      const wanted = { kind: "inspect", row, side: MASK_SIDE } as const;
      this.#ask<InspectReply>(wanted, MASK_SIDE, ({ body }) =>
        this.#details.set(row, detailOf(body)),
      );
    }
    if (!this.#session.result?.has_pictures || (this.picture(row)?.side ?? 0) >= side) return;
    const wanted = { kind: "image", row, side } as const;
    this.#ask<ImageReply>(wanted, side, (reply) => this.#accept(row, side, reply));
  }

  /** What is known of a question. */
  answered<Body>(question: Question): Answered<Body> {
    const key = keyOf(question);
    return { reply: this.#answers.get(key) as Body | undefined, error: this.#errors.get(key) };
  }

  /** Ask, unless it was asked before. */
  ask(question: Question): void {
    const key = keyOf(question);
    if (this.#answers.get(key)) return;
    this.#ask<object>(question, 1, ({ body }) => this.#answers.set(key, body));
  }

  /** Take a question back, or forget why there is no answer. */
  drop(question: Question): void {
    this.#end(keyOf(question));
    this.#errors.delete(keyOf(question));
  }

  /** Abort what is under way for other rows. */
  only(...rows: (number | null)[]): void {
    for (const [key, job] of this.#jobs) if (!rows.includes(job.row)) this.#end(key);
  }

  /** Forget what went wrong, so that `need` asks again. */
  retry(): void {
    this.#errors.clear();
  }

  /** Abort everything and free the pictures. */
  clear(): void {
    this.only();
    for (const known of [this.#details, this.#pictures, this.#answers, this.#errors]) known.clear();
  }

  #ask<Body>(
    wanted: { kind: Kind; row: number; side: number } | Question,
    side: number,
    accept: (reply: Reply<Body>) => void,
  ): void {
    const { row } = wanted;
    const key = "side" in wanted ? keyOf({ kind: wanted.kind, row }) : keyOf(wanted);
    if (this.#errors.has(key) || (this.#jobs.get(key)?.side ?? 0) >= side) return;
    this.#end(key);
    const stop = new AbortController();
    this.#jobs.set(key, { row, side, stop });
    const request = { ...wanted, result: this.#session.result?.id ?? "" } as Request;
    this.#session
      .request<Body>(request, { signal: stop.signal })
      .then((reply) => {
        if (!stop.signal.aborted) accept(reply);
      })
      .catch((error: Error) => {
        if (!stop.signal.aborted) this.#errors.set(key, error.message);
      })
      .finally(() => {
        if (stop.signal.aborted) return;
        this.#jobs.delete(key);
        this.#changed(row);
      });
  }

  #end(key: string): void {
    this.#jobs.get(key)?.stop.abort();
    this.#jobs.delete(key);
  }

  #accept(row: number, side: number, { body, buffers }: Reply<ImageReply>): void {
    const bytes = body.buffer === null ? undefined : buffers[body.buffer];
    if (!bytes) throw new Error(body.error ?? "the answer holds no picture");
    const { width, height } = body;
    this.#pictures.set(row, { url: jpegUrl(bytes), side, width, height });
  }
}

/** "inspect 3", "why 0 4": one name for each thing that can be asked. */
function keyOf(question: Question | { kind: Kind; row: number }): string {
  return Object.values(question).join(" ");
}
