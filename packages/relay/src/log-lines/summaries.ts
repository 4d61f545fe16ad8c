/**
 * Lines about what may happen thousands of times a second: the first at once, the others counted, a
 * line a minute. What is quiet for a minute is written at once when it begins again.
 */
import type { Clock, Timer } from "@waybill/core";

/** How often a line about the same thing may come. */
export const SUMMARY_EVERY_MS = 60_000;
const SECOND_MS = 1_000;
/** Things that are counted apart at once: they are named by the configuration, so fewer. */
const THINGS_MAX = 10_000;

/** What happened since the line before. */
export interface Summary {
  readonly count: number;
  /** By kind. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Since the line before; `undefined` for the first line. */
  readonly seconds: number | undefined;
}

interface Thing {
  count: number;
  readonly kinds: Map<string, number>;
  /** The last line; `undefined` before the first. */
  sinceMs: number | undefined;
  timer: Timer | undefined;
  write: (summary: Summary) => void;
}

export class Summaries {
  readonly #clock: Pick<Clock, "monotonic" | "after">;
  readonly #things = new Map<string, Thing>();

  constructor(clock: Pick<Clock, "monotonic" | "after">) {
    this.#clock = clock;
  }

  /**
   * `thing` has happened. `write` is called at once or with the next summary; the last one that was
   * given is called.
   */
  note(thing: string, write: (summary: Summary) => void, { count = 1, kind = "", gatherMs = 0 }: Happened = {}): void {
    const known = this.#things.get(thing);
    if (known !== undefined) {
      known.write = write;
      add(known, count, kind);
      return;
    }
    const begun: Thing = { count: 0, kinds: new Map(), sinceMs: undefined, timer: undefined, write };
    add(begun, count, kind);
    const isFull = this.#things.size >= THINGS_MAX;
    if (gatherMs === 0 || isFull) this.#write(begun);
    if (isFull) return;
    this.#things.set(thing, begun);
    this.#wait(thing, begun, gatherMs === 0 ? SUMMARY_EVERY_MS : gatherMs);
  }

  /** It is over, and its next time is written at once. What was counted of it is not written. */
  forget(thing: string): void {
    this.#things.get(thing)?.timer?.cancel();
    this.#things.delete(thing);
  }

  /** Writes all that was counted. */
  close(): void {
    for (const [thing, known] of this.#things) {
      this.forget(thing);
      this.#write(known);
    }
  }

  #wait(thing: string, known: Thing, delayMs: number): void {
    known.timer = this.#clock.after(delayMs, () => {
      if (known.count === 0) {
        this.#things.delete(thing);
        return;
      }
      this.#write(known);
      this.#wait(thing, known, SUMMARY_EVERY_MS);
    });
  }

  #write(known: Thing): void {
    const { count, kinds, sinceMs, write } = known;
    if (count === 0) return;
    const nowMs = this.#clock.monotonic();
    const seconds = sinceMs === undefined ? undefined : Math.max(1, Math.round((nowMs - sinceMs) / SECOND_MS));
    const summary = { count, kinds: Object.fromEntries(kinds), seconds };
    known.count = 0;
    known.kinds.clear();
    known.sinceMs = nowMs;
    write(summary);
  }
}

export interface Happened {
  /** Default 1. */
  readonly count?: number;
  /** Counted apart within the thing; of few. */
  readonly kind?: string;
  /** How long the first line waits for more of what comes together. Default 0. */
  readonly gatherMs?: number;
}

function add(known: Thing, count: number, kind: string): void {
  known.count += count;
  if (kind !== "") known.kinds.set(kind, (known.kinds.get(kind) ?? 0) + count);
}
