/**
 * Finds bytes in a partition: looks into each record that the broker has, also into those before
 * the place at which the log was opened. They are counted from the first one on that has the bytes.
 */
import type { FindOptions, FoundEvent, LogRecord, Position } from "@waybill/log";
import { BrokerError, type Offset } from "./broker.ts";
import type { Checkpoint } from "./counting.ts";
import { CLOCKS_DIFFER_MS } from "./duplicates.ts";
import type { PartitionReader } from "./partition-reader.ts";
import type { ReadRecord, Source } from "./source.ts";

const READ_BYTES = 1024 * 1024;

interface Searched {
  readonly checkpoint: Checkpoint;
  placeOf(offset: Offset): Promise<Checkpoint>;
  reader(from: { readonly position: Position }): PartitionReader;
}

/** **Errors**: those of a reader. */
export async function* findInPartition(
  { log, source }: { readonly log: Searched; readonly source: Source },
  needle: Buffer,
  options: FindOptions,
): AsyncGenerator<FoundEvent> {
  const offset = await firstWith(needle, { source, end: log.checkpoint.offset, ...options });
  if (offset === undefined) return;
  const { untilMs = Number.POSITIVE_INFINITY, signal } = options;
  const reader = log.reader({ position: (await log.placeOf(offset)).position });
  try {
    for (;;) {
      if (signal?.aborted === true) return;
      const records = await reader.read(READ_BYTES);
      if (records.length === 0) return;
      for (const record of records) {
        if (record.appendedAtMs > untilMs + CLOCKS_DIFFER_MS) return;
        yield* eventsIn(record, needle);
      }
    }
  } finally {
    await reader.close();
  }
}

interface Search extends FindOptions {
  readonly source: Source;
  /** What comes from there on was not read yet. */
  readonly end: Offset;
}

/** Looks without counting: as a rule little is found, and what is before it may be long. */
async function firstWith(
  needle: Buffer,
  { source, end, sinceMs, untilMs = Number.POSITIVE_INFINITY, signal }: Search,
): Promise<Offset | undefined> {
  const at = sinceMs === undefined ? "first" : { atMs: Math.max(0, sinceMs - CLOCKS_DIFFER_MS) };
  let offset = await source.retrying("looking for a time", () => source.offsetAt(at));
  while (offset < end && signal?.aborted !== true) {
    for (const one of await recordsFrom(source, offset)) {
      if (one.offset >= end || one.appendedAtMs > untilMs + CLOCKS_DIFFER_MS) return undefined;
      if (one.records.some((record) => holds(record, needle))) return one.offset;
      offset = one.offset + 1;
    }
  }
  return undefined;
}

/** At least one. Where retention was faster, what it has left. */
async function recordsFrom(source: Source, offset: Offset): Promise<readonly ReadRecord[]> {
  for (let from = offset; ; ) {
    try {
      const at = from;
      return await source.retrying("searching", async () => {
        const { records } = await source.fetch(at, READ_BYTES);
        if (records.length === 0) throw new BrokerError("unreachable", "the broker has nothing where records were");
        return records;
      });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      const first = await source.retrying("looking for the first record", () => source.offsetAt("first"));
      if (first <= from) throw source.refusal("searching", error);
      from = first;
    }
  }
}

function holds({ source, metadata, body }: LogRecord, needle: Buffer): boolean {
  return bytesBeside({ source, metadata }).includes(needle) || bytesOf(body).includes(needle);
}

/** The events that hold the needle; before them once what is beside the events. */
function* eventsIn(record: LogRecord, needle: Buffer): Generator<FoundEvent> {
  const { body, ends } = record;
  if (bytesBeside(record).includes(needle)) yield { record, index: undefined };
  const bytes = bytesOf(body);
  let index = 0;
  for (let from = 0; from < bytes.length; ) {
    const hit = bytes.indexOf(needle, from);
    if (hit === -1) return;
    while ((ends[index] as number) <= hit) index += 1;
    yield { record, index };
    from = ends[index] as number;
  }
}

function bytesBeside({ source, metadata }: Pick<LogRecord, "source" | "metadata">): Buffer {
  return Buffer.from(`${source}\n${metadata}`);
}

function bytesOf(body: Uint8Array): Buffer {
  return Buffer.from(body.buffer, body.byteOffset, body.length);
}
