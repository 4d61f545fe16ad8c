/**
 * The bytes of the log, format version 1. All numbers are little-endian; 64-bit ones stay below
 * 2^53.
 *
 * A segment file is named by the position of its first event, 20 digits, `.log`. It begins with a
 * header of 64 bytes:
 *
 *   0   8  "WAYBILL\0"
 *   8   4  format version, 1
 *  12   4  CRC-32 of bytes 0 to 11 and 16 to 63
 *  16   8  base: the position of the first event
 *  24   8  start: bytes of all segments before this one, headers included, removed ones too
 *  32   8  created at, epoch ms
 *  40   4  partition, 0
 *  44  20  zeros
 *
 * Records follow, each beginning at a multiple of 8:
 *
 *   0   4  "WBR1"
 *   4   4  length of the record in bytes, this header and the padding at its end included: a
 *          multiple of 8
 *   8   4  CRC-32 of the head: bytes 12 up to the body
 *  12   4  number of events n, at least 1
 *  16   8  position of the first event
 *  24   8  received at, epoch ms
 *  32   2  bytes of source
 *  34   2  padding at the end, 0 to 7
 *  36   4  bytes of metadata
 *  40   4  CRC-32 of the body
 *  44   4  zeros
 *  48      source, metadata (UTF-8), zeros up to a multiple of 4
 *          n x 4: for each event the byte of the body after its last one
 *          body: the events, separated by commas; zeros up to a multiple of 8
 *
 * A record is whole when its magic, length and both CRCs agree. The body has one of its own, so
 * that it can be computed when the entry comes, while the wave before it is being synced. The
 * alignment lets the table of ends be read in place, and lets the search for the next record after
 * damage look at every eighth byte only.
 */
import { crc32 } from "node:zlib";
import { WaybillError } from "@waybill/core";
import type { Entry, LogRecord, Position } from "./types.ts";

export const SEGMENT_HEADER_BYTES = 64;
export const RECORD_HEADER_BYTES = 48;
export const RECORD_ALIGNMENT = 8;
/** Larger records are refused when written and taken for damage when read. */
export const RECORD_MAX_BYTES: number = 64 * 1024 * 1024;
const METADATA_MAX_BYTES: number = 1024 * 1024;
const SOURCE_MAX_BYTES = 1024;
/**
 * A body in more pieces is joined: to sum, copy and write each of a hundred thousand costs far more
 * than its bytes.
 */
const PIECES_MAX = 64;

const SEGMENT_MAGIC: Buffer = Buffer.from("WAYBILL\0", "latin1");
const FORMAT_VERSION = 1;
const RECORD_MAGIC = Buffer.from("WBR1", "latin1").readUInt32LE(0);
const CRC_START = 12;
const TWO_32 = 0x1_0000_0000;
const LONE_SURROGATE = /\p{Surrogate}/u;
const PADDING = Buffer.alloc(RECORD_ALIGNMENT);

export interface SegmentHeader {
  readonly base: Position;
  readonly startByte: number;
  readonly createdAtMs: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  SEGMENT_MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  writeUInt64(bytes, header.base, 16);
  writeUInt64(bytes, header.startByte, 24);
  writeUInt64(bytes, header.createdAtMs, 32);
  bytes.writeUInt32LE(headerChecksum(bytes), 12);
  return bytes;
}

/** Covers the version too: a turned bit in it is damage, not a format of the future. */
function headerChecksum(bytes: Buffer): number {
  return crc32(bytes.subarray(16, SEGMENT_HEADER_BYTES), crc32(bytes.subarray(0, 12)));
}

/** The format that a header tells, also one that is not known; `undefined` when it is not whole. */
export function segmentFormat(bytes: Buffer): number | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES) return undefined;
  if (!bytes.subarray(0, SEGMENT_MAGIC.length).equals(SEGMENT_MAGIC)) return undefined;
  return bytes.readUInt32LE(12) === headerChecksum(bytes) ? bytes.readUInt32LE(8) : undefined;
}

