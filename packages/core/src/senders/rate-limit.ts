import { outcomesOf } from "../delivery.ts";
import { type Clock, sleep } from "../runtime.ts";
import type { Exchange } from "./exchange.ts";

const SECOND_MS = 1_000;

/**
 * Spaces requests evenly at `maxPerSecond`. Waiting here is not an attempt; an interrupted wait
 * leaves the batch retryable.
 */
export function rateLimited(maxPerSecond: number): (next: Exchange, clock: Clock) => Exchange {
  return (next, clock) => spaced(SECOND_MS / maxPerSecond, clock, next);
}

function spaced(spacingMs: number, clock: Clock, next: Exchange): Exchange {
  let nextFreeAt = clock.monotonic();
  return async (batch, context) => {
    const waitMs = nextFreeAt - clock.monotonic();
    if (waitMs > 0 && !(await sleep(clock, waitMs, context.soon)))
      return outcomesOf(batch.count, { status: "retryable", reason: "interrupted while waiting for the rate limit" });
    nextFreeAt = Math.max(nextFreeAt, clock.monotonic()) + spacingMs;
    return next(batch, context);
  };
}
