import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Dwell, LONG_MS, REPORT_MS, SeenReport } from "../src/grid/sight";
import type { Request } from "../src/protocol";
import type { Reply } from "../src/session";

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it("tells of rows that stay on the screen, once", async () => {
  const looked: number[][] = [];
  const dwell = new Dwell((rows) => looked.push(rows));
  dwell.tell([1, 2]);
  await wait(LONG_MS - 1);
  expect(looked).toEqual([]);
  expect(dwell.rows).toEqual([]);
  await wait(1);
  expect(looked).toEqual([[1, 2]]);
  expect(dwell.rows).toEqual([1, 2]);
  dwell.tell([2, 1]);
  await wait(10 * LONG_MS);
  expect(looked).toEqual([[1, 2]]);
});

it("counts each row's own time, and begins again when a row comes back", async () => {
  const looked: number[][] = [];
  const dwell = new Dwell((rows) => looked.push(rows));
  dwell.tell([1]);
  await wait(200);
  dwell.tell([1, 2]);
  await wait(100);
  expect(looked).toEqual([[1]]);
  await wait(100);
  dwell.tell([1]); // 2 was on the screen for 200 ms
  await wait(LONG_MS);
  dwell.tell([1, 2]);
  await wait(LONG_MS);
  expect(looked).toEqual([[1], [2]]);
  dwell.tell([]);
  dwell.tell([1]);
  await wait(LONG_MS);
  expect(looked).toEqual([[1], [2], [1]]);
});

it("forgets everything when rows mean other hits", async () => {
  const looked: number[][] = [];
  const dwell = new Dwell((rows) => looked.push(rows));
  dwell.tell([1]);
  await wait(LONG_MS - 1);
  dwell.clear();
  await wait(LONG_MS);
  dwell.tell([1]);
  await wait(LONG_MS - 1);
  expect(looked).toEqual([]);
  await wait(1);
  expect(looked).toEqual([[1]]);
});

class Kernel {
  readonly asked: Request[] = [];
  fails = 0;
  async request<Body>(request: Request): Promise<Reply<Body>> {
    this.asked.push(request);
    if (this.fails-- > 0) throw new DOMException("", "AbortError");
    return { body: {} as Body, buffers: [] };
  }
}
const seen = (result: string, rows: number[]): Request => ({ kind: "seen", result, rows });

it("sends what was seen in batches, each row once", async () => {
  const kernel = new Kernel();
  const report = new SeenReport(kernel);
  report.start("r1");
  report.add([10, 2]);
  await wait(REPORT_MS - 1);
  report.add([2, 3]);
  expect(kernel.asked).toEqual([]);
  await wait(1);
  expect(kernel.asked).toEqual([seen("r1", [2, 3, 10])]);
  await wait(10 * REPORT_MS);
  expect(kernel.asked).toHaveLength(1);
});

it("sends what is left for the result that it was seen in", async () => {
  const kernel = new Kernel();
  const report = new SeenReport(kernel);
  report.start("r1");
  report.add([1]);
  report.start("r2");
  report.add([5]);
  report.destroy();
  expect(kernel.asked).toEqual([seen("r1", [1]), seen("r2", [5])]);
});

it("asks once more when a request was taken back, and not for ever", async () => {
  const kernel = new Kernel();
  const report = new SeenReport(kernel);
  report.start("r1");
  kernel.fails = 1;
  report.add([1]);
  await wait(REPORT_MS);
  expect(kernel.asked).toEqual([seen("r1", [1]), seen("r1", [1])]);
  kernel.fails = 9;
  report.add([2]);
  await wait(10 * REPORT_MS);
  expect(kernel.asked).toHaveLength(4);
});
