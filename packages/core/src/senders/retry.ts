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
import type { Random, Runtime } from "../runtime.ts";
import { sleep } from "../runtime.ts";

/**
 * How long to wait after attempt number `attempt` (from 1) failed, in ms; `retryAfterMs` is the
 * vendor's own wish.
 */
export type Backoff = (attempt: number, retryAfterMs: number | undefined, random: Random) => number;

export type Retryable = Extract<Outcome, { readonly status: "retryable" }>;

export interface RetryOptions {
  readonly backoff: Backoff;
  /** Counts the first attempt. `Infinity` never gives up. */
  readonly maxAttempts: number;
  /**
   * What is left after the last attempt: `reject` it, or `keep` it as retryable for somebody to
   * send later. Default `reject`.
   */
  readonly exhausted?: "reject" | "keep";
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

/** What is known of a batch that is being sent. */
export interface Sending {
  readonly next: Sender;
  readonly context: SendContext;
  readonly outcomes: Outcome[];
}

export function retry(options: RetryOptions, runtime: Pick<Runtime, "clock" | "random">, next: Sender): Sender {
  const { maxAttempts, exhausted, backoff } = options;
  return {
    async send(batch, context) {
      const outcomes = new Array<Outcome>(batch.count);
      let parts: readonly Part[] = [{ start: 0, batch }];
      for (let attempt = 1; ; attempt++) {
        parts = await attemptParts(parts, { next, context, outcomes });
        if (parts.length === 0) return outcomes;
        const failed = outcomes.find(isRetryable) as Retryable;
        const isLast = attempt >= maxAttempts;
        if (isLast && exhausted !== "keep") {
          const reason = `gave up after ${attempt} attempts: ${failed.reason}`;
          return fillRest(outcomes, parts, { status: "rejected", reason });
        }
        const waitMs = backoff(attempt, failed.retryAfterMs, runtime.random);
        if (isLast || !(await wait(waitMs, failed.reason, runtime, context))) return fillRest(outcomes, parts, failed);
      }
    },
  };
}

/**
 * Sends one part after another until one of them has to go again. What is left then: it has to go
 * again in this order, so that later events do not overtake those that wait.
 */
export async function attemptParts(
  parts: readonly Part[],
  { next, context, outcomes }: Sending,
): Promise<readonly Part[]> {
  for (const [index, part] of parts.entries()) {
    const result = await next.send(part.batch, context);
    for (const [at, outcome] of result.entries()) outcomes[part.start + at] = outcome;
    const halted = result.find((outcome) => outcome.status === "halted");
    if (halted !== undefined) {
      fillRest(outcomes, parts.slice(index), halted);
      return [];
    }
    const again = retryableParts(part, result);
    if (again.length > 0) return [...again, ...parts.slice(index + 1)];
  }
  return [];
}

/**
 * Full jitter: anything from 0 to a ceiling of `baseMs` that doubles with each attempt, `maxMs` at
 * most; and no sooner than the vendor requests, with some jitter above that: a fleet does not come
 * back in the same instant.
 */
export function fullJitter(baseMs: number, maxMs: number): Backoff {
  return (attempt, retryAfterMs, random) => {
    const share = random.next();
    const waitMs = share * doubled(baseMs, attempt, maxMs);
    if (retryAfterMs === undefined) return waitMs;
    return Math.max(waitMs, Math.min(retryAfterMs, RETRY_AFTER_MAX_MS) + share * baseMs);
  };
}

/** A wait of `baseMs` that doubles with each attempt, `maxMs` at most. */
export function doubled(baseMs: number, attempt: number, maxMs: number): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
}

/** Whether it came to its end. */
export async function wait(
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

export function isRetryable(outcome: Outcome | undefined): outcome is Retryable {
  return outcome?.status === "retryable";
}

/** Gives `outcome` to every event of `parts` that has no final one. */
export function fillRest(outcomes: Outcome[], parts: readonly Part[], outcome: Outcome): readonly Outcome[] {
  for (const { start, batch } of parts) {
    for (let at = start; at < start + batch.count; at++) {
      if (isOpen(outcomes[at] ?? INTERRUPTED)) outcomes[at] = outcome;
    }
  }
  return outcomes;
}
