/**
 * Which hits were really looked at: half of the tile or more on the screen for a while, in a page
 * that is not in the background; and telling Python so, a few at a time.
 */

import type { Session } from "../session";
import type { TileNode } from "./tile";

/** Part of a tile that must be on the screen. */
const PART = 0.5;
export const LONG_MS = 300;
export const REPORT_MS = 500;
/** A kernel that runs a cell hears of it later, milliseconds. */
const PATIENCE = 600_000;

/** Rows that stay on the screen for `LONG_MS` are told once, until they leave it. */
export class Dwell {
  /** Row -> since when it is on the screen, milliseconds; infinite = it was told. */
  readonly #since = new Map<number, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly onLooked: (rows: number[]) => void) {}

  /** The rows that are on the screen and have been for long enough. */
  get rows(): number[] {
    return [...this.#since].flatMap(([row, since]) => (Number.isFinite(since) ? [] : row));
  }

  /** Say which rows are on the screen now. */
  tell(rows: Iterable<number>): void {
    const shown = new Set(rows);
    for (const row of this.#since.keys()) if (!shown.has(row)) this.#since.delete(row);
    for (const row of shown) if (!this.#since.has(row)) this.#since.set(row, performance.now());
    this.#wait();
  }

  /** Rows mean other hits now. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#since.clear();
  }

  #wait(): void {
    clearTimeout(this.#timer);
    const first = Math.min(...this.#since.values());
    if (!Number.isFinite(first)) return;
    this.#timer = setTimeout(() => this.#look(), first + LONG_MS - performance.now());
  }

  #look(): void {
    const before = performance.now() - LONG_MS;
    const looked = [...this.#since].flatMap(([row, since]) => (since <= before ? row : []));
    for (const row of looked) this.#since.set(row, Number.POSITIVE_INFINITY);
    this.#wait();
    if (looked.length > 0) this.onLooked(looked);
  }
}

/** Watches tiles, whichever hit they show. */
export class Sight {
  readonly #dwell: Dwell;
  readonly #tiles = new Map<Element, TileNode>();
  readonly #onScreen = new Set<TileNode>();
  readonly #watch = new IntersectionObserver(
    (entries) => {
      for (const { target, intersectionRatio } of entries) {
        const tile = this.#tiles.get(target) as TileNode;
        if (intersectionRatio >= PART) this.#onScreen.add(tile);
        else this.#onScreen.delete(tile);
      }
      this.update();
    },
    { threshold: PART },
  );
  readonly #onPage = (): void => this.update();

  constructor(
    /** Whether a tile shows its row: it does not while it is on its way out. */
    private readonly isShown: (tile: TileNode) => boolean,
    onLooked: (rows: number[]) => void,
  ) {
    this.#dwell = new Dwell(onLooked);
    document.addEventListener("visibilitychange", this.#onPage);
  }

  get rows(): number[] {
    return this.#dwell.rows;
  }

  add(tile: TileNode): void {
    this.#tiles.set(tile.el, tile);
    this.#watch.observe(tile.el);
  }

  /** Tiles may show other rows than before. */
  update(): void {
    const isHidden = document.visibilityState === "hidden";
    const tiles = [...this.#onScreen].filter((tile) => !isHidden && this.isShown(tile));
    this.#dwell.tell(tiles.map(({ row }) => row));
  }

  clear(): void {
    this.#dwell.clear();
  }

  destroy(): void {
    document.removeEventListener("visibilitychange", this.#onPage);
    this.#watch.disconnect();
    this.#dwell.clear();
  }
}

/** Tells Python which rows of a result were looked at. */
export class SeenReport {
  readonly #rows = new Set<number>();
  #result = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly session: Pick<Session, "request">) {}

  add(rows: readonly number[]): void {
    for (const row of rows) this.#rows.add(row);
    this.#timer ??= setTimeout(() => this.#flush(), REPORT_MS);
  }

  /** From now on rows are those of this result; what waits is sent for the one before. */
  start(result: string): void {
    this.#flush();
    this.#result = result;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const rows = [...this.#rows].sort((a, b) => a - b);
    this.#rows.clear();
    if (rows.length > 0) void this.#send(this.#result, rows, true);
  }

  /** Once more when it is taken back: a new result ends the requests about the one before. */
  async #send(result: string, rows: number[], again: boolean): Promise<void> {
    try {
      await this.session.request({ kind: "seen", result, rows }, { timeout: PATIENCE });
    } catch {
      if (again) await this.#send(result, rows, false);
    }
  }

  destroy(): void {
    this.#flush();
  }
}
