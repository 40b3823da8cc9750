/**
 * Where tiles stand: arithmetic alone, so that a thousand hits cost as much as ten. A position is
 * a hit's place in the order shown, from 0; x and y are CSS pixels from the content's top left.
 */

export interface Size {
  width: number;
  height: number;
}
export interface Place {
  x: number;
  y: number;
}
/** First and last position of a stretch, both included; `last` < `first` when it is empty. */
export interface Stretch {
  first: number;
  last: number;
}
export interface Layout {
  n: number;
  columns: number;
  rows: number;
  tile: Size;
  picture: Size;
  /** The whole content, scrolled or not. */
  content: Size;
}
export interface LayoutOptions {
  n: number;
  /** Of the content. */
  width: number;
  /** Wanted width of a tile; tiles grow or shrink somewhat to fill the row. */
  tilePx: number;
  /** Width / height of the picture's place in a tile. */
  aspect: number;
  /** Height of what stands below the picture. */
  caption: number;
  /** Height that can be seen at once. */
  viewport: number;
}

/** Widths of tiles to choose from. */
export const TILE_PX = { min: 96, max: 480 };
export const GAP = 8;
/** A further column is worth it when no more than this part of one is missing. */
const SHRINK = 0.35;
/** Tiles in the document at once; small tiles grow rather than break it. */
export const MAX_NODES = 60;

/** Lay `n` tiles out in columns of about the wanted width. */
export function layoutOf(options: LayoutOptions): Layout {
  const fitting = (options.width - GAP) / (options.tilePx + GAP);
  let columns = Math.max(1, Math.floor(fitting + SHRINK));
  let made = withColumns(columns, options);
  while (columns > 1 && mostNodes(made, options.viewport) > MAX_NODES) {
    columns -= 1;
    made = withColumns(columns, options);
  }
  return made;
}

function withColumns(columns: number, { n, width, aspect, caption }: LayoutOptions): Layout {
  const tileWidth = Math.max(1, Math.floor((width - GAP * (columns + 1)) / columns));
  const picture = { width: tileWidth, height: Math.max(1, Math.round(tileWidth / aspect)) };
  const tile = { width: tileWidth, height: picture.height + caption };
  const rows = Math.ceil(n / columns);
  const height = rows === 0 ? 0 : rows * (tile.height + GAP) + GAP;
  return { n, columns, rows, tile, picture, content: { width, height } };
}

function mostNodes({ columns, rows, tile }: Layout, viewport: number): number {
  return columns * Math.min(rows, Math.ceil(viewport / (tile.height + GAP)) + 1);
}

/** Where the tile at `position` stands. */
export function placeOf(layout: Layout, position: number): Place {
  const { columns, tile } = layout;
  const row = Math.floor(position / columns);
  return {
    x: GAP + (position % columns) * (tile.width + GAP),
    y: GAP + row * (tile.height + GAP),
  };
}

/** The positions of which at least a part can be seen. */
export function visibleIn(layout: Layout, scrollTop: number, viewport: number): Stretch {
  const pitch = layout.tile.height + GAP;
  const firstRow = Math.max(0, Math.floor(scrollTop / pitch));
  const lastRow = Math.min(layout.rows - 1, Math.ceil((scrollTop + viewport - GAP) / pitch) - 1);
  return {
    first: firstRow * layout.columns,
    last: Math.min(layout.n - 1, (lastRow + 1) * layout.columns - 1),
  };
}

/** `visible` and a row more on each side, the lower side first, while `MAX_NODES` allows it. */
export function withMargin(layout: Layout, visible: Stretch): Stretch {
  let { first, last } = visible;
  const end = Math.min(layout.n - 1, last + layout.columns);
  if (end - first < MAX_NODES) last = end;
  const start = Math.max(0, first - layout.columns);
  if (last - start < MAX_NODES) first = start;
  return { first, last };
}

/** The least change of `scrollTop` that shows the whole tile at `position`. */
export function scrollTo(
  layout: Layout,
  position: number,
  scrollTop: number,
  viewport: number,
): number {
  const top = placeOf(layout, position).y - GAP;
  const bottom = top + layout.tile.height + 2 * GAP;
  if (top < scrollTop || bottom - top > viewport) return top;
  return bottom > scrollTop + viewport ? bottom - viewport : scrollTop;
}

/** `place`, moved up or down to just outside of what can be seen, for tiles that come or go. */
export function nearEdge(layout: Layout, place: Place, scrollTop: number, viewport: number): Place {
  const above = scrollTop - layout.tile.height - GAP;
  return { x: place.x, y: Math.min(Math.max(place.y, above), scrollTop + viewport + GAP) };
}

/** How an image of `image` pixels sits whole and centred in a box of that aspect: 0 to 1. */
export function frameOf(image: Size, aspect: number): { x: number; y: number } & Size {
  const own = image.width / image.height;
  const width = own >= aspect ? 1 : own / aspect;
  const height = own >= aspect ? aspect / own : 1;
  return { x: (1 - width) / 2, y: (1 - height) / 2, width, height };
}

/** A width / height that suits most images: the median's, within 3:4 and 3:2. */
export function aspectOf(widths: readonly number[], heights: readonly number[]): number {
  const aspects = widths.map((width, i) => width / (heights[i] ?? width)).sort((a, b) => a - b);
  const median = aspects[aspects.length >> 1] ?? 4 / 3;
  return Math.min(Math.max(median, 3 / 4), 3 / 2);
}

/** Longest side of the thumbnails to ask for: device pixels, in steps that caches can share. */
export function thumbnailSide({ width, height }: Size, pixelRatio: number): number {
  const needed = Math.max(width, height) * pixelRatio;
  return Math.min(512, Math.max(128, Math.ceil(needed / 64) * 64));
}

/** Where a key leads from `position`; null = it is no key that moves. */
export function positionAfter(
  key: string,
  position: number,
  { n, columns }: Layout,
  rowsOfPage: number,
): number | null {
  const page = Math.max(1, rowsOfPage) * columns;
  const steps: Record<string, number> = {
    ArrowRight: 1,
    ArrowLeft: -1,
    ArrowDown: columns,
    ArrowUp: -columns,
    PageDown: page,
    PageUp: -page,
    Home: -position,
    End: n - 1 - position,
  };
  const step = steps[key];
  if (step === undefined || n === 0) return null;
  if (position < 0) return key === "End" ? n - 1 : 0;
  const next = position + step;
  if (next >= 0 && next < n) return next;
  return next < 0 ? upTo(position, step, columns) : downTo(position, step, columns, n);
}

/** Past the top: a step of rows ends in the first row of the same column. */
function upTo(position: number, step: number, columns: number): number {
  return step === -1 ? position : position % columns;
}

/** Past the end: the last row's same column, else the last tile; in the last row it stays. */
function downTo(position: number, step: number, columns: number, n: number): number {
  if (step === 1) return position;
  const lastRow = Math.floor((n - 1) / columns);
  if (Math.floor(position / columns) === lastRow) return position;
  return Math.min(n - 1, lastRow * columns + (position % columns));
}
