/** A map that holds at most `most` values and lets go of those not used for longest. */

export class Lru<Key, Value> {
  readonly #values = new Map<Key, Value>();

  constructor(
    readonly most: number,
    /** Called with each value that leaves the map. */
    private readonly release: (value: Value) => void,
  ) {}

  get size(): number {
    return this.#values.size;
  }

  /** The value of `key`, which counts as used now. */
  get(key: Key): Value | undefined {
    const value = this.#values.get(key);
    if (value !== undefined) {
      this.#values.delete(key);
      this.#values.set(key, value);
    }
    return value;
  }

  set(key: Key, value: Value): void {
    this.delete(key);
    this.#values.set(key, value);
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= this.most) break;
      this.delete(oldest);
    }
  }

  /** The same values under other keys; those without one (undefined) leave. */
  rename(keyOf: (key: Key, value: Value) => Key | undefined): void {
    const old = [...this.#values];
    this.#values.clear();
    for (const [key, value] of old) {
      const next = keyOf(key, value);
      if (next === undefined) this.release(value);
      else this.#values.set(next, value);
    }
  }

  delete(key: Key): void {
    const value = this.#values.get(key);
    if (value === undefined) return;
    this.#values.delete(key);
    this.release(value);
  }

  clear(): void {
    for (const key of [...this.#values.keys()]) this.delete(key);
  }
}
