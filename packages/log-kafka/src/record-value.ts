/**
 * The value of a Kafka record: records of the log, byte for byte as `record.ts` of `@waybill/log`
 * describes them. One in the topic of an environment, where positions are counted: its field
 * `first` is 0. One or more in companion topics, from the writer's own head on (see `counting.ts`).
 *
 * Where a request has an id and its events none, the record's metadata ends with a NUL, the number
 * of its first event, a space and the request's id.
 */
import {
  decodeAll,
  type Entry,
  encodeRecord,
  type LogRecord,
  type Position,
  type SizedEntry,
  sizeEntry,
  writeRecord,
} from "@waybill/log";
import { slicedEntry } from "./entry-parts.ts";

/** The id of each event: `prefix`, a space and its number, which for the first one is `first`. */
export interface NumberedIds {
  readonly prefix: string;
  readonly first: number;
}

export interface StoredRecord extends LogRecord {
  readonly numbered?: NumberedIds;
}

const MARK = "\0";

/** **Errors**: `WAYBILL_EVENT` when the entry is over a limit of the format or not well formed. */
export function encodeValue(entry: Entry, first: Position = 0): Uint8Array {
  return encodeRecord(sizeEntry(entry), first);
}

/** A value, and what {@link decodeValue} finds in it. */
export interface EncodedValue {
  readonly value: Uint8Array;
  readonly record: StoredRecord;
}

/** **Errors**: as of {@link encodeValue}. */
export function encodedValue(entry: Entry): EncodedValue {
  const sized = sizeEntry(entry);
  return writeValue(sized, Buffer.allocUnsafeSlow(sized.sizeBytes), 0);
}

/**
 * Into `memory` at `at`, where the body, in one piece, is already in its place. **Errors**: as of
 * {@link encodeValue}.
 */
export function encodeAround(entry: Entry, memory: Buffer, at: number): EncodedValue {
  return writeValue(sizeEntry(entry), memory, at);
}

function writeValue(sized: SizedEntry, memory: Buffer, at: number): EncodedValue {
  writeRecord(sized, 0, memory, at);
  const { entry, headBytes, bodyBytes, sizeBytes } = sized;
  const value = memory.subarray(at, at + sizeBytes);
  const body = value.subarray(headBytes, headBytes + bodyBytes);
  const { source, receivedAtMs, metadata, ends } = entry;
  const record = { first: 0, count: ends.length, source, receivedAtMs, ...split(metadata), body, ends, sizeBytes };
  return { value, record };
}

/** The records of a value; none for what is something else. */
export function decodeRecords(value: Uint8Array): readonly StoredRecord[] {
  const records = decodeAll(value);
  if (!records.some(({ metadata }) => metadata.includes(MARK))) return records;
  return records.map((record) => ({ ...record, ...split(record.metadata) }));
}

/** The only record of a value, as views of it; `undefined` for what is something else. */
export function decodeValue(value: Uint8Array): StoredRecord | undefined {
  const records = decodeRecords(value);
  return records.length === 1 ? records[0] : undefined;
}

export function withNumberedIds(entry: Entry, { prefix, first }: NumberedIds): Entry {
  return { ...entry, metadata: `${entry.metadata}${MARK}${first} ${prefix}` };
}

/** The events `start` to `end - 1`, with the ids that they have in the whole. */
export function slicedWithIds(entry: Entry, start: number, end: number): Entry {
  const { metadata, numbered } = split(entry.metadata);
  const slice = slicedEntry(entry, start, end);
  return numbered === undefined
    ? slice
    : withNumberedIds({ ...slice, metadata }, { ...numbered, first: numbered.first + start });
}

function split(stored: string): Pick<StoredRecord, "metadata" | "numbered"> {
  const at = stored.indexOf(MARK);
  if (at < 0) return { metadata: stored };
  const [, first, prefix] = /^(\d{1,9}) (.*)$/s.exec(stored.slice(at + 1)) ?? [];
  if (first === undefined || prefix === undefined) return { metadata: stored };
  return { metadata: stored.slice(0, at), numbered: { prefix, first: Number(first) } };
}