/** `undefined` when the bytes are not a whole header. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  const version = segmentFormat(bytes);
  if (version === undefined) return undefined;
  if (version !== FORMAT_VERSION)
    throw new WaybillError(
      "WAYBILL_LOG_DAMAGED",
      `The log has format version ${version}; this program reads ${FORMAT_VERSION}`,
      {
        hint: "Read it with the version of Waybill that wrote it.",
      },
    );
  const header = {
    base: readUInt64(bytes, 16),
    startByte: readUInt64(bytes, 24),
    createdAtMs: readUInt64(bytes, 32),
  };
  return Object.values(header).every((value) => Number.isSafeInteger(value)) ? header : undefined;
}

/** An entry whose sizes are known, ready to be given a position and written. */
export interface SizedEntry {
  readonly entry: Entry;
  /** As in the entry, or joined into one piece where there were very many. */
  readonly body: readonly Uint8Array[];
  readonly sourceBytes: number;
  readonly metadataBytes: number;
  readonly bodyBytes: number;
  /** Bytes before the body. */
  readonly headBytes: number;
  readonly paddingBytes: number;
  readonly sizeBytes: number;
  readonly bodyCrc: number;
}

/**
 * Measures an entry and checks all of it, so that nothing can go wrong with it later, among the
 * entries of others.
 *
 * **Errors**: `WAYBILL_EVENT` when it is over a limit of the format (reason `size`) or cannot be
 * written as it is (`invalid`).
 */
export function sizeEntry(entry: Entry, metadataMaxBytes: number = METADATA_MAX_BYTES): SizedEntry {
  let bodyBytes = 0;
  for (const piece of entry.body) bodyBytes += piece.length;
  const sizes = sizesOf(entry, entry.ends.length, bodyBytes);
  const { sourceBytes, metadataBytes, headBytes, sizeBytes } = sizes;
  // Only what has more bytes than characters can have half a character.
  const isAscii = sourceBytes === entry.source.length && metadataBytes === entry.metadata.length;
  const fault = faultOf(entry, bodyBytes, isAscii);
  if (fault !== undefined)
    throw new WaybillError("WAYBILL_EVENT", `A record cannot be stored: ${fault}`, { reason: "invalid" });
  if (sourceBytes > SOURCE_MAX_BYTES || metadataBytes > metadataMaxBytes || sizeBytes > RECORD_MAX_BYTES)
    throw new WaybillError(
      "WAYBILL_EVENT",
      `A record of ${sizeBytes} bytes with ${metadataBytes} bytes of metadata is too large for the log`,
      {
        reason: "size",
        hint: `At most ${RECORD_MAX_BYTES} bytes a request, ${metadataMaxBytes} of them beside the events.`,
      },
    );
  const paddingBytes = sizeBytes - headBytes - bodyBytes;
  const body = entry.body.length > PIECES_MAX ? [Buffer.concat(entry.body, bodyBytes)] : entry.body;
  let bodyCrc = 0;
  for (const piece of body) bodyCrc = crc32(piece, bodyCrc);
  return { entry, body, sourceBytes, metadataBytes, bodyBytes, headBytes, paddingBytes, sizeBytes, bodyCrc };
}

/** Of a record of so many events. Nothing is checked. */
export function sizesOf(
  { source, metadata }: Pick<Entry, "source" | "metadata">,
  count: number,
  bodyBytes: number,
): Pick<SizedEntry, "sourceBytes" | "metadataBytes" | "headBytes" | "sizeBytes"> {
  const sourceBytes = Buffer.byteLength(source);
  const metadataBytes = metadata === "" ? 0 : Buffer.byteLength(metadata);
  const headBytes = alignUp(RECORD_HEADER_BYTES + sourceBytes + metadataBytes, 4) + 4 * count;
  return { sourceBytes, metadataBytes, headBytes, sizeBytes: alignUp(headBytes + bodyBytes, RECORD_ALIGNMENT) };
}

