/**
 * Gets thumbnails and masks of the rows that are looked at: what can be seen first, then what is
 * near; stale requests are aborted, a failed one is tried once more, the rest is remembered.
 */

import { jpegUrl } from "../jpeg";
import { Lru } from "../lru";
import type { Request, Tile, TilesReply } from "../protocol";
import { MAX_TILES } from "../protocol";
import type { Reply } from "../session";

export interface Wanted {
  visible: readonly number[];
  near: readonly number[];
  /** Longest side, device pixels. */
  side: number;
  /** True = also the masks of all regions. */
  regions: boolean;
}
/** What is known of a row's picture. */
export interface Picture {
  /** As asked for. */
  side: number;
  regions: boolean;
  /** Object URL of the JPEG; null = there is none, `error` says why. */
  url: string | null;
  tile: Tile | null;
  error: string | null;
  /** True = the kernel did not answer, so asking again may help. */
  canRetry: boolean;
}
/** The part of a `Session` that is needed here. */
export interface Asked {
  readonly result: { id: string } | null;
  readonly isConnected: boolean;
  request<Body>(request: Request, options?: { signal?: AbortSignal }): Promise<Reply<Body>>;
}
interface Batch {
  rows: number[];
  side: number;
  regions: boolean;
  abort: AbortController;
}

export const DEBOUNCE_MS = 50;
/** While the reader scrolls on and on, pictures are asked for at least this often. */
const AT_LEAST_MS = 250;
export const RETRY_MS = 400;
const MOST_KEPT = 400;
/** A picture is asked for again when one larger by this factor is needed. */
const ENLARGED = 1.25;
const NOTHING: Wanted = { visible: [], near: [], side: 0, regions: false };

export class TileLoader {
  readonly #pictures = new Lru<number, Picture>(MOST_KEPT, ({ url }) => {
    if (url !== null) URL.revokeObjectURL(url);
  });
  /** Rows about which the kernel did not answer. */
  readonly #failed = new Set<number>();
  readonly #batches = new Set<Batch>();
  #wanted = NOTHING;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly session: Asked,
    /** Called with the rows whose picture has come (or has not, and why). */
    private readonly onPictures: (rows: number[]) => void,
  ) {}

  picture(row: number): Picture | undefined {
    return this.#pictures.get(row);
  }

  /** Say what is looked at now. */
  want(wanted: Wanted): void {
    this.#wanted = wanted;
    clearTimeout(this.#timer);
    const isCalm = performance.now() - this.#askedAt > AT_LEAST_MS;
    this.#timer = setTimeout(() => this.#ask(), isCalm ? 0 : DEBOUNCE_MS);
  }

  /** Forget failures of the connection; what is looked at is asked for again. */
  retry(): void {
    for (const row of this.#failed) {
      const picture = this.#pictures.get(row);
      if (picture?.canRetry) this.#pictures.delete(row);
      else if (picture) Object.assign(picture, { side: 0, regions: false });
    }
    this.#failed.clear();
    this.want(this.#wanted);
  }

  /**
   * The same result further judged: pictures stay under their new rows (undefined = gone); those
   * whose masks have changed are asked for again, and shown until then.
   */
  rename(rowOf: (row: number) => number | undefined, hasChanged: (row: number) => boolean): void {
    this.#stop();
    this.#pictures.rename((row, picture) => {
      if (picture.canRetry) return undefined;
      if (hasChanged(row) || this.#failed.has(row)) {
        Object.assign(picture, { side: 0, regions: false });
      }
      return rowOf(row);
    });
    this.#failed.clear();
  }

  /** Forget everything: there is another result, or the view goes. */
  clear(): void {
    this.#stop();
    this.#failed.clear();
    this.#pictures.clear();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#wanted = NOTHING;
    this.#askedAt = Number.NEGATIVE_INFINITY;
    for (const batch of this.#batches) batch.abort.abort();
    this.#batches.clear();
  }

  #ask(): void {
    this.#askedAt = performance.now();
    this.#dropStale();
    const { visible, near } = this.#wanted;
    const rows = visible.filter((row) => this.#isMissing(row));
    if (rows.length > 0) {
      this.#send(rows.slice(0, MAX_TILES));
    } else if (this.#batches.size === 0) {
      const next = near.filter((row) => this.#isMissing(row));
      if (next.length > 0) this.#send(next.slice(0, MAX_TILES));
    }
  }

  #dropStale(): void {
    const wanted = new Set([...this.#wanted.visible, ...this.#wanted.near]);
    for (const batch of this.#batches) {
      if (batch.rows.some((row) => wanted.has(row))) continue;
      batch.abort.abort();
      this.#batches.delete(batch);
    }
  }

  #isMissing(row: number): boolean {
    const { side, regions } = this.#wanted;
    const isEnough = (found: { side: number; regions: boolean }): boolean =>
      found.side * ENLARGED >= side && (found.regions || !regions);
    const picture = this.#pictures.get(row);
    if (picture !== undefined && (picture.url === null || isEnough(picture))) return false;
    return ![...this.#batches].some((batch) => batch.rows.includes(row) && isEnough(batch));
  }

  #send(rows: number[]): void {
    const { side, regions } = this.#wanted;
    const batch = { rows, side, regions, abort: new AbortController() };
    this.#batches.add(batch);
    void this.#run(batch);
  }

  async #run(batch: Batch): Promise<void> {
    try {
      const reply = await this.#twice(batch);
      if (batch.abort.signal.aborted) return;
      this.#keep(batch, reply);
    } catch (error) {
      if (batch.abort.signal.aborted) return;
      this.#fail(batch, error instanceof Error ? error.message : String(error));
    }
    this.#batches.delete(batch);
    this.onPictures(batch.rows);
    this.#ask();
  }

  async #twice(batch: Batch): Promise<Reply<TilesReply>> {
    const { rows, side, regions } = batch;
    const result = this.session.result?.id ?? "";
    const ask = (): Promise<Reply<TilesReply>> =>
      this.session.request({ kind: "tiles", result, rows, side, regions }, batch.abort);
    try {
      return await ask();
    } catch (error) {
      if (batch.abort.signal.aborted || !this.session.isConnected) throw error;
      await new Promise((done) => setTimeout(done, RETRY_MS));
      if (batch.abort.signal.aborted) throw error;
      return await ask();
    }
  }

  #keep({ rows, side, regions }: Batch, { body, buffers }: Reply<TilesReply>): void {
    const tiles = new Map(body.tiles.map((tile) => [tile.row, tile]));
    for (const row of rows) {
      const tile = tiles.get(row) ?? null;
      const jpeg = tile?.buffer == null ? undefined : buffers[tile.buffer];
      const url = jpeg === undefined ? null : jpegUrl(jpeg);
      const error = url === null ? (tile?.error ?? "the kernel sent no picture") : null;
      this.#pictures.set(row, { side, regions, url, tile, error, canRetry: false });
    }
  }

  #fail({ rows, side, regions }: Batch, error: string): void {
    for (const row of rows) {
      this.#failed.add(row);
      const old = this.#pictures.get(row);
      if (old?.url != null) {
        Object.assign(old, { side, regions });
      } else {
        const none = { side, regions, url: null, tile: null };
        this.#pictures.set(row, { ...none, error, canRetry: true });
      }
    }
  }
}
