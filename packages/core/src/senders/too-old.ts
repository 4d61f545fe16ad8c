/**
 * Gives up events that were received too long ago, where late is worthless. They are looked at each
 * time that a request is about to be made: what becomes too old while its batch waits for a vendor
 * to recover is not sent after all.
 */
import { type Batch, type Outcome, outcomesOf } from "../delivery.ts";
import { assert } from "../errors.ts";
import type { Clock } from "../runtime.ts";
import { TextBatch } from "../text-batch.ts";
import type { Exchange } from "./exchange.ts";

const TOO_OLD: Outcome = { status: "rejected", reason: "too_old: it was received longer ago than retry.maxAge" };
const SEVERAL = { split: true, reason: "events that are too old lie between others" } as const;

export interface GiveUpOptions {
  /** Events that were received longer ago than this are not sent, in ms. */
  readonly maxAgeMs: number;
  readonly clock: Pick<Clock, "now">;
}

/**
 * A stage for `createSender`: rejects each event that is too old and lets the others pass, under a
 * key of their own. Events of which nobody knows when they were received pass.
 */
export function giveUpTooOld({ maxAgeMs, clock }: GiveUpOptions): (next: Exchange) => Exchange {
  return (next) => async (batch, context) => {
    const oldestAtMs = clock.now() - maxAgeMs;
    const isTooOld = (index: number): boolean => receivedAtMs(batch, index) < oldestAtMs;
    let start = 0;
    while (start < batch.count && isTooOld(start)) start += 1;
    if (start === batch.count) return outcomesOf(batch.count, TOO_OLD);
    let end = start;
    while (end < batch.count && !isTooOld(end)) end += 1;
    if (end - start === batch.count) return next(batch, context);
    // Events lie in the order in which they came, unless the clock was set: halves are in order.
    for (let index = end; index < batch.count; index++) if (!isTooOld(index)) return SEVERAL;
    const verdict = await next(batch.slice(start, end), context);
    if ("split" in verdict) return verdict;
    assert(verdict.length === end - start, "each event has one outcome");
    return [...outcomesOf(start, TOO_OLD), ...verdict, ...outcomesOf(batch.count - end, TOO_OLD)];
  };
}

function receivedAtMs(batch: Batch, index: number): number {
  const source = batch instanceof TextBatch ? batch.source : undefined;
  const known =
    source === undefined ? batch.receivedAtMs?.(index) : source.batch.receivedAtMs?.(source.indexes[index] as number);
  return known ?? Number.POSITIVE_INFINITY;
}
