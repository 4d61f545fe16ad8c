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

/** A part of a batch. */
interface Part {
  readonly piece: Piece;
  /** Absent: it is sent. */
  readonly outcome?: Outcome;
}

/** Hands on the others; what is left out is dropped, without a request. */
export function leaveOut(config: DestinationConfig, next: Sender): Sender {
  const isWhole = ({ record }: Piece): boolean => takesFrom(config, record.source) && record.duplicates === undefined;
  return {
    async send(batch, context) {
      if (!(batch instanceof LogBatch) || batch.pieces.every(isWhole)) return next.send(batch, context);
      const parts = batch.pieces.flatMap((piece) =>
        takesFrom(config, piece.record.source) ? partsOf(piece) : [{ piece, outcome: OF_ANOTHER_SOURCE }],
      );
      const sent = parts.filter(({ outcome }) => outcome === undefined).map(({ piece }) => piece);
      const all = parts.length === sent.length ? batch : batch.of(sent);
      return merged(parts, sent.length === 0 ? [] : await next.send(all, context));
    },
  };
}

/** Runs of events of a piece that are copies, or are not. */
function partsOf(piece: Piece): readonly Part[] {
  const { record, start, end } = piece;
  const duplicates = (record.duplicates ?? []).filter((index) => start <= index && index < end);
  const parts: Part[] = [];
  let from = start;
  for (const index of duplicates) {
    if (from < index) parts.push({ piece: { record, start: from, end: index } });
    parts.push({ piece: { record, start: index, end: index + 1 }, outcome: DUPLICATE });
    from = index + 1;
  }
  if (from < end) parts.push({ piece: { record, start: from, end } });
  return parts;
}

/** The outcomes of the whole batch, in its order. */
function merged(parts: readonly Part[], outcomes: readonly Outcome[]): readonly Outcome[] {
  const all: Outcome[] = [];
  let used = 0;
  for (const { piece, outcome } of parts) {
    const count = piece.end - piece.start;
    if (outcome === undefined) all.push(...outcomes.slice(used, (used += count)));
    else for (let index = 0; index < count; index++) all.push(outcome);
  }
  return all;
}
