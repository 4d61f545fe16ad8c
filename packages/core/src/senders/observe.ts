import type { Attempt, Batch, Outcome, Verdict } from "../delivery.ts";
import type { Clock } from "../runtime.ts";
import type { Answered, Exchange } from "./exchange.ts";

/** Tells the lane about each exchange: how long it took and what it meant. */
export function observe(clock: Clock, next: Exchange<Answered>): Exchange {
  return async (batch, context) => {
    const atMs = clock.now();
    const startedAt = clock.monotonic();
    const { verdict, response } = await next(batch, context);
    const durationMs = clock.monotonic() - startedAt;
    const attempt = { atMs, status: response?.status, durationMs, ...countOutcomes(batch, verdict), response };
    context.watch.attempted(attempt, batch);
    return verdict;
  };
}

function countOutcomes(batch: Batch, verdict: Verdict): Omit<Attempt, "atMs" | "status" | "durationMs" | "response"> {
  const counts: Record<Outcome["status"], number> = {
    delivered: 0,
    retryable: 0,
    rejected: 0,
    dropped: 0,
    halted: 0,
    parked: 0,
  };
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
  return { events: batch.count, bytes: batch.bytes, ...counts, reason };
}
