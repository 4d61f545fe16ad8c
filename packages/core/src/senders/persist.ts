import type { Batch, Outcome, SendContext, Sender } from "../delivery.ts";
import type { Clock, Runtime } from "../runtime.ts";
import { attemptParts, fillRest, isRetryable, type Part, type Retryable, type RetryOptions, wait } from "./retry.ts";

export type Isolate = (batch: Batch, context: SendContext, clock: Clock) => Isolation;

/** What watches the attempts of one batch. */
export interface Isolation {
  readonly context: SendContext;
  /**
   * After a failed attempt of the first of `parts`: what to try instead, in which order, and what
   * is parked. `atOnce`: without a wait. `undefined`: the same again.
   */
  next(
    parts: readonly Part[],
    failed: Retryable,
  ):
    | {
        readonly parts: readonly Part[];
        readonly parked: readonly { readonly part: Part; readonly reason: string }[];
        readonly atOnce: boolean;
      }
    | undefined;
}

/**
 * In place of `retry` for who never gives up: sends again what may succeed later, and parks what
 * fails while others pass. Ways out, besides every event having a final outcome or being parked:
 * halted and interrupted, as those of `retry`.
 */
export function persist(
  isolate: Isolate,
): (options: RetryOptions, runtime: Pick<Runtime, "clock" | "random">, next: Sender) => Sender {
  return ({ backoff }, runtime, next) => ({
    async send(batch, given) {
      const outcomes = new Array<Outcome>(batch.count);
      const isolation = isolate(batch, given, runtime.clock);
      const { context } = isolation;
      let parts: readonly Part[] = [{ start: 0, batch }];
      for (let attempt = 1; ; attempt++) {
        parts = await attemptParts(parts, { next, context, outcomes });
        if (parts.length === 0) return outcomes;
        const failed = outcomes.find(isRetryable) as Retryable;
        const isolated = isolation.next(parts, failed);
        if (isolated !== undefined) {
          parts = isolated.parts;
          for (const { part, reason } of isolated.parked) fillRest(outcomes, [part], { status: "parked", reason });
          if (parts.length === 0) return outcomes;
          if (isolated.atOnce && !context.soon.aborted) {
            attempt = 0;
            continue;
          }
        }
        const waitMs = backoff(attempt, failed.retryAfterMs, runtime.random);
        if (!(await wait(waitMs, failed.reason, runtime, context))) return fillRest(outcomes, parts, failed);
      }
    },
  });
}
