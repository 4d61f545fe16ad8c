/**
 * Looks for events in a log that has no index, from the oldest on: a part at a time, and never for
 * so long that others wait.
 */
import type { Clock } from "@waybill/core";
import type { Log, LogRecord, Position } from "@waybill/log";
import {
  bytesOfNames,
  type EventNames,
  eventText,
  hasNames,
  type NamesFilter,
  namesOf,
  wantsNames,
} from "./event-names.ts";
import { type SharedTurns, Turns } from "./turns.ts";

export interface SearchChoice extends NamesFilter {
  readonly source?: string | undefined;
  /** Received then or later, before; epoch ms. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly from?: Position | undefined;
  /** Ends the search; what was found until then is reported. */
  readonly signal: AbortSignal;
}

export interface SearchLimits {
  readonly maxBytes: number;
  readonly maxEvents: number;
  readonly maxMs: number;
}

export interface FoundNames extends EventNames {
  readonly position: Position;
  readonly receivedAt: number;
  readonly source: string;
}

export interface SearchResult {
  readonly events: readonly FoundNames[];
  readonly scannedBytes: number;
  /** Where to go on; `null`: all was looked at. */
  readonly next: Position | null;
}

const READ_BYTES = 512 * 1024;

export interface SearchOptions {
  readonly clock: Clock;
  readonly limits: SearchLimits;
  /** With what else is read for people to look at. */
  readonly shared?: SharedTurns;
}

/** **Errors**: `WAYBILL_DISK`. */
export async function searchLog(
  log: Log,
  choice: SearchChoice,
  { clock, limits, shared }: SearchOptions,
): Promise<SearchResult> {
  let position = Math.max(choice.from ?? 0, beginOf(log, choice));
  const found: FoundNames[] = [];
  const endsAt = clock.monotonic() + limits.maxMs;
  const turns = new Turns(clock, { shared });
  const looksFor = bytesOfNames(choice);
  let scannedBytes = 0;
  const reader = log.reader({ position });
  const result = (next: Position | null): SearchResult => ({ events: found, scannedBytes, next });
  try {
    for (;;) {
      const records = await reader.read(READ_BYTES);
      if (records.length === 0) return result(null);
      for (const record of records) {
        scannedBytes += record.sizeBytes;
        if (isLate(record, choice)) return result(null);
        for (const index of indexesOf(record, choice, looksFor)) {
          const at = record.first + index;
          if (at < position) continue;
          if (found.length === limits.maxEvents) return result(at);
          const names = namesOf(eventText(record, index), record.metadata);
          if (hasNames(names, choice))
            found.push({ position: at, receivedAt: record.receivedAtMs, source: record.source, ...names });
          // The records are this reader's own memory: they stay while others have their turn.
          await turns.yield();
        }
        position = record.first + record.count;
        const isOver = scannedBytes >= limits.maxBytes || clock.monotonic() >= endsAt || choice.signal.aborted;
        if (isOver) return result(position >= log.head ? null : position);
      }
      await turns.yield();
    }
  } finally {
    await reader.close();
  }
}

/** Of what was counted alone is it known when it was received. */
function beginOf(log: Log, { sinceMs }: SearchChoice): Position {
  const position = sinceMs === undefined ? log.first : log.positionAt(sinceMs);
  return position > log.first ? position : log.oldest;
}

/** Records are stored in the order of their receipt, as far as the clock has not jumped. */
const CLOCK_JUMP_MS = 3_600_000;

function isLate({ receivedAtMs }: LogRecord, { untilMs }: SearchChoice): boolean {
  return untilMs !== undefined && receivedAtMs >= untilMs + CLOCK_JUMP_MS;
}

/** Of events that may be meant: those that hold the bytes that are looked for. */
function* indexesOf(record: LogRecord, choice: SearchChoice, looksFor: Buffer | undefined): Generator<number> {
  const { source, receivedAtMs, body, ends, count } = record;
  const { sinceMs = 0, untilMs = Number.POSITIVE_INFINITY } = choice;
  if (choice.source !== undefined && choice.source !== source) return;
  if (receivedAtMs < sinceMs || receivedAtMs >= untilMs) return;
  // What the events of a request share may name their user beside them.
  if (looksFor === undefined || !wantsNames(choice) || record.metadata.includes(looksFor.toString())) {
    for (let index = 0; index < count; index++) yield index;
    return;
  }
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  let index = 0;
  for (let from = 0; from < bytes.length; ) {
    const hit = bytes.indexOf(looksFor, from);
    if (hit === -1) return;
    while ((ends[index] as number) <= hit) index += 1;
    yield index;
    from = ends[index] as number;
  }
}
