/**
 * A stage for a vendor that refuses a request because of some of its events, and stores none of it.
 *
 * - What other events of a request were to blame for goes again at once, in one request.
 * - What a user's or a device's limit was to blame for waits, with later events of the same user;
 *   the events of others go on without them.
 * - What the firewall in front refused is distinguished with a harmless request: if that is refused
 *   too, it is not for the events, and the lane halts; else halves find the event at fault.
 */
import {
  type Batch,
  isFinal,
  type Outcome,
  outcomesOf,
  type SendContext,
  type Sender,
  type Stage,
  TextBatch,
} from "@waybill/core";
import { FORBIDDEN, idsOf, isAtOnce } from "./answers.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();
/** An event without a type is never stored. */
const HARMLESS = "{}";

export const sendingOn: Stage = (next) => ({
  async send(batch, context) {
    const outcomes = new Array<Outcome>(batch.count);
    let places: readonly number[] = Array.from({ length: batch.count }, (_, index) => index);
    let left = batch;
    // Each turn leaves fewer events, so there are at most as many turns as events.
    for (;;) {
      const results = await sendPassing(next, left, context);
      for (const [at, outcome] of results.entries()) outcomes[places[at] as number] = outcome;
      const again = placesToSend(left, results);
      if (again.length === 0 || again.length === left.count || context.soon.aborted) return outcomes;
      left = picked(left, again);
      places = again.map((at) => places[at] as number);
    }
  },
});

/** What may go again at once, without later events of those that wait. */
function placesToSend(batch: Batch, results: readonly Outcome[]): readonly number[] {
  const again = results.flatMap((outcome, at) => (isAtOnce(outcome) ? [at] : []));
  if (again.length === 0 || results.every((outcome) => isFinal(outcome) || isAtOnce(outcome))) return again;
  const waiting = new Set<string>();
  const placed = new Set(again);
  return results.flatMap((outcome, at) => {
    if (isFinal(outcome)) return [];
    const { user, device } = idsOf(batch, at);
    const who = user ?? device ?? "";
    if (placed.has(at) && !waiting.has(who)) return [at];
    waiting.add(who);
    return [];
  });
}

/** `next`, and what the firewall refuses is sorted out. */
async function sendPassing(next: Sender, batch: Batch, context: SendContext): Promise<readonly Outcome[]> {
  const results = await next.send(batch, context);
  const first = results.indexOf(FORBIDDEN);
  if (first === -1 || context.soon.aborted) return results;
  const reason = "403 Forbidden";
  const [probe] = await next.send(harmless(batch), unwatched(context));
  if (probe === FORBIDDEN) return refill(results, first, { status: "halted", reason });
  if (probe !== undefined && !isFinal(probe) && !isAtOnce(probe)) return refill(results, first, probe);
  return [...results.slice(0, first), ...(await isolate(next, batch.slice(first, batch.count), context))];
}

/**
 * Halves until only what is refused alone is left. Order is kept: what comes after an event that
 * has to wait is not tried.
 */
async function isolate(next: Sender, batch: Batch, context: SendContext): Promise<readonly Outcome[]> {
  if (batch.count === 1)
    return [{ status: "rejected", reason: "403 Forbidden: the firewall refuses this event alone" }];
  const middle = batch.count >> 1;
  const outcomes: Outcome[] = [];
  for (const half of [batch.slice(0, middle), batch.slice(middle, batch.count)]) {
    const stopped = outcomes.find((outcome) => !isFinal(outcome));
    if (stopped !== undefined || context.soon.aborted) {
      outcomes.push(...outcomesOf(half.count, stopped ?? { status: "retryable", reason: "interrupted" }));
      continue;
    }
    const results = await next.send(half, context);
    const first = results.indexOf(FORBIDDEN);
    if (first === -1) outcomes.push(...results);
    else outcomes.push(...results.slice(0, first), ...(await isolate(next, half.slice(first, half.count), context)));
  }
  return outcomes;
}

function refill(results: readonly Outcome[], from: number, outcome: Outcome): readonly Outcome[] {
  return results.map((result, at) => (at < from ? result : outcome));
}

/** A request like that of `batch`, which can have no effect. */
function harmless({ key, oldestAtMs }: Batch): Batch {
  return new TextBatch({
    key: `${key}.probe`,
    metadata: "amplitude",
    oldestAtMs,
    texts: [HARMLESS],
    sizes: [HARMLESS.length],
  });
}

/** The harmless request is not one of the lane's: it holds none of its events. */
function unwatched(context: SendContext): SendContext {
  return { ...context, watch: { ...context.watch, attempted: () => undefined } };
}

/** Some events of a batch, in order, as a batch. */
function picked(batch: Batch, places: readonly number[]): Batch {
  const first = places[0] as number;
  const last = places.at(-1) as number;
  if (last - first + 1 === places.length) return batch.slice(first, last + 1);
  const texts = places.map((at) => textOf(batch.event(at)));
  const source = batch instanceof TextBatch ? batch.source : undefined;
  return new TextBatch({
    key: `${batch.key}.${first}-${last + 1}.${places.length}`,
    metadata: batch.metadata,
    oldestAtMs: batch.oldestAtMs,
    texts,
    sizes: texts.map((text) => encoder.encode(text).length),
    source: {
      batch: source?.batch ?? batch,
      indexes: source === undefined ? places : places.map((at) => source.indexes[at] as number),
    },
  });
}

function textOf(event: string | Uint8Array): string {
  return typeof event === "string" ? event : decoder.decode(event);
}
