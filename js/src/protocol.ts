/**
 * What kernel and browser say to each other: the twin of
 * `matir_nb/widgets/table.py` and `matir_nb/widgets/payload.py`.
 *
 * Small state travels as synced traits (`Traits`); the result's table is one deflated JSON trait
 * (`ResultTable`); pixels, masks and details are asked for (`Request`) and answered by id.
 * Rows are numbers from 0 in the table's order: row i is the hit of rank i + 1.
 * Coordinates are pixels of the upright image unless a field says otherwise; boxes are xyxy.
 */

export const PROTOCOL_VERSION = 1;

export type BoxXYXY = [number, number, number, number];
/** COCO compressed run-length code; `size` is [height, width]. */
export interface Rle {
  size: [number, number];
  counts: string;
}
export type MarkName = "relevant" | "not relevant" | "unsure";
export type Stage = "retrieve" | "judge" | "align";

/** One array per column, all of the same length, in rank order; null = the stage found nothing. */
export interface Columns {
  image_id: string[];
  final_score: number[];
  stage1_rank: number[];
  stage1_score: number[];
  best_region_score: (number | null)[];
  whole_image_score: number[];
  judge_rank: (number | null)[];
  p_relevant: (number | null)[];
  align_iou: (number | null)[];
  /** 1 = the hit points at a mask. */
  has_mask: (0 | 1)[];
  /** 1 = the judge saw it and named no place: "not here". */
  abstained: (0 | 1)[];
  /** 1 = this query's cut keeps it; null = there is no cut. */
  above_cut: (0 | 1 | null)[];
  /** Whole percent of unrelated phrases that score lower in this image; null = not known. */
  null_percentile: (number | null)[];
  width: number[];
  height: number[];
  /** Row -> image ids of other files of the same bytes; absent = no hit has any. */
  copies?: Record<number, string[]>;
}

export interface Histogram {
  /** n + 1 ascending edges of n bins. */
  edges: number[];
  counts: number[];
}

export interface ResultTable {
  version: number;
  /** Names this result; requests carry it, so that a late answer cannot mix two results. */
  id: string;
  query: string;
  /** Images in the index; null = not known. */
  n_images: number | null;
  /** Images that the judge saw (hits or not); null = no stage 2. */
  n_judged: number | null;
  /** What a reader of the scores must know, e.g. that the models are the embedded ones. */
  notices: string[];
  /** "segmenter", "encoder", "judge" -> model id. */
  models: Record<string, string>;
  /** Seconds of each stage that ran, in order. */
  seconds: Partial<Record<Stage, number>>;
  columns: Columns;
  /** Score name ("stage1_score", "final_score") -> images that are no hits. */
  rest: Record<string, Histogram>;
  /** True = the kernel can give pixels and regions. */
  has_pictures: boolean;
}

/** The synced traits. Those of `SearchBox` are empty elsewhere. */
export interface Traits {
  _kind: "grid" | "inspector" | "flow" | "search" | "compare";
  /** Deflated (zlib) UTF-8 JSON of `ResultTable`; empty before the first search. */
  _table: DataView;
  /** CompareView: the table of the other result, as `_table`. */
  _table_b: DataView;
  /** Image ids, in the order in which they were picked. */
  selection: string[];
  /** Image id -> mark. */
  marks: Record<string, MarkName>;
  /** The image that the inspector shows and the keyboard acts on; "" = none. */
  current: string;
  order: "final" | "stage1";
  mask_mode: "best" | "all" | "none";
  boxes: boolean;
  labels: boolean;
  /** Of masks, 0 to 1. */
  mask_opacity: number;
  /** Width of a tile, CSS pixels, 96 to 480. */
  tile_px: number;
  /** Hits with a lower final score are hidden; null = none. */
  min_score: number | null;
  hide_abstained: boolean;
  /** Hits that the query's own cut does not keep are hidden. */
  only_above_cut: boolean;
  /** Candidates that "judge more" takes at once; 0 = it is not offered. */
  judge_step: number;
  /** True = more are judged as soon as hits that are not judged come into view. */
  judge_as_i_scroll: boolean;
  /** How far the review is: a line, and the reason for its advice; empty = nothing was seen. */
  _review: string;
  /** What stands beside the grid. */
  panel: "" | "inspector" | "flow";
  /** SearchBox: the words in the field. */
  query: string;
  /** SearchBox: names of indexes to choose from, and the one chosen. */
  indexes: string[];
  index: string;
  /** SearchBox: judges to choose from ("none" = stage 1 only), and the one chosen. */
  judges: string[];
  judge: string;
  /** SearchBox: hits wanted; candidates that the judge sees (null = the preset's number). */
  k: number;
  n_judged: number | null;
  /** SearchBox: earlier queries, newest first. */
  history: { query: string; n_hits: number; seconds: number }[];
}

