import { expect, it, vi } from "vitest";
import { SideSession } from "../src/compare/side";
import { ModelSession } from "../src/model_session";
import { rowsOf } from "../src/order";
import { deflated, FakeModel, tableOf } from "./support";

const TRAITS = {
  order: "final",
  min_score: null,
  hide_abstained: false,
  only_above_cut: false,
  selection: [],
};

async function compared() {
  const model = new FakeModel({
    ...TRAITS,
    _table: await deflated(tableOf("a", ["p", "q", "r"])),
    _table_b: await deflated(tableOf("b", ["q", "x"])),
  });
  const session = new ModelSession(model);
  await vi.waitFor(() => expect(session.result !== null && session.other !== null).toBe(true));
  const sides = { a: new SideSession(session, "a"), b: new SideSession(session, "b") };
  return { model, session, ...sides };
}

it("each side has its own table, and the traits are shared", async () => {
  const { a, b } = await compared();
  expect([a.result?.id, b.result?.id]).toEqual(["a", "b"]);
  const heard = vi.fn();
  b.on("selection", heard);
  a.set("selection", ["q"]);
  expect(b.get("selection")).toEqual(["q"]);
  expect(heard).toHaveBeenCalledTimes(1);
});

it("a new table is told to its own side alone", async () => {
  const { model, session, a, b } = await compared();
  const [inA, inB] = [vi.fn(), vi.fn()];
  a.on("result", inA);
  b.on("result", inB);
  model.set("_table_b", await deflated(tableOf("c", ["q"])));
  await vi.waitFor(() => expect(b.result?.id).toBe("c"));
  expect(inB).toHaveBeenCalledTimes(1);
  expect(inA).not.toHaveBeenCalled();
  model.set("_table", await deflated(tableOf("d", ["q"])));
  await vi.waitFor(() => expect(session.result?.id).toBe("d"));
  expect([inA.mock.calls.length, inB.mock.calls.length]).toEqual([1, 1]);
});

it("a table that arrives ends the requests about neither result, and no others", async () => {
  const { model, session, a, b } = await compared();
  const ask = (result: string) => ({ kind: "image", result, row: 0, side: 512 }) as const;
  const ofA = a.request(ask("a"));
  const first = model.id();
  const ofB = b.request(ask("b"));
  const ended = expect(ofB).rejects.toThrow("taken back");
  model.set("_table_b", await deflated(tableOf("c", ["q"])));
  await vi.waitFor(() => expect(session.other?.id).toBe("c"));
  await ended;
  model.receive({ kind: "reply", id: first, ok: true, body: "the picture" });
  await expect(ofA).resolves.toEqual({ body: "the picture", buffers: [] });
});

it("rows that a filter leaves out are not shown, in any order", async () => {
  const { model, a, b } = await compared();
  const laidOut = vi.fn();
  const stop = a.on("order", laidOut);
  a.show(new Set([0, 2]));
  expect(laidOut).toHaveBeenCalledTimes(1);
  expect(rowsOf(a)).toEqual([0, 2]);
  expect(rowsOf(b)).toEqual([0, 1]);
  model.set("order", "stage1");
  expect(laidOut).toHaveBeenCalledTimes(2);
  expect(rowsOf(a)).toEqual([0, 2]);
  a.show(new Set());
  expect(rowsOf(a)).toEqual([]);
  a.show(null);
  expect(rowsOf(a)).toEqual([0, 1, 2]);
  stop();
  a.show(new Set());
  model.set("order", "final");
  expect(laidOut).toHaveBeenCalledTimes(4);
});

it("a second table that cannot be read is a problem of its own", async () => {
  const { model, session } = await compared();
  model.set("_table_b", await deflated({ ...tableOf("c"), version: 99 }));
  await vi.waitFor(() => expect(session.problem).toContain("version 99"));
  expect(session.result?.id).toBe("a");
  model.set("_table", await deflated(tableOf("d")));
  await vi.waitFor(() => expect(session.result?.id).toBe("d"));
  expect(session.problem).toContain("version 99");
  model.set("_table_b", await deflated(tableOf("e")));
  await vi.waitFor(() => expect(session.problem).toBe(""));
});
