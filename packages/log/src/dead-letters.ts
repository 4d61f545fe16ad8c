import type { Clock, Disk, Outcome } from "@waybill/core";
import type { LogBatch } from "./batch.ts";
import { openLog } from "./segment-log.ts";
import type { Log, Position } from "./types.ts";

/** What stands beside a dead letter's raw bytes. */
export interface DeadLetterMetadata {
  /** The event's position in the log it came from. */
  readonly position: Position;
  readonly source: string;
  readonly receivedAtMs: number;
  readonly rejectedAtMs: number;
  readonly reason: string;
  /** The metadata of the request the event came with. */
  readonly metadata: string;
}

/** Events a destination refused for good, each with its reason and its raw bytes. */
export interface DeadLetters {
  /** Keeps the rejected ones of a batch's first events, durably. Idempotent per position. **Errors**: those of `Log.append`. */
  keep(batch: LogBatch, outcomes: readonly Outcome[]): Promise<void>;
  close(): Promise<void>;
}

/** Small, so that the last letter is found quickly at the start and space comes back in small steps. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
const REASON_MAX_CHARACTERS = 1_000;

/**
 * Dead letters in a log of their own. `head` is that of the log the events come from: it gives positions from there on anew, also
 * when a damaged disk took its end.
 */
export async function openDeadLetters(
  directory: string,
  head: Position,
  runtime: { readonly disk: Disk; readonly clock: Clock },
): Promise<DeadLetters & { readonly log: Log }> {
  const log = await openLog({ directory, segmentMaxBytes: SEGMENT_BYTES }, runtime);
  let keptTo = Math.min(await lastPosition(log), head - 1);
  return {
    log,
    async keep(batch, outcomes) {
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status !== "rejected") continue;
        const { record, at } = batch.locate(index);
        const position = record.first + at;
        if (position <= keptTo) continue;
        const metadata: DeadLetterMetadata = {
          position,
          source: record.source,
          receivedAtMs: record.receivedAtMs,
          rejectedAtMs: runtime.clock.now(),
          reason: outcome.reason.slice(0, REASON_MAX_CHARACTERS),
          metadata: record.metadata,
        };
        const event = batch.event(index);
        await log.append({
          source: record.source,
          receivedAtMs: record.receivedAtMs,
          metadata: JSON.stringify(metadata),
          body: [event],
          ends: Uint32Array.of(event.length),
        });
        keptTo = position;
      }
    },
    close: () => log.close(),
  };
}

/** Position of the newest letter, -1 without one. */
async function lastPosition(log: Log): Promise<Position> {
  if (log.head === log.first) return -1;
  const reader = log.reader({ position: log.head - 1 });
  const [letter] = await reader.read(1);
  await reader.close();
  return letter === undefined ? -1 : (JSON.parse(letter.metadata) as DeadLetterMetadata).position;
}