/** What about the entry could not be read back as it was given. */
function faultOf(
  { source, metadata, ends, receivedAtMs }: Entry,
  bodyBytes: number,
  isAscii: boolean,
): string | undefined {
  if (!isAscii && (LONE_SURROGATE.test(source) || LONE_SURROGATE.test(metadata)))
    return "its source or metadata is not well-formed text";
  if (!Number.isSafeInteger(receivedAtMs) || receivedAtMs < 0) return `it was received at ${receivedAtMs}`;
  return endsCover(ends, bodyBytes) ? undefined : "its events do not cover its body";
}

/** Whether the events, each at least a comma after the one before, are the whole body. */
function endsCover(ends: Uint32Array, bodyBytes: number): boolean {
  let before = -1;
  for (let index = 0; index < ends.length; index++) {
    const end = ends[index] as number;
    if (end <= before) return false;
    before = end;
  }
  return before === bodyBytes;
}

/** Writes the part of the record that precedes its body into `target` at `at`. */
export function encodeHead(sized: SizedEntry, first: Position, target: Buffer, at: number): void {
  const { entry, sourceBytes, metadataBytes, headBytes } = sized;
  target.writeUInt32LE(RECORD_MAGIC, at);
  target.writeUInt32LE(sized.sizeBytes, at + 4);
  target.writeUInt32LE(entry.ends.length, at + 12);
  writeUInt64(target, first, at + 16);
  writeUInt64(target, entry.receivedAtMs, at + 24);
  target.writeUInt16LE(sourceBytes, at + 32);
  target.writeUInt16LE(sized.paddingBytes, at + 34);
  target.writeUInt32LE(metadataBytes, at + 36);
  target.writeUInt32LE(sized.bodyCrc, at + 40);
  target.writeUInt32LE(0, at + 44);
  let offset = at + RECORD_HEADER_BYTES;
  offset += target.write(entry.source, offset);
  if (metadataBytes > 0) offset += target.write(entry.metadata, offset);
  const endsAt = at + headBytes - 4 * entry.ends.length;
  while (offset < endsAt) target[offset++] = 0;
  for (let index = 0; index < entry.ends.length; index++)
    target.writeUInt32LE(entry.ends[index] as number, endsAt + 4 * index);
  target.writeUInt32LE(crc32(target.subarray(at + CRC_START, at + headBytes)), at + 8);
}

export function paddingOf(sized: SizedEntry): Buffer {
  return PADDING.subarray(0, sized.paddingBytes);
}

/** A record on its own, where there are no segments. */
export function encodeRecord(sized: SizedEntry, first: Position): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(sized.sizeBytes);
  writeRecord(sized, first, bytes, 0);
  return bytes;
}

/** The same into `target` at `at`. A body may be where it belongs already. */
export function writeRecord(sized: SizedEntry, first: Position, target: Buffer, at: number): void {
  encodeHead(sized, first, target, at);
  let to = at + sized.headBytes;
  for (const piece of sized.body) {
    target.set(piece, to);
    to += piece.length;
  }
  target.fill(0, to, at + sized.sizeBytes);
}

/**
 * The records that `value` is as a whole, one after another with their positions; views of it. None
 * when any of it is something else.
 */
export function decodeAll(value: Uint8Array): readonly LogRecord[] {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const records: LogRecord[] = [];
  let next: Position | undefined;
  for (let at = 0; at < bytes.length; ) {
    const decoded = decodeRecord(bytes, at, bytes.length - at);
    if (decoded.status !== "record" || (next !== undefined && decoded.record.first !== next)) return [];
    records.push(decoded.record);
    at += decoded.record.sizeBytes;
    next = decoded.record.first + decoded.record.count;
  }
  return records;
}

