import type { Clock, Timer } from "@waybill/core";

/**
 * LaunchDarkly's relay looks every hour; with flushes further apart than that, every second one.
 */
const CLEANUP_MS = 3_600_000;

/** 0 and less, or none: the original's default. */
export function cleanupIntervalOf(givenMs: number | undefined, flushIntervalMs: number): number {
  if (givenMs !== undefined && givenMs > 0) return givenMs;
  return flushIntervalMs > CLEANUP_MS ? 2 * flushIntervalMs : CLEANUP_MS;
}

export interface IdleMapOptions<Value> {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Receives all that were forgotten at once. Must not throw. */
  readonly onForgotten?: (values: readonly Value[]) => void;
}

interface Entry<Value> {
  readonly value: Value;
  used: boolean;
}

/**
 * Values that are forgotten when a whole interval passed without a use, as the original forgets its
 * event processors: looked for once an interval, and only while there are several. No timer runs
 * while there is one alone, or none.
 */
export class IdleMap<Value> {
  readonly #options: IdleMapOptions<Value>;
  readonly #entries = new Map<string, Entry<Value>>();
  #timer: Timer | undefined;

  constructor(options: IdleMapOptions<Value>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Counts as a use. */
  use(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    entry.used = true;
    // The one that was used last is at the end.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  add(key: string, value: Value): void {
    this.#entries.set(key, { value, used: true });
    if (this.#entries.size > 1) this.#arm();
  }

  /** The one whose last use is the longest ago. */
  deleteOldest(): void {
    const [key] = this.#entries.keys();
    if (key !== undefined) this.#entries.delete(key);
  }

  *values(): Generator<Value> {
    for (const { value } of this.#entries.values()) yield value;
  }

  close(): void {
    this.#timer?.cancel();
    this.#entries.clear();
  }

  #arm(): void {
    const { clock, intervalMs } = this.#options;
    this.#timer ??= clock.after(intervalMs, () => {
      this.#timer = undefined;
      this.#forget();
      if (this.#entries.size > 1) this.#arm();
    });
  }

  #forget(): void {
    const forgotten: Value[] = [];
    for (const [key, entry] of this.#entries) {
      if (!entry.used) {
        this.#entries.delete(key);
        forgotten.push(entry.value);
      }
      entry.used = false;
    }
    if (forgotten.length > 0) this.#options.onForgotten?.(forgotten);
  }
}
