import type { Disk, DiskFile } from "@waybill/core";
import {
  decodeRecord,
  decodeSegmentHeader,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "./record.ts";
import type { LogRecord, Position } from "./types.ts";

/** What the log knows of one segment file. */
export interface Segment {
  readonly name: string;
  readonly base: Position;
  /** Logical byte of the file's first byte. */
  readonly startByte: number;
  readonly createdAtMs: number;
  /** Durable bytes in the file; what follows was never acknowledged. */
  sizeBytes: number;
}

const NAME_DIGITS = 20;
const SUFFIX = ".log";
/** Read at once while scanning. */
const SCAN_BYTES = 1024 * 1024;

export function segmentName(base: Position): string {
  return `${String(base).padStart(NAME_DIGITS, "0")}${SUFFIX}`;
}

export function isSegmentName(name: string): boolean {
  return name.length === NAME_DIGITS + SUFFIX.length && /^\d+\.log$/.test(name) && Number.isSafeInteger(baseOf(name));
}

/** The position in a segment's name. */
export function baseOf(name: string): Position {
  return Number(name.slice(0, NAME_DIGITS));
}

/**
 * The header of a segment; when it is damaged, what can be known without it: the base is in the
 * name, and `fallback` is where the segment before it ended. `undefined` when the file is too short
 * to have ever held a record.
 */
export async function readSegmentHeader(
  file: DiskFile,
  name: string,
  fallback: { readonly startByte: number; readonly createdAtMs: number },
): Promise<(SegmentHeader & { readonly isDamaged?: true }) | undefined> {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  if ((await file.read(bytes, 0)) < SEGMENT_HEADER_BYTES) return undefined;
  return decodeSegmentHeader(bytes) ?? { base: baseOf(name), ...fallback, isDamaged: true };
}

export type Scanned =
  | { readonly kind: "record"; readonly offset: number; readonly record: LogRecord }
  /**
   * No whole record begins here; the next one does at `offset + bytes`, or none does up to the end.
   */
  | { readonly kind: "damaged"; readonly offset: number; readonly bytes: number };

/**
 * Walks a segment from byte `from` to byte `to`, whole records and damage in turn, in constant
 * memory (or that of the largest record). A record's bytes are valid until the next step.
 */
export async function* scanSegment(file: DiskFile, from: number, to: number): AsyncGenerator<Scanned> {
  let window: Buffer = Buffer.alloc(0);
  let windowAt = from;
  let offset = from;
  let damagedFrom: number | undefined;
  while (offset < to) {
    const decoded = decodeRecord(window, offset - windowAt, to - offset);
    if (decoded.status === "short") {
      const wanted = Math.min(to - offset, Math.max(decoded.bytes, SCAN_BYTES));
      window = await readFully(file, offset, wanted);
      windowAt = offset;
      if (window.length >= decoded.bytes) continue;
      // The file is shorter than it should be: what is missing is damage.
      damagedFrom ??= offset;
      break;
    }
    if (decoded.status === "record") {
      if (damagedFrom !== undefined) yield { kind: "damaged", offset: damagedFrom, bytes: offset - damagedFrom };
      damagedFrom = undefined;
      yield { kind: "record", offset, record: decoded.record };
      offset += decoded.record.sizeBytes;
    } else {
      damagedFrom ??= offset;
      offset += RECORD_ALIGNMENT;
      if (to - offset < RECORD_HEADER_BYTES) break;
    }
  }
  if (damagedFrom !== undefined) yield { kind: "damaged", offset: damagedFrom, bytes: to - damagedFrom };
}

/** Opens a segment, hands it to `use`, closes it. */
export async function withFile<T>(disk: Disk, path: string, use: (file: DiskFile) => Promise<T>): Promise<T> {
  const file = await disk.open(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** `bytes` bytes from `position`, fewer only at the end of the file; in `memory` if they fit. */
export async function readFully(file: DiskFile, position: number, bytes: number, memory?: Buffer): Promise<Buffer> {
  // Else memory of its own (not of Node's shared pool): views of it outlive this call, and its
  // alignment is certain.
  const target =
    memory !== undefined && bytes <= memory.length ? memory.subarray(0, bytes) : Buffer.allocUnsafeSlow(bytes);
  const got = await file.read(target, position);
  return got === bytes ? target : target.subarray(0, got);
}
