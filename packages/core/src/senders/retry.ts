/**
 * Sends again what may succeed later, unchanged: exponential backoff with full jitter, the vendor's
 * Retry-After as a lower bound. Only the retryable events of an answer go again, under the same key
 * when that is the whole batch.
 *
 * Ways out, besides every event having a final outcome:
 * - halted: nothing will work until somebody acts; at once, with what is left marked halted
 * - attempts used up: what is left is rejected, or kept as retryable
 * - interrupted (`context.soon`): what is left stays retryable
 */
import { type Batch, INTERRUPTED, isOpen, type Outcome, type SendContext, type Sender } from "../delivery.ts";
import type { Clock, Random, Runtime } from "../runtime.ts";
import { sleep } from "../runtime.ts";

/**
 * How long to wait after attempt number `attempt` (from 1) failed, in ms; `retryAfterMs` is the
 * vendor's own wish.
 */
export type Backoff = (attempt: number, retryAfterMs: number | undefined, random: Random) => number;

export interface RetryOptions {
  readonly backoff: Backoff;
  /** Counts the first attempt. `Infinity` never gives up. */
  readonly maxAttempts: number;
  /**
   * What is left after the last attempt: `reject` it, or `keep` it as retryable for somebody to
   * send later. Default `reject`.
   */
  readonly exhausted?: "reject" | "keep";
  /** Looks for what fails while others pass: `isolating({ byEvent })`. */
  readonly isolate?: Isolate;
}

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
    failed: Extract<Outcome, { readonly status: "retryable" }>,
  ):
    | {
        readonly parts: readonly Part[];
        readonly parked: readonly { readonly part: Part; readonly reason: string }[];
        readonly atOnce: boolean;
      }
    | undefined;
}

/**
 * A vendor that requests a longer wait gets the next attempt after this long: it may have
 * recovered, or never meant it.
 */
const RETRY_AFTER_MAX_MS = 3_600_000;

/** Events of the batch from `start` on. */
export interface Part {
  readonly start: number;
  readonly batch: Batch;
}

export function retry(options: RetryOptions, runtime: Pick<Runtime, "clock" | "random">, next: Sender): Sender {
  return {
    async send(batch, given) {
      const outcomes = new Array<Outcome>(batch.count);
      const isolation = options.isolate?.(batch, given, runtime.clock);
      const context = isolation?.context ?? given;
      let parts: readonly Part[] = [{ start: 0, batch }];
      for (let attempt = 1; parts.length > 0; attempt++) {
        let again: Part[] = [];
        for (const [index, part] of parts.entries()) {
          const result = await next.send(part.batch, context);
          for (const [at, outcome] of result.entries()) outcomes[part.start + at] = outcome;
          const halted = result.find((outcome) => outcome.status === "halted");
          if (halted !== undefined) return fillRest(outcomes, parts.slice(index), halted);
          const retryable = retryableParts(part, result);
          again.push(...retryable);
          if (retryable.length === 0) continue;
          // Later events must not overtake those that wait.
          again.push(...parts.slice(index + 1));
          break;
        }
        if (again.length === 0) break;
        const first = outcomes.find(isRetryable) ?? INTERRUPTED;
        const isLast = attempt >= options.maxAttempts;
        if (isLast && options.exhausted !== "keep") {
          const reason = `gave up after ${attempt} attempts: ${first.reason}`;
          return fillRest(outcomes, again, { status: "rejected", reason });
        }
        const isolated = isolation?.next(again, first);
        if (isolated !== undefined) {
          again = [...isolated.parts];
          for (const { part, reason } of isolated.parked) fillRest(outcomes, [part], { status: "parked", reason });
          if (again.length === 0) break;
          if (isolated.atOnce && !context.soon.aborted) {
            attempt = 0;
            parts = again;
            continue;
          }
        }
        const waitMs = options.backoff(attempt, first.retryAfterMs, runtime.random);
        if (isLast || !(await wait(waitMs, first.reason, runtime, context))) return fillRest(outcomes, again, first);
        parts = again;
      }
      return outcomes;
    },
  };
}

/**
 * Full jitter: anything from 0 to a ceiling of `baseMs` that doubles with each attempt, `maxMs` at
 * most; on top of the vendor's own wish when there is one: the jitter above it keeps a fleet from
 * coming back in the same instant.
 */
export function fullJitter(baseMs: number, maxMs: number): Backoff {
  return (attempt, retryAfterMs, random) =>
    retryAfterMs === undefined
      ? random.next() * doubled(baseMs, attempt, maxMs)
      : Math.min(retryAfterMs, RETRY_AFTER_MAX_MS) + random.next() * baseMs;
}

/** A wait of `baseMs` that doubles with each attempt, `maxMs` at most. */
export function doubled(baseMs: number, attempt: number, maxMs: number): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
}

async function wait(
  waitMs: number,
  reason: string,
  runtime: Pick<Runtime, "clock">,
  context: SendContext,
): Promise<boolean> {
  context.watch.waiting(waitMs, reason);
  const finished = await sleep(runtime.clock, waitMs, context.soon);
  context.watch.resumed();
  return finished;
}

/**
 * The runs of consecutive retryable events; the whole part itself when nothing else was in the
 * answer, so that its key stays.
 */
function retryableParts(part: Part, result: readonly Outcome[]): Part[] {
  const parts: Part[] = [];
  for (let start = 0; start < result.length; start++) {
    if (!isRetryable(result[start])) continue;
    let end = start + 1;
    while (isRetryable(result[end])) end++;
    if (end - start === result.length) return [part];
    parts.push({ start: part.start + start, batch: part.batch.slice(start, end) });
    start = end;
  }
  return parts;
}

function isRetryable(outcome: Outcome | undefined): outcome is Extract<Outcome, { readonly status: "retryable" }> {
  return outcome?.status === "retryable";
}

/** Gives `outcome` to every event of `parts` that has no final one. */
function fillRest(outcomes: Outcome[], parts: readonly Part[], outcome: Outcome): readonly Outcome[] {
  for (const { start, batch } of parts) {
    for (let at = start; at < start + batch.count; at++) {
      const known = outcomes[at];
      if (known === undefined || isOpen(known)) outcomes[at] = outcome;
    }
  }
  return outcomes;
}
