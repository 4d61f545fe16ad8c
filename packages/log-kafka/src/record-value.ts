/**
 * The value of a Kafka record: one record of the log, byte for byte as `record.ts` of
 * `@waybill/log` describes it. Its field `first` is 0 in the topic of an environment, where
 * positions are counted, and the writer's own head in companion topics (see `counting.ts`).
 */
import { decodeWhole, type Entry, encodeRecord, type LogRecord, type Position, sizeEntry } from "@waybill/log";

/** **Errors**: `WAYBILL_EVENT` when the entry is over a limit of the format or not well formed. */
export function encodeValue(entry: Entry, first: Position = 0): Uint8Array {
  return encodeRecord(sizeEntry(entry), first);
}

/**
 * The record as views of `value`; `undefined` for what we did not write, or what is not whole. It
 * depends on the bytes alone, so that all relays count alike.
 */
export function decodeValue(value: Uint8Array): LogRecord | undefined {
  return decodeWhole(value);
}
