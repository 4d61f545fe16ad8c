/** Kafka's batches of records, version 2: what a produce request has, and a fetch answers with. */
import { assert } from "@waybill/core";
import { BrokerError, type FetchedRecord, type ProduceRequest } from "../broker.ts";
import type { Library } from "./library.ts";

/** Of a batch, in bytes: where its parts begin. */
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_DELTA_AT = 23;
const FIRST_TIME_AT = 27;
const MAX_TIME_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const SEQUENCE_AT = 53;
const COUNT_AT = 57;
const RECORDS_AT = 61;
/** What comes before the part that the length counts. */
const HEAD_BYTES = 12;

const MAGIC = 2;
const COMPRESSION = 0b111;
const LOG_APPEND_TIME = 0b1000;
const CONTROL = 0b10_0000;
/** Length of a key or a value that is not there; an id, an epoch or a number that is not given. */
const ABSENT = -1;
/** Attributes, time and offset deltas, key, value and headers' lengths, a record's length. */
const RECORD_OVERHEAD_BYTES = 24;

type Crypto = Pick<Library, "crc32c" | "DynamicBuffer">;

export type Records = Pick<ProduceRequest, "values" | "keys">;

/** What {@link encodeBatch} needs at most. */
export function batchMaxBytes({ values, keys = [] }: Records): number {
  let bytes = RECORDS_AT;
  for (const value of values) bytes += value.length + RECORD_OVERHEAD_BYTES;
  for (const key of keys) bytes += Buffer.byteLength(key);
  return bytes;
}

export interface BatchOptions {
  readonly nowMs: number;
  /** Is overwritten. Default: memory of its own. */
  readonly target?: Buffer;
}

/** One batch, not compressed; the broker puts its own time. */
export function encodeBatch(records: Records, { nowMs, target }: BatchOptions, library: Crypto): Buffer {
  const { values, keys } = records;
  const batch = target ?? Buffer.allocUnsafe(batchMaxBytes(records));
  let at = RECORDS_AT;
  for (let index = 0; index < values.length; index++) {
    const key = keys?.[index];
    const value = values[index] as Uint8Array;
    at = writeRecord(batch, at, { index, key: key === undefined ? undefined : Buffer.from(key), value });
  }
  batch.writeBigInt64BE(0n, 0);
  batch.writeInt32BE(at - HEAD_BYTES, LENGTH_AT);
  batch.writeInt32BE(ABSENT, HEAD_BYTES);
  batch.writeInt8(MAGIC, MAGIC_AT);
  batch.writeInt16BE(0, ATTRIBUTES_AT);
  batch.writeInt32BE(values.length - 1, LAST_DELTA_AT);
  batch.writeBigInt64BE(BigInt(nowMs), FIRST_TIME_AT);
  batch.writeBigInt64BE(BigInt(nowMs), MAX_TIME_AT);
  batch.writeBigInt64BE(BigInt(ABSENT), PRODUCER_ID_AT);
  batch.writeInt16BE(ABSENT, PRODUCER_EPOCH_AT);
  batch.writeInt32BE(ABSENT, SEQUENCE_AT);
  batch.writeInt32BE(values.length, COUNT_AT);
  const whole = batch.subarray(0, at);
  whole.writeUInt32BE(checksum(whole.subarray(ATTRIBUTES_AT), library), CRC_AT);
  return whole;
}

interface NewRecord {
  readonly index: number;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array;
}

function writeRecord(target: Buffer, at: number, { index, key, value: given }: NewRecord): number {
  // What removes a key has no value at all.
  const value = key !== undefined && given.length === 0 ? undefined : given;
  // Attributes 0, time delta 0, offset delta, key, value, no headers.
  const length = 1 + 1 + sizeOfVarint(index) + sizeOfBytes(key) + sizeOfBytes(value) + 1;
  let to = writeVarint(target, at, length);
  target[to++] = 0;
  target[to++] = 0;
  to = writeVarint(target, to, index);
  to = writeBytes(target, to, key);
  to = writeBytes(target, to, value);
  target[to++] = 0;
  return to;
}

export interface Decoded {
  readonly records: readonly FetchedRecord[];
  /** After the last batch that is there as a whole, whatever it has; `undefined`: none is. */
  readonly next: number | undefined;
}

/**
 * Records from `from` on. A batch may begin before it; the last one may be cut by the limit of the
 * request and is left out. **Errors**: `invalid` for one that does not match its checksum.
 */
