import type { Clock } from "@waybill/core";
import type { Log, LogRecord, Position } from "@waybill/log";
import { isNamed, type NamesFilter, wantsNames } from "../delivery/event-names.ts";
import { type SharedTurns, Turns } from "../delivery/turns.ts";

const READ_BYTES = 256 * 1024;
/**
 * Lines are passed on in chunks of this size: what is made at once stays small, whatever a record
 * holds.
 */
const CHUNK_CHARACTERS = 64 * 1024;
/** A tail that is later than this goes on at the end: it shows what happens, not what was. */
const LATE_MAX_EVENTS = 10_000;

/** Looking into events takes at most a fifth of the time, however many come; of all tails half. */
const REST_MS = 20;

export interface TailFilter extends NamesFilter {
  readonly environment: string;
  readonly source?: string;
}

export interface TailOptions {
  readonly clock: Clock;
  /** Gets server-sent events, and resolves when its reader has taken them. */
  readonly emit: (text: string) => Promise<unknown>;
  readonly signal: AbortSignal;
  /** Of an event. Default: its position is enough. */
  readonly receiptAt?: ((position: Position) => string) | undefined;
  /** With what else is read for people to look at. */
  readonly shared?: SharedTurns;
}

/**
 * Shows durable events as they come, from the log itself: a watcher costs reads, never a part of an
 * accept. A slow watcher is read more slowly and holds nothing up; one that falls back misses
 * events, and learns how many.
 * Runs until `signal` aborts.
 */
export async function tail(log: Log, filter: TailFilter, options: TailOptions): Promise<void> {
  const { clock, emit, signal, shared, receiptAt } = options;
  let reader = log.reader({ position: log.head, byte: log.headByte });
  let wake = (): void => undefined;
  const stopListening = log.onCommit(() => wake());
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort, { once: true });
  const turns = new Turns(clock, { restMs: REST_MS, shared });
  try {
    while (!signal.aborted) {
      const committed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const records = await reader.read(READ_BYTES);
      for (const record of records) {
        if (filter.source !== undefined && record.source !== filter.source) continue;
        for (const chunk of chunksOf(record, filter, receiptAt)) {
          if (signal.aborted) return;
          if (chunk !== "") await emit(chunk);
          await turns.yield();
        }
      }
      const { position } = reader.cursor;
      const { head, headByte } = log;
      if (head - position > LATE_MAX_EVENTS) {
        await reader.close();
        reader = log.reader({ position: head, byte: headByte });
        await emit(skippedText(filter.environment, head - position));
      } else if (records.length === 0 && !signal.aborted) await committed;
    }
  } finally {
    stopListening();
    signal.removeEventListener("abort", onAbort);
    await reader.close();
  }
}

function skippedText(environment: string, events: number): string {
  return `event: skipped\ndata: ${JSON.stringify({ environment, events })}\n\n`;
}

/** "" after some events that are not shown: others may want their turn. */
function* chunksOf(record: LogRecord, filter: TailFilter, receiptAt: TailOptions["receiptAt"]): Generator<string> {
  const { source, receivedAtMs, body, ends, metadata } = record;
  const { environment } = filter;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const wants = wantsNames(filter);
  let chunk = "";
  let start = 0;
  for (const [index, end] of ends.entries()) {
    const line = eventLine(bytes.subarray(start, end));
    start = end + 1;
    if (wants && !isNamed(line, metadata, filter)) {
      yield "";
      continue;
    }
    const position = record.first + index;
    // What is undefined is left out.
    const receipt = receiptAt?.(position);
    const fields = JSON.stringify({ environment, source, position, receivedAtMs, receipt });
    chunk += `data: ${fields.slice(0, -1)},"event":${line}}\n\n`;
    if (!wants && chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}

/**
 * An event's bytes as they are, on one line: parsing them could change a number. Line ends in JSON
 * are white space.
 */
export function eventLine(event: Uint8Array): string {
  return Buffer.from(event.buffer, event.byteOffset, event.length)
    .toString()
    .replaceAll(/[\r\n]+/g, " ");
}
