/** Who wants to hear of which event. */

import type { Session, SessionEvent } from "./session";

export class Listeners<Event extends string> {
  readonly #byEvent = new Map<Event, Set<() => void>>();

  /** Call `listener` on each `event`; returns what ends it. */
  add(event: Event, listener: () => void): () => void {
    const own = () => listener();
    const set = this.#byEvent.get(event) ?? new Set();
    this.#byEvent.set(event, set.add(own));
    return () => {
      set.delete(own);
    };
  }

  /** Call those who wait for `event` now; who is taken away meanwhile is not called any more. */
  emit(event: Event): void {
    const set = this.#byEvent.get(event);
    for (const listener of [...(set ?? [])]) if (set?.has(listener)) listener();
  }

  clear(): void {
    for (const set of this.#byEvent.values()) set.clear();
  }
}

/** Call `listener` on each of `events`; returns what ends it. */
export function onAny(
  session: Session,
  events: readonly SessionEvent[],
  listener: () => void,
): () => void {
  const stops = events.map((event) => session.on(event, listener));
  return () => {
    for (const stop of stops) stop();
  };
}

/** The same, and call `listener` now. */
export function follow(
  session: Session,
  events: readonly SessionEvent[],
  listener: () => void,
): () => void {
  listener();
  return onAny(session, events, listener);
}
