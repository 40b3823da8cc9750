import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { DEBOUNCE_MS, RETRY_MS, TileLoader } from "../src/grid/loader";
import { Lru } from "../src/lru";
import type { Request, Tile, TilesReply, TilesRequest } from "../src/protocol";
import type { Reply } from "../src/session";

interface Asked {
  request: TilesRequest;
  signal: AbortSignal | undefined;
  answer(): void;
  fail(message: string): void;
}

const created: string[] = [];
const revoked: string[] = [];
let asked: Asked[] = [];
let changed: number[][] = [];
let loader: TileLoader;
let isConnected = true;

const tileOf = (row: number, buffer: number | null): Tile => ({
  row,
  buffer,
  width: 4,
  height: 3,
  error: buffer === null ? "cannot be read" : null,
  mask: null,
  judged_box: null,
  regions: null,
  region_scores: null,
});
function request<Body>(asking: Request, options: { signal?: AbortSignal } = {}) {
  return new Promise<Reply<Body>>((resolve, reject) => {
    const { signal } = options;
    signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    const request = asking as TilesRequest;
    const tiles = request.rows.map((row, i) => tileOf(row, row === 13 ? null : i));
    const buffers = request.rows.map(() => new DataView(new ArrayBuffer(2)));
    const body: TilesReply = { tiles };
    asked.push({
      request,
      signal,
      answer: () => resolve({ body, buffers } as Reply<unknown> as Reply<Body>),
      fail: (message) => reject(new Error(message)),
    });
  });
}
const want = (visible: number[], near: number[] = [], side = 256, regions = false) =>
  loader.want({ visible, near, side, regions });
