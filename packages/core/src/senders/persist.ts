import type { Batch, Outcome, SendContext, Sender } from "../delivery.ts";
import type { Clock, Runtime } from "../runtime.ts";
import { attemptParts, fillRest, isRetryable, type Part, type Retryable, type RetryOptions, wait } from "./retry.ts";

/** A longer wait ends when something else is delivered: the vendor is back. */
const PATIENT_MS = 1_000;

export type Isolate = (batch: Batch, context: SendContext, clock: Clock) => Isolation;

/** What watches the attempts of one batch. */
export interface Isolation {
  readonly context: SendContext;
  /**
   * After a failed attempt of the first of `parts`: what to try instead, in which order, and what
   * is parked. `undefined`: the same again, later. `at once`: without a wait; `anew`: and the next
   * wait is as short as the first one.
   */
  next(
    parts: readonly Part[],
    failed: Retryable,
  ):
    | {
        readonly parts: readonly Part[];
        readonly parked: readonly { readonly part: Part; readonly reason: string }[];
        readonly when: "later" | "at once" | "anew";
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
          if (isolated.when !== "later" && !context.soon.aborted) {
            attempt = isolated.when === "anew" ? 0 : attempt - 1;
            continue;
          }
        }
        const waitMs = backoff(attempt, failed.retryAfterMs, runtime.random);
        const ended = await waitUnlessPassed(waitMs, failed, { runtime, context });
        if (ended === "interrupted") return fillRest(outcomes, parts, failed);
        if (ended !== "passed") continue;
        // The vendor is back: it begins anew, but not in one instant with all others.
        attempt = 0;
        const soonMs = Math.min(waitMs, backoff(1, undefined, runtime.random));
        if (!(await wait(soonMs, failed.reason, runtime, context))) return fillRest(outcomes, parts, failed);
      }
    },
  });
}

async function waitUnlessPassed(
  waitMs: number,
  { reason, retryAfterMs }: Retryable,
  { runtime, context }: { readonly runtime: Pick<Runtime, "clock">; readonly context: SendContext },
): Promise<"over" | "passed" | "interrupted"> {
  const { soon, onceDelivered } = context;
  if (retryAfterMs !== undefined || waitMs <= PATIENT_MS || onceDelivered === undefined)
    return (await wait(waitMs, reason, runtime, context)) ? "over" : "interrupted";
  const woken = new AbortController();
  const wake = (): void => woken.abort();
  soon.addEventListener("abort", wake, { once: true });
  const forget = onceDelivered(wake);
  const isOver = soon.aborted ? false : await wait(waitMs, reason, runtime, { ...context, soon: woken.signal });
  forget();
  soon.removeEventListener("abort", wake);
  if (soon.aborted) return "interrupted";
  return isOver ? "over" : "passed";
}
