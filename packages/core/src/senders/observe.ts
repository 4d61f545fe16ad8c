import type { Attempt, Batch, Outcome, Verdict } from "../delivery.ts";
import type { Clock } from "../runtime.ts";
import type { Exchange } from "./exchange.ts";

/** Tells the lane about each exchange: how long it took and what it meant. */
export function observe(clock: Clock, next: Exchange): Exchange {
  return async (batch, context) => {
    const startedAt = clock.monotonic();
    const verdict = await next(batch, context);
    context.watch.attempted(attemptOf(batch, verdict, clock.monotonic() - startedAt));
    return verdict;
  };
}

function attemptOf(batch: Batch, verdict: Verdict, durationMs: number): Attempt {
  const counts: Record<Outcome["status"], number> = { delivered: 0, retryable: 0, rejected: 0, halted: 0 };
  let reason: string | undefined;
  if ("split" in verdict) {
    reason = verdict.reason;
    counts[batch.count === 1 ? "rejected" : "retryable"] = batch.count;
  } else {
    for (const outcome of verdict) {
      counts[outcome.status] += 1;
      if (outcome.status !== "delivered") reason ??= outcome.reason;
    }
  }
  return { events: batch.count, bytes: batch.bytes, durationMs, ...counts, reason };
}