const rowsAsked = () => asked.map(({ request }) => request.rows);
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  created.length = revoked.length = 0;
  asked = [];
  changed = [];
  isConnected = true;
  vi.spyOn(URL, "createObjectURL").mockImplementation(() => {
    created.push(`blob:${created.length}`);
    return created[created.length - 1] as string;
  });
  vi.spyOn(URL, "revokeObjectURL").mockImplementation((url) => void revoked.push(url));
  const session = {
    result: { id: "r1" },
    request,
    get isConnected() {
      return isConnected;
    },
  };
  loader = new TileLoader(session, (rows) => changed.push(rows));
});
afterEach(() => {
  loader.clear();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it("asks at once for what can be seen, then for what is near", async () => {
  want([0, 1], [0, 1, 2]);
  await wait(0);
  expect(asked[0]?.request).toEqual({
    kind: "tiles",
    result: "r1",
    rows: [0, 1],
    side: 256,
    regions: false,
  });
  expect(asked).toHaveLength(1);
  asked[0]?.answer();
  await wait(0);
  expect(changed).toEqual([[0, 1]]);
  expect(loader.picture(1)?.url).toBe("blob:1");
  expect(rowsAsked()).toEqual([[0, 1], [2]]);
});
it("asks once for a scroll of many steps, then for no row twice", async () => {
  want([0]);
  await wait(0);
  for (const row of [1, 2, 3, 4]) {
    want([row, row + 1]);
    await wait(DEBOUNCE_MS - 20);
  }
  await wait(DEBOUNCE_MS);
  expect(rowsAsked()).toEqual([[0], [4, 5]]);
  want([5, 6]);
  await wait(DEBOUNCE_MS);
  expect(rowsAsked()[2]).toEqual([6]);
});
it("does not wait for the end of a long scroll", async () => {
  for (let i = 0; i < 20; i++) {
    want([i]);
    await wait(30);
  }
  expect(asked.length).toBeGreaterThanOrEqual(2);
});
it("aborts what nobody looks at any more", async () => {
  want([0, 1]);
  await wait(0);
  want([500]);
  await wait(DEBOUNCE_MS);
  expect(asked[0]?.signal?.aborted).toBe(true);
  expect(rowsAsked()).toEqual([[0, 1], [500]]);
  expect(changed).toEqual([]);
});
it("asks for at most 60 rows at a time", async () => {
  want(Array.from({ length: 70 }, (_, i) => i));
  await wait(0);
  asked[0]?.answer();
  await wait(0);
  expect(rowsAsked().map((rows) => rows.length)).toEqual([60, 10]);
});
it("tries once more, then says why there is no picture", async () => {
  want([0]);
  await wait(0);
  asked[0]?.fail("no kernel");
  await wait(RETRY_MS);
  expect(asked).toHaveLength(2);
  asked[1]?.fail("still no kernel");
  await wait(0);
  expect(loader.picture(0)).toMatchObject({ error: "still no kernel", canRetry: true });
  want([0]);
  await wait(RETRY_MS);
  expect(asked).toHaveLength(2);
  loader.retry();
  await wait(RETRY_MS);
  expect(asked).toHaveLength(3);
});
it("asks a lost kernel once only", async () => {
  want([0]);
  await wait(0);
  isConnected = false;
  asked[0]?.fail("lost");
  await wait(RETRY_MS);
  expect(asked).toHaveLength(1);
  expect(loader.picture(0)).toMatchObject({ error: "lost", canRetry: true });
});
it("asks again for what failed out of sight and for regions that failed", async () => {
  isConnected = false;
  want([0]);
  await wait(0);
  asked[0]?.answer();
  await wait(300);
  want([0], [], 256, true);
  await wait(300);
  asked[1]?.fail("lost");
  await wait(300);
  want([1]);
  await wait(300);
  asked[2]?.fail("lost");
  await wait(300);
  want([0], [], 256, true);
  await wait(300);
  expect(asked).toHaveLength(3);
  isConnected = true;
  loader.retry();
  await wait(300);
  asked[3]?.answer();
  want([1]);
  await wait(300);
  expect(rowsAsked()).toEqual([[0], [0], [1], [0], [1]]);
  expect(loader.picture(0)?.url).toBe("blob:1");
});
it("gets the picture when the second try succeeds", async () => {
  want([0]);
  await wait(0);
  asked[0]?.fail("busy");
  await wait(RETRY_MS);
  asked[1]?.answer();
  await wait(0);
  expect(loader.picture(0)).toMatchObject({ error: null, url: "blob:0" });
});
it("does not ask again for a picture that cannot be read", async () => {
  want([13]);
  await wait(0);
  asked[0]?.answer();
  await wait(0);
  expect(loader.picture(13)).toMatchObject({ error: "cannot be read", canRetry: false, url: null });
  loader.retry();
  await wait(RETRY_MS);
  expect(asked).toHaveLength(1);
});
it("asks again for much larger pictures and for regions, keeping what it has", async () => {
  want([0], [], 256);
  await wait(0);
  asked[0]?.answer();
  await wait(300);
  want([0], [], 320);
  await wait(300);
  expect(asked).toHaveLength(1);
  want([0], [], 448);
  await wait(300);
  expect(asked[1]?.request.side).toBe(448);
  asked[1]?.fail("x");
  await wait(RETRY_MS);
  asked[2]?.fail("x");
  await wait(300);
  expect(loader.picture(0)?.url).toBe("blob:0");
  want([0], [], 448, true);
  await wait(300);
  asked[3]?.answer();
  await wait(0);
  expect(asked[3]?.request.regions).toBe(true);
  expect(revoked).toEqual(["blob:0"]);
});
it("frees every object URL and ignores late answers when it is cleared", async () => {
  want([0, 1], [2]);
  await wait(0);
  asked[0]?.answer();
  await wait(0);
  loader.clear();
  asked[1]?.answer();
  await wait(300);
  expect(revoked).toEqual(created);
  expect(changed).toEqual([[0, 1]]);
  expect(asked[1]?.signal?.aborted).toBe(true);
});
it("lets go of what was not used for longest", () => {
  const gone: string[] = [];
  const lru = new Lru<number, string>(2, (value) => gone.push(value));
  lru.set(1, "one");
  lru.set(2, "two");
  lru.get(1);
  lru.set(3, "three");
  lru.set(3, "THREE");
  expect(gone).toEqual(["two", "three"]);
  expect([lru.get(1), lru.get(2), lru.get(3), lru.size]).toEqual(["one", undefined, "THREE", 2]);
  lru.clear();
  expect(gone).toEqual(["two", "three", "one", "THREE"]);
});

it("keeps pictures under new rows, and asks again for those whose masks have changed", async () => {
  want([0, 1, 2]);
  await wait(0);
  asked[0]?.answer();
  await wait(0);
  const [first, second] = [loader.picture(0), loader.picture(1)];
  loader.rename(
    (row) => [5, 3][row],
    (row) => row === 1,
  );
  expect(loader.picture(5)).toBe(first);
  expect(loader.picture(3)).toBe(second); // shown until the next one is there
  expect(loader.picture(2)).toBeUndefined();
  expect(revoked).toEqual(["blob:2"]);
  want([3, 5]);
  await wait(0);
  expect(rowsAsked()).toEqual([[0, 1, 2], [3]]);
  asked[1]?.answer();
  await wait(0);
  expect(revoked).toEqual(["blob:2", "blob:1"]);
});

it("takes requests back when rows mean other hits", async () => {
  want([0]);
  await wait(0);
  loader.rename(
    (row) => row + 1,
    () => false,
  );
  expect(asked[0]?.signal?.aborted).toBe(true);
  want([1]);
  await wait(0);
  expect(rowsAsked()).toEqual([[0], [1]]);
});
