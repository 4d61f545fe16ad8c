/**
 * A destination that takes the events of some sources only. A record of the log has one source, so
 * this is decided for a record at a time, and no event is looked into.
 */
import type { Outcome, Sender } from "@waybill/core";
import { LogBatch, type Piece } from "@waybill/log";
import type { DestinationConfig } from "../config/types.ts";

const OF_ANOTHER_SOURCE: Outcome = Object.freeze({ status: "dropped", reason: "source" });

/** Whether a destination takes the events of a source. */
export function takesFrom({ sources }: DestinationConfig, source: string): boolean {
  return sources?.includes(source) ?? true;
}

/** Hands on the events of its sources; the others are dropped, without a request. */
export function fromSources(config: DestinationConfig, next: Sender): Sender {
  if (config.sources === undefined) return next;
  const isTaken = ({ record }: Piece): boolean => takesFrom(config, record.source);
  return {
    async send(batch, context) {
      if (!(batch instanceof LogBatch) || batch.pieces.every(isTaken)) return next.send(batch, context);
      const taken = batch.pieces.filter(isTaken);
      if (taken.length === 0) return new Array<Outcome>(batch.count).fill(OF_ANOTHER_SOURCE);
      const outcomes = await next.send(batch.of(taken), context);
      return merged(batch, isTaken, outcomes);
    },
  };
}

/** The outcomes of the whole batch, in its order. */
function merged(
  { pieces }: LogBatch,
  isTaken: (piece: Piece) => boolean,
  outcomes: readonly Outcome[],
): readonly Outcome[] {
  const all: Outcome[] = [];
  let used = 0;
  for (const piece of pieces) {
    const count = piece.end - piece.start;
    if (isTaken(piece)) all.push(...outcomes.slice(used, used + count));
    else for (let index = 0; index < count; index++) all.push(OF_ANOTHER_SOURCE);
    if (isTaken(piece)) used += count;
  }
  return all;
}