// ---- requests -----------------------------------------------------------------------------

/** Thumbnails (JPEG) and masks at thumbnail size, of at most `MAX_TILES` rows. */
export interface TilesRequest {
  kind: "tiles";
  result: string;
  rows: number[];
  /** Longest side of the thumbnails, device pixels, at most 512. */
  side: number;
  /** True = also the masks of all regions. */
  regions: boolean;
}
/** Everything about one hit, masks scaled so that the longer side is at most `side`. */
export interface InspectRequest {
  kind: "inspect";
  result: string;
  row: number;
  side: number;
}
/** One picture (JPEG), its longer side at most `side` (512 to 2048). */
export interface ImageRequest {
  kind: "image";
  result: string;
  row: number;
  side: number;
}
/** SearchBox: search with the traits' query, index, judge, k and n_judged. */
export interface SearchRequest {
  kind: "search";
  query: string;
  index: string;
  judge: string;
  k: number;
  n_judged: number | null;
}
/** What each word and phrase of the query adds to each region of one hit. */
export interface WordsRequest {
  kind: "words";
  result: string;
  row: number;
}
/** What remains of one hit without a region: stage 1 from stored scores, the judge asked again. */
export interface OccludeRequest {
  kind: "occlude";
  result: string;
  row: number;
  region: number;
}
/** Why one hit stands above another: the difference of their ledgers. */
export interface WhyRequest {
  kind: "why";
  result: string;
  row: number;
  other: number;
}
/** The judge sees the next `n` candidates; the new table arrives as the trait `_table`. */
export interface JudgeMoreRequest {
  kind: "judge_more";
  result: string;
  n: number;
}
/** These rows have been on the screen: for the reviewer's ledger. */
export interface SeenRequest {
  kind: "seen";
  result: string;
  rows: number[];
}
export type Request =
  | TilesRequest
  | InspectRequest
  | ImageRequest
  | SearchRequest
  | WordsRequest
  | OccludeRequest
  | WhyRequest
  | JudgeMoreRequest
  | SeenRequest;
/** Sent as `request & {id}`; `cancel` names the id of a request that is not wanted any more. */
export type Outgoing = (Request & { id: string }) | { kind: "cancel"; id: string };

export const MAX_TILES = 60;

// ---- answers ------------------------------------------------------------------------------

