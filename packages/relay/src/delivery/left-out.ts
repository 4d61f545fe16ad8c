/**
 * Events that a destination does not get, known without looking into them: those of sources that it
 * does not take, and copies, where the log itself finds them.
 */
import type { Outcome, Sender } from "@waybill/core";
import { LogBatch, type Piece } from "@waybill/log";
import type { DestinationConfig } from "../config/types.ts";

const OF_ANOTHER_SOURCE: Outcome = Object.freeze({ status: "dropped", reason: "source" });
const DUPLICATE: Outcome = Object.freeze({ status: "dropped", reason: "duplicate" });

/** Whether a destination takes the events of a source. */
export function takesFrom({ sources }: DestinationConfig, source: string): boolean {
  return sources?.includes(source) ?? true;
}

/**
 * Hands on the others; what is left out is dropped, without a request. A batch is made of copies or
 * of other events. One that has both was planned by a relay that did not know of the copies, as
 * retention had removed their first ones: it goes as it was planned.
 */
export function leaveOut(config: DestinationConfig, next: Sender): Sender {
  const isTaken = ({ record }: Piece): boolean => takesFrom(config, record.source);
  return {
    async send(batch, context) {
      if (!(batch instanceof LogBatch)) return next.send(batch, context);
      const taken = batch.pieces.filter(isTaken);
      if (taken.every(isOfCopies))
        return batch.pieces.flatMap((piece) => all(piece, isTaken(piece) ? DUPLICATE : OF_ANOTHER_SOURCE));
      const isWhole = taken.length === batch.pieces.length;
      const outcomes = await next.send(isWhole ? batch : batch.of(taken), context);
      if (isWhole) return outcomes;
      let used = 0;
      return batch.pieces.flatMap((piece) =>
        isTaken(piece) ? outcomes.slice(used, (used += piece.end - piece.start)) : all(piece, OF_ANOTHER_SOURCE),
      );
    },
  };
}

function isOfCopies({ record, start, end }: Piece): boolean {
  const { duplicates = [] } = record;
  return duplicates.filter((index) => start <= index && index < end).length === end - start;
}

function all({ start, end }: Piece, outcome: Outcome): readonly Outcome[] {
  return new Array<Outcome>(end - start).fill(outcome);
}