export function decodeBatches(bytes: Buffer, from: number, library: Library): Decoded {
  const records: FetchedRecord[] = [];
  let next: number | undefined;
  for (let at = 0; bytes.length - at >= RECORDS_AT; ) {
    const length = HEAD_BYTES + bytes.readInt32BE(at + LENGTH_AT);
    if (length > bytes.length - at) break;
    const batch = bytes.subarray(at, at + length);
    const first = Number(batch.readBigInt64BE(0));
    check(batch, first, library);
    next = first + batch.readInt32BE(LAST_DELTA_AT) + 1;
    const attributes = batch.readInt16BE(ATTRIBUTES_AT);
    // Marks of other producers' transactions have no events.
    if ((attributes & CONTROL) === 0)
      for (const record of recordsOf(batch, first, library)) if (record.offset >= from) records.push(record);
    at += length;
  }
  return { records, next };
}

function check(batch: Buffer, first: number, library: Crypto): void {
  const magic = batch.readInt8(MAGIC_AT);
  if (magic !== MAGIC) throw new BrokerError("unsupported", `the batch at offset ${first} is of version ${magic}`);
  if (batch.readUInt32BE(CRC_AT) !== checksum(batch.subarray(ATTRIBUTES_AT), library))
    throw new BrokerError("invalid", `the batch at offset ${first} does not match its checksum`);
}

function checksum(bytes: Buffer, { crc32c, DynamicBuffer }: Crypto): number {
  // The library would copy what it does not know as its own buffer.
  return crc32c(new DynamicBuffer(bytes));
}

function* recordsOf(batch: Buffer, first: number, library: Library): Generator<FetchedRecord> {
  const attributes = batch.readInt16BE(ATTRIBUTES_AT);
  const firstMs = Number(batch.readBigInt64BE(FIRST_TIME_AT));
  const maxMs = Number(batch.readBigInt64BE(MAX_TIME_AT));
  const isAppendTime = (attributes & LOG_APPEND_TIME) !== 0;
  const reader = new VarintReader(decompress(batch.subarray(RECORDS_AT), attributes & COMPRESSION, library));
  for (let left = batch.readInt32BE(COUNT_AT); left > 0; left--) {
    const length = reader.varint();
    const end = reader.at + length;
    reader.at += 1;
    const timeDelta = reader.varint();
    const offsetDelta = reader.varint();
    const keyBytes = reader.varint();
    const key = reader.bytes(keyBytes);
    const value = reader.bytes(reader.varint());
    // Headers are not ours.
    reader.at = end;
    yield {
      offset: first + offsetDelta,
      appendedAtMs: isAppendTime ? maxMs : firstMs + timeDelta,
      ...(keyBytes < 0 ? {} : { key: key.toString() }),
      value,
    };
  }
}

function decompress(bytes: Buffer, bits: number, { compressionsAlgorithmsByBitmask: algorithms }: Library): Buffer {
  if (bits === 0) return bytes;
  const algorithm = (algorithms as Readonly<Record<number, { decompressSync(from: Buffer): Buffer }>>)[bits];
  if (algorithm === undefined) throw new BrokerError("unsupported", `compression ${bits} of a topic is not known`);
  try {
    return algorithm.decompressSync(bytes);
  } catch (error) {
    throw new BrokerError("unsupported", `a compressed topic cannot be read: ${(error as Error).message}`);
  }
}

class VarintReader {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Zigzag; exact up to 2^53. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.at++];
      assert(byte !== undefined, "a record ends within its batch");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 0x80;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** None when `length` is negative. */
  bytes(length: number): Buffer {
    const from = this.at;
    this.at += Math.max(0, length);
    return this.#bytes.subarray(from, this.at);
  }
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

/** With its length; of one that is absent the length alone. */
function sizeOfBytes(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 1 : sizeOfVarint(bytes.length) + bytes.length;
}

function writeBytes(target: Buffer, at: number, bytes: Uint8Array | undefined): number {
  const to = writeVarint(target, at, bytes?.length ?? ABSENT);
  if (bytes === undefined) return to;
  target.set(bytes, to);
  return to + bytes.length;
}

function writeVarint(target: Buffer, at: number, value: number): number {
  let to = at;
  let rest = zigzag(value);
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) target[to++] = (rest % 0x80) | 0x80;
  target[to++] = rest;
  return to;
}
