/** Finds bytes in a partition: reads all of it, and looks into each record. */
import type { FindOptions, FoundEvent, Log, LogRecord } from "@waybill/log";
import type { PartitionRecord } from "./counting.ts";
import { CLOCKS_DIFFER_MS } from "./duplicates.ts";

const READ_BYTES = 1024 * 1024;

export async function* findInPartition(
  log: Log,
  needle: Buffer,
  { sinceMs, untilMs = Number.POSITIVE_INFINITY, signal }: FindOptions,
): AsyncGenerator<FoundEvent> {
  const reader = log.reader({ position: sinceMs === undefined ? log.first : log.positionAt(sinceMs) });
  try {
    for (;;) {
      if (signal?.aborted === true) return;
      const records = (await reader.read(READ_BYTES)) as readonly PartitionRecord[];
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

/** The events that hold the needle; before them once what is beside the events. */
function* eventsIn(record: LogRecord, needle: Buffer): Generator<FoundEvent> {
  const { body, ends, source, metadata } = record;
  if (Buffer.from(`${source}\n${metadata}`).includes(needle)) yield { record, index: undefined };
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  let index = 0;
  for (let from = 0; from < bytes.length; ) {
    const hit = bytes.indexOf(needle, from);
    if (hit === -1) return;
    while ((ends[index] as number) <= hit) index += 1;
    yield { record, index };
    from = ends[index] as number;
  }
}
