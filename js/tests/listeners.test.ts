import { expect, it } from "vitest";
import { follow, Listeners, onAny } from "../src/listeners";
import type { Session, SessionEvent } from "../src/session";

it("calls each as often as it was added, until it is taken away", () => {
  const listeners = new Listeners<"a" | "b">();
  const heard: string[] = [];
  const listen = () => heard.push("x");
  const off = listeners.add("a", listen);
  listeners.add("a", listen);
  listeners.add("b", () => heard.push("b"));
  listeners.emit("a");
  off();
  off();
  listeners.emit("a");
  expect(heard).toEqual(["x", "x", "x"]);
  listeners.clear();
  listeners.emit("a");
  listeners.emit("b");
  expect(heard.length).toBe(3);
});

it("does not call who was taken away by another listener", () => {
  const listeners = new Listeners<"a">();
  const heard: string[] = [];
  listeners.add("a", () => second());
  const second = listeners.add("a", () => heard.push("second"));
  listeners.emit("a");
  expect(heard).toEqual([]);
});

it("does not call who was added by another listener before the next event", () => {
  const listeners = new Listeners<"a">();
  const heard: string[] = [];
  const first = listeners.add("a", () => {
    first();
    listeners.add("a", () => heard.push("late"));
  });
  listeners.emit("a");
  expect(heard).toEqual([]);
  listeners.emit("a");
  expect(heard).toEqual(["late"]);
});

it("follows several events of a session with one stop", () => {
  const listeners = new Listeners<SessionEvent>();
  const session = {
    on: (event: SessionEvent, listener: () => void) => listeners.add(event, listener),
  } as Session;
  const heard: string[] = [];
  const stop = onAny(session, ["marks", "result"], () => heard.push("any"));
  const stopToo = follow(session, ["marks"], () => heard.push("now"));
  expect(heard).toEqual(["now"]);
  listeners.emit("result");
  listeners.emit("marks");
  expect(heard).toEqual(["now", "any", "any", "now"]);
  stop();
  stopToo();
  listeners.emit("marks");
  expect(heard).toHaveLength(4);
});
