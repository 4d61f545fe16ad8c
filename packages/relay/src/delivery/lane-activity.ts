/**
 * What a lane tried lately, in memory: its last 100 requests, and how long requests took since that
 * was read last. At most 40 KiB for each lane (100 requests of some 150 bytes, with reasons that
 * are mostly the same text, and 512 bytes of counts), and constant work for each request.
 */
import type { Attempt } from "@waybill/core";
import type { RecentAttempt } from "../admin/views.ts";

const KEPT = 100;
const REASON_MAX_CHARACTERS = 300;
const TENTHS = 10;

/** Durations are counted in classes, each 15 % longer than the one before, from 0.1 ms on. */
const CLASS_FACTOR = 1.15;
const SHORTEST_MS = 0.1;
const CLASSES = 128;

/** How many requests took how long. */
export class Durations {
  readonly #counts = new Uint32Array(CLASSES);
  #total = 0;

  note(durationMs: number): void {
    const longer = Math.ceil(Math.log(Math.max(durationMs, SHORTEST_MS) / SHORTEST_MS) / Math.log(CLASS_FACTOR));
    const at = Math.min(CLASSES - 1, longer);
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#total += 1;
  }

  add(other: Durations): void {
    if (other.#total === 0) return;
    for (let at = 0; at < CLASSES; at++)
      this.#counts[at] = (this.#counts[at] as number) + (other.#counts[at] as number);
    this.#total += other.#total;
  }

  clear(): void {
    if (this.#total > 0) this.#counts.fill(0);
    this.#total = 0;
  }

  /** This share of the requests took no longer; NaN when there was none. */
  quantile(share: number): number {
    if (this.#total === 0) return Number.NaN;
    let left = Math.ceil(share * this.#total);
    let at = 0;
    while (at < CLASSES - 1 && left > (this.#counts[at] as number)) left -= this.#counts[at++] as number;
    // The middle of the class: half of its width off at most.
    return at === 0 ? SHORTEST_MS : SHORTEST_MS * CLASS_FACTOR ** (at - 1 / 2);
  }
}

export class LaneActivity {
  /** Since the history was written last. */
  readonly durations: Durations = new Durations();
  readonly #recent: RecentAttempt[] = [];
  readonly #listeners = new Set<(attempt: RecentAttempt) => void>();
  #noted = 0;
  #reason: string | null = null;

  note(attempt: Attempt): void {
    const { atMs, status, durationMs, events, bytes, delivered, retryable, rejected, halted, reason } = attempt;
    this.durations.note(durationMs);
    this.#noted += 1;
    const recent: RecentAttempt = {
      sequence: this.#noted,
      at: atMs,
      status: status ?? null,
      durationMs: Math.round(durationMs * TENTHS) / TENTHS,
      events,
      bytes,
      delivered,
      retryable,
      rejected,
      halted,
      reason: this.#shared(reason),
    };
    this.#recent[(this.#noted - 1) % KEPT] = recent;
    for (const listener of this.#listeners) listener(recent);
  }

  /** Newest first. */
  recent(): readonly RecentAttempt[] {
    const next = this.#noted % KEPT;
    return [...this.#recent.slice(next), ...this.#recent.slice(0, next)].toReversed();
  }

  /** Calls `run`, which must not throw, with each request from now on. Returns what ends it. */
  onAttempt(run: (attempt: RecentAttempt) => void): () => void {
    this.#listeners.add(run);
    return () => this.#listeners.delete(run);
  }

  /** Mostly the same as before: then it is kept once. */
  #shared(reason: string | undefined): string | null {
    if (reason === undefined) return null;
    const text = reason.slice(0, REASON_MAX_CHARACTERS);
    if (text !== this.#reason) this.#reason = text;
    return this.#reason;
  }
}
