import type { Clock } from "@waybill/core";

const SECOND_MS = 1_000;
/** Above this many buckets those that are full are forgotten. */
const SWEEP_ABOVE = 64;

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * A token bucket per key of a source, whatever its spelling and wherever a request has it; "" for
 * requests without one. Only keys that are valid come here, and full buckets are forgotten, so that
 * it holds no more than the keys in use.
 */
export class KeyLimiter {
  readonly #limit: { readonly perSecond: number; readonly burst: number };
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #buckets = new Map<string, Bucket>();
  #sweepAbove = SWEEP_ABOVE;

  constructor(limit: { readonly perSecond: number; readonly burst: number }, clock: Pick<Clock, "monotonic">) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Keys it remembers. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one request's token: 0, or the seconds after which there is one again. */
  take(key: string): number {
    const { perSecond, burst } = this.#limit;
    const nowMs = this.#clock.monotonic();
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#sweepAbove) this.#sweep(nowMs);
      bucket = { tokens: burst, atMs: nowMs };
      this.#buckets.set(key, bucket);
    }
    bucket.tokens = this.#tokensAt(bucket, nowMs);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / perSecond);
    bucket.tokens -= 1;
    return 0;
  }

  #tokensAt({ tokens, atMs }: Bucket, nowMs: number): number {
    const { perSecond, burst } = this.#limit;
    return Math.min(burst, tokens + ((nowMs - atMs) * perSecond) / SECOND_MS);
  }

  /** The next sweep comes when there are twice as many as it left. */
  #sweep(nowMs: number): void {
    for (const [key, bucket] of this.#buckets)
      if (this.#tokensAt(bucket, nowMs) >= this.#limit.burst) this.#buckets.delete(key);
    this.#sweepAbove = Math.max(SWEEP_ABOVE, 2 * this.#buckets.size);
  }
}
