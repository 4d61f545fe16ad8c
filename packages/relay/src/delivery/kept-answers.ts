/**
 * What vendors have answered to single events lately, for callers that ask after the answer came:
 * in a cluster another relay may have taken their request.
 */
import type { Clock, HttpResponse } from "@waybill/core";

const ANSWERS_MAX = 1_000;
/** At two bytes a character. */
const BYTES_MAX = 4 * 1024 * 1024;
const AGE_MAX_MS = 30_000;

interface Kept {
  readonly answer: HttpResponse;
  readonly bytes: number;
  readonly atMs: number;
}

export class KeptAnswers {
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  keep(key: string, answer: HttpResponse): void {
    this.take(key);
    const atMs = this.#clock.monotonic();
    const bytes = 2 * answer.body.length;
    this.#kept.set(key, { answer, bytes, atMs });
    this.#bytes += bytes;
    for (const [oldest, kept] of this.#kept) {
      const isOver = this.#kept.size > ANSWERS_MAX || this.#bytes > BYTES_MAX;
      if (!isOver && atMs - kept.atMs <= AGE_MAX_MS) break;
      this.take(oldest);
    }
  }

  /** It is kept no longer. */
  take(key: string): HttpResponse | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    this.#bytes -= kept.bytes;
    return this.#clock.monotonic() - kept.atMs <= AGE_MAX_MS ? kept.answer : undefined;
  }
}
