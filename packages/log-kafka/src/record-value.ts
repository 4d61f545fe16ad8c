/**
 * The value of a Kafka record: records of the log, byte for byte as `record.ts` of `@waybill/log`
 * describes them. One in the topic of an environment, where positions are counted: its field
 * `first` is 0. One or more in companion topics, from the writer's own head on (see `counting.ts`).
 */
import { decodeAll, type Entry, encodeRecord, type LogRecord, type Position, sizeEntry } from "@waybill/log";

/** **Errors**: `WAYBILL_EVENT` when the entry is over a limit of the format or not well formed. */
export function encodeValue(entry: Entry, first: Position = 0): Uint8Array {
  return encodeRecord(sizeEntry(entry), first);
}

/** The only record of a value, as views of it; `undefined` for what is something else. */
export function decodeValue(value: Uint8Array): LogRecord | undefined {
  const records = decodeAll(value);
  return records.length === 1 ? records[0] : undefined;
}
