import type { Clock } from "@waybill/core";

const SECOND_MS = 1_000;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** A token bucket per key. Full buckets are forgotten, so that it holds no more than the keys in use. */
export class KeyLimiter {
  readonly #limit: { readonly perSecond: number; readonly burst: number };
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limit: { readonly perSecond: number; readonly burst: number }, clock: Pick<Clock, "monotonic">) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Takes one request's token: 0, or the seconds after which there is one again. */
  take(key: string): number {
    const { perSecond, burst } = this.#limit;
    const nowMs = this.#clock.monotonic();
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs };
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / SECOND_MS);
    bucket.atMs = nowMs;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / perSecond);
    bucket.tokens -= 1;
    return 0;
  }
}
