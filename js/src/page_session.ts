/**
 * A `Session` over data embedded in a page: no kernel, traits in memory, pictures as base64.
 * What the page does not hold is answered by an error that says so.
 */

import { differenceOf } from "./inspector/difference";
import { Listeners } from "./listeners";
import { abortError } from "./pending";
import type {
  ImageReply,
  InspectReply,
  Request,
  ResultTable,
  Tile,
  TilesReply,
  Traits,
  WhyReply,
  WordsReply,
} from "./protocol";
import type { Reply, RequestOptions, Session, SessionEvent } from "./session";

/** A tile whose picture stands in it. */
export interface PageTile extends Omit<Tile, "buffer"> {
  /** Base64; null = there is no picture, `error` says why. */
  jpeg: string | null;
}
/** What `matir_nb/exports/page.py` writes into the page. */
export interface PageData {
  table: ResultTable;
  traits: Partial<Traits>;
  tiles: PageTile[];
  details: InspectReply[];
  /** Of the hits whose image could be asked. */
  words: WordsReply[];
}

const NOT_HERE = "This page does not hold it: open the result in a notebook.";
const NEEDS_KERNEL = "Only a notebook can ask again without a region: open the result in one.";

function defaultTraits(): Traits {
  return {
    _kind: "grid",
    _table: new DataView(new ArrayBuffer(0)),
    _table_b: new DataView(new ArrayBuffer(0)),
    selection: [],
    marks: {},
    current: "",
    order: "final",
    mask_mode: "best",
    boxes: true,
    labels: true,
    mask_opacity: 0.5,
    tile_px: 200,
    min_score: null,
    hide_abstained: false,
    only_above_cut: false,
    judge_step: 0,
    judge_as_i_scroll: false,
    _review: "",
    panel: "",
    query: "",
    indexes: [],
    index: "",
    judges: [],
    judge: "none",
    k: 12,
    n_judged: null,
    history: [],
  };
}

export class PageSession implements Session {
  readonly result: ResultTable;
  readonly isConnected = true;
  readonly #listeners = new Listeners<SessionEvent>();
  readonly #traits: Traits;
  readonly #tiles: Map<number, PageTile>;
  readonly #details: Map<number, InspectReply>;
  readonly #words: Map<number, WordsReply>;

  constructor(data: PageData) {
    this.result = data.table;
    this.#traits = { ...defaultTraits(), ...data.traits };
    this.#tiles = new Map(data.tiles.map((tile) => [tile.row, tile]));
    this.#details = new Map(data.details.map((detail) => [detail.row, detail]));
    this.#words = new Map(data.words.map((reply) => [reply.row, reply]));
  }

  get<Name extends keyof Traits>(name: Name): Traits[Name] {
    return this.#traits[name];
  }

  set<Name extends keyof Traits>(name: Name, value: Traits[Name]): void {
    if (JSON.stringify(this.#traits[name]) === JSON.stringify(value)) return;
    this.#traits[name] = value;
    this.#listeners.emit(name);
  }

  on(event: SessionEvent, listener: () => void): () => void {
    return this.#listeners.add(event, listener);
  }

  async request<Body>(request: Request, options: RequestOptions = {}): Promise<Reply<Body>> {
    // Answers come later, as they do from a kernel.
    await Promise.resolve();
    if (options.signal?.aborted) throw abortError();
    return this.#answer(request) as Reply<Body>;
  }

  #answer(request: Request): Reply<unknown> {
    if (request.kind === "tiles") return this.#tilesReply(request.rows, request.regions);
    if (request.kind === "image") return this.#imageReply(request.row);
    if (request.kind === "occlude") throw new Error(NEEDS_KERNEL);
    const body = this.#bodyOf(request);
    if (body === undefined) throw new Error(NOT_HERE);
    return { body, buffers: [] };
  }

  #bodyOf(request: Request): InspectReply | WordsReply | WhyReply | undefined {
    if (request.kind === "inspect") return this.#details.get(request.row);
    if (request.kind === "words") return this.#words.get(request.row);
    return request.kind === "why" ? this.#whyReply(request.row, request.other) : undefined;
  }

  #whyReply(row: number, other: number): WhyReply | undefined {
    const [mine, its] = [this.#details.get(row), this.#details.get(other)];
    if (!mine || !its) return undefined;
    const difference = mine.final_score - its.final_score;
    return { other, entries: differenceOf(mine.ledger, its.ledger), difference };
  }

  #tilesReply(rows: number[], regions: boolean): Reply<TilesReply> {
    const buffers: DataView[] = [];
    const tiles = rows.map((row): Tile => {
      const found = this.#tiles.get(row);
      if (found === undefined) return { ...NO_TILE, row };
      const { jpeg, ...tile } = found;
      const buffer = jpeg === null ? null : buffers.push(fromBase64(jpeg)) - 1;
      return { ...tile, buffer, regions: regions ? tile.regions : null };
    });
    return { body: { tiles }, buffers };
  }

  #imageReply(row: number): Reply<ImageReply> {
    const { body, buffers } = this.#tilesReply([row], false);
    const { buffer, width, height, error } = body.tiles[0] as Tile;
    return { body: { row, buffer, width, height, error }, buffers };
  }
}

const NO_TILE: Omit<Tile, "row"> = {
  buffer: null,
  width: 0,
  height: 0,
  error: NOT_HERE,
  mask: null,
  judged_box: null,
  regions: null,
  region_scores: null,
};

function fromBase64(text: string): DataView {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new DataView(bytes.buffer);
}