export type Decoded =
  | { readonly status: "record"; readonly record: LogRecord }
  /** The record needs `bytes` bytes from its beginning; fewer were given. */
  | { readonly status: "short"; readonly bytes: number }
  | { readonly status: "damaged" };

/**
 * Reads the record at `at`. `limit` is how many bytes the segment has from there on: a record that
 * claims more is damaged. The record's `body` and `ends` are views of `bytes`.
 */
export function decodeRecord(bytes: Buffer, at: number, limit: number): Decoded {
  const given = bytes.length - at;
  if (limit < RECORD_HEADER_BYTES) return { status: "damaged" };
  if (given < RECORD_HEADER_BYTES) return { status: "short", bytes: RECORD_HEADER_BYTES };
  if (bytes.readUInt32LE(at) !== RECORD_MAGIC) return { status: "damaged" };
  const sizeBytes = bytes.readUInt32LE(at + 4);
  if (sizeBytes > limit || sizeBytes < RECORD_HEADER_BYTES || sizeBytes > RECORD_MAX_BYTES)
    return { status: "damaged" };
  if (sizeBytes % RECORD_ALIGNMENT !== 0) return { status: "damaged" };
  if (given < sizeBytes) return { status: "short", bytes: sizeBytes };
  const record = viewRecord(bytes, at, sizeBytes);
  return record === undefined ? { status: "damaged" } : { status: "record", record };
}

/** The position and count of a record, read from its header alone. */
function peekRecord(bytes: Buffer, at: number): { readonly first: Position; readonly receivedAtMs: number } {
  return { first: readUInt64(bytes, at + 16), receivedAtMs: readUInt64(bytes, at + 24) };
}

/** The record as views of `bytes`, or `undefined` when a checksum or a length does not agree. */
function viewRecord(bytes: Buffer, at: number, sizeBytes: number): LogRecord | undefined {
  const count = bytes.readUInt32LE(at + 12);
  const sourceBytes = bytes.readUInt16LE(at + 32);
  const metadataBytes = bytes.readUInt32LE(at + 36);
  const metadataAt = at + RECORD_HEADER_BYTES + sourceBytes;
  const endsAt = at + alignUp(RECORD_HEADER_BYTES + sourceBytes + metadataBytes, 4);
  const bodyAt = endsAt + 4 * count;
  const bodyEnd = at + sizeBytes - bytes.readUInt16LE(at + 34);
  if (bodyAt > bodyEnd || bytes.readUInt32LE(at + 8) !== crc32(bytes.subarray(at + CRC_START, bodyAt)))
    return undefined;
  const body = bytes.subarray(bodyAt, bodyEnd);
  if (bytes.readUInt32LE(at + 40) !== crc32(body)) return undefined;
  const { first, receivedAtMs } = peekRecord(bytes, at);
  const ends = endsView(bytes, endsAt, count);
  // A checksum shows that the bytes are unchanged, not that we wrote them.
  if (!endsCover(ends, body.length) || !Number.isSafeInteger(first + count) || !Number.isSafeInteger(receivedAtMs))
    return undefined;
  return {
    first,
    receivedAtMs,
    count,
    source: bytes.toString("utf8", at + RECORD_HEADER_BYTES, metadataAt),
    metadata: metadataBytes === 0 ? "" : bytes.toString("utf8", metadataAt, metadataAt + metadataBytes),
    body,
    ends,
    sizeBytes,
  };
}

function endsView(bytes: Buffer, at: number, count: number): Uint32Array {
  const offset = bytes.byteOffset + at;
  if (offset % 4 === 0) return new Uint32Array(bytes.buffer, offset, count);
  const copy = new Uint32Array(count);
  for (let index = 0; index < count; index++) copy[index] = bytes.readUInt32LE(at + 4 * index);
  return copy;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

function writeUInt64(target: Buffer, value: number, at: number): void {
  target.writeUInt32LE(value % TWO_32, at);
  target.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

function readUInt64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32;
}