export interface Tile {
  row: number;
  /** Which of the message's buffers is the JPEG; null = there is no picture, `error` says why. */
  buffer: number | null;
  width: number;
  height: number;
  error: string | null;
  /** At the thumbnail's size. */
  mask: Rle | null;
  /** The judge's box in fractions (0 to 1) of width and height. */
  judged_box: BoxXYXY | null;
  /** All regions by region id, at the thumbnail's size; null = not asked for. */
  regions: Rle[] | null;
  /** Stage-1 cosines of `regions`; null = not known. */
  region_scores: number[] | null;
}
export interface TilesReply {
  tiles: Tile[];
}
export interface ImageReply {
  row: number;
  buffer: number | null;
  width: number;
  height: number;
  error: string | null;
}
export interface Region {
  id: number;
  /** At the reply's `mask_size`. */
  mask: Rle;
  /** Pixels of the upright image. */
  box: BoxXYXY;
  /** Pixels of the upright image. */
  area: number;
  /** Stage-1 cosine with the query; null = not known. */
  score: number | null;
  predicted_iou: number;
  stability_score: number;
  /** Box IoU with the judge's box; null = the judge gave no box. */
  box_iou: number | null;
}
export interface NullBand {
  n_phrases: number;
  /** Percent of them that score lower than the query, 0 to 100. */
  percentile: number;
  /** Stage-1 scores of the phrases in this image at 0, 5, 25, 50, 75, 95 and 100 percent; empty =
   * not known, for the index is not there. */
  quantiles: number[];
}
/** One summand of a stage-1 score. */
export interface Term {
  /** "best region", "whole image" or "whole image as only region". */
  name: string;
  /** How it came about, e.g. "0.9 × 0.412". */
  formula: string;
  value: number;
}
export interface InspectReply {
  row: number;
  image_id: string;
  /** Of the upright image. */
  width: number;
  height: number;
  /** [height, width] of every mask below. */
  mask_size: [number, number];
  regions: Region[];
  /** Region id that the hit points at; null = none (see `mask`). */
  chosen: number | null;
  /** The hit's mask when it is no stored region (made from the judge's box); else null. */
  mask: Rle | null;
  judged_box: BoxXYXY | null;
  align_iou: number | null;
  /** A box with a lower IoU gets no mask; null = not known. */
  min_align_iou: number | null;
  /** null = not judged. */
  judge: { p_relevant: number; logit: number; answer: string; abstained: boolean } | null;
  /** Add up to `stage1_score` (cosines). */
  stage1_terms: Term[];
  /** Adds up to `final_score`; empty = the result does not say what its scores are made of. */
  ledger: LedgerEntry[];
  /** Final score minus that of the next hit; null = there is no next. */
  gap: number | null;
  /** How unrelated phrases score in this image; null = not known. */
  null_band: NullBand | null;
  stage1_score: number;
  final_score: number;
  ranks: { stage1: number; judge: number | null; final: number };
  /** Why there are no regions or scores; empty = all is there. */
  notes: string[];
}
/** One entry of a ledger; the contributions add up to the final score. */
export interface LedgerEntry {
  stage: Stage;
  /** "runner-up region", "winning margin", "whole image", "encoder bias", "judge", "clip", ... */
  name: string;
  /** In the entry's own unit (cosine, log-odds, probability, IoU); null = there is none. */
  value: number | null;
  /** How the contribution came about, or why there is none. */
  formula: string;
  /** Log-odds that it adds to the final score; 0 for entries that only inform. */
  contribution: number;
}
/** Differences "this hit minus the other", entry by entry. */
export interface WhyReply {
  other: number;
  entries: LedgerEntry[];
  difference: number;
}
export interface WordsReply {
  row: number;
  /** Words of the query, in order, as typed. */
  words: string[];
  /** Phrases, each with the places of its words. */
  phrases: { text: string; words: number[] }[];
  /** Stage-1 cosines of the whole query, by region id. */
  base: number[];
  /** word × region: what the word adds to the cosine (query minus query without it). */
  by_word: number[][];
  /** phrase × region, likewise. */
  by_phrase: number[][];
  /** word × region: cosines of the word as a query of its own. */
  word_alone: number[][];
  /** phrase × region, likewise. */
  phrase_alone: number[][];
}
export interface OccludeReply {
  row: number;
  region: number;
  stage1_score: number;
  stage1_rank: number;
  /** The judge's new verdict; null = there is no judge, `note` says why. */
  p_relevant: number | null;
  logit: number | null;
  answer: string | null;
  note: string;
}
export interface JudgeMoreReply {
  /** Id of the new `ResultTable`. */
  result: string;
  n_judged: number;
  cancelled: boolean;
}
export interface SearchReply {
  /** Id of the new `ResultTable`, which arrives as the trait `_table`. */
  result: string;
  n_hits: number;
  cancelled: boolean;
}

/** From the kernel. Buffers of the message arrive beside it as DataViews. */
export type Incoming =
  | { kind: "reply"; id: string; ok: true; body: unknown }
  | { kind: "reply"; id: string; ok: false; error: string }
  | { kind: "progress"; id: string; stage: Stage | "open"; done: number; total: number };
