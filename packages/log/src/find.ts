/** Finds bytes in the log without decoding what lies between: as fast as the disk, or memory, gives them. */
import type { Disk, DiskFile } from "@waybill/core";
import { decodeRecord, RECORD_ALIGNMENT, RECORD_MAX_BYTES, SEGMENT_HEADER_BYTES } from "./record.ts";
import { readFully } from "./segment.ts";
import type { FoundEvent, LogRecord } from "./types.ts";

const WINDOW_BYTES = 4 * 1024 * 1024;
const MAGIC = Buffer.from("WBR1", "latin1");
/** How far before a hit its record's beginning is looked for, step by step. */
const LOOK_BACK_BYTES = [64 * 1024, 4 * 1024 * 1024, RECORD_MAX_BYTES];

/** Every place of a segment where the bytes of `needle` stand, in order. */
export async function* findInSegment(
  disk: Disk,
  path: string,
  sizeBytes: number,
  needle: Buffer,
): AsyncGenerator<FoundEvent> {
  const file = await disk.open(path);
  try {
    for await (const offset of offsetsOf(file, sizeBytes, needle)) {
      const found = await recordAround(file, offset, needle.length, sizeBytes);
      if (found !== undefined) yield found;
    }
  } finally {
    await file.close();
  }
}

/** Where `needle` begins; the next window is read while one is searched. */
async function* offsetsOf(file: DiskFile, size: number, needle: Buffer): AsyncGenerator<number> {
  const memory = [Buffer.allocUnsafeSlow(WINDOW_BYTES), Buffer.allocUnsafeSlow(WINDOW_BYTES)];
  const read = (at: number, turn: number): Promise<Buffer> =>
    readFully(file, at, Math.min(WINDOW_BYTES, size - at), memory[turn % 2]);
  const step = WINDOW_BYTES - needle.length + 1;
  let at = SEGMENT_HEADER_BYTES;
  if (at >= size) return;
  let next = read(at, 0);
  for (let turn = 0; ; turn++) {
    const window = await next;
    const more = at + step < size && window.length === WINDOW_BYTES;
    if (more) next = read(at + step, turn + 1);
    for (let hit = window.indexOf(needle); hit !== -1; hit = window.indexOf(needle, hit + 1)) yield at + hit;
    if (!more) return;
    at += step;
  }
}

async function recordAround(
  file: DiskFile,
  offset: number,
  length: number,
  size: number,
): Promise<FoundEvent | undefined> {
  for (const span of LOOK_BACK_BYTES) {
    const from = Math.max(SEGMENT_HEADER_BYTES, offset - span);
    const window = await readFully(file, from, offset + length - from);
    for (let hit = window.lastIndexOf(MAGIC); hit !== -1; hit = hit === 0 ? -1 : window.lastIndexOf(MAGIC, hit - 1)) {
      const at = from + hit;
      if (at % RECORD_ALIGNMENT !== 0) continue;
      const record = await recordAt(file, at, size);
      // The magic may stand in an event's text; then no record begins there, or one that ends before.
      if (record === undefined || at + record.sizeBytes <= offset) continue;
      return { record, index: eventAt(record, offset - at) };
    }
    if (from === SEGMENT_HEADER_BYTES) return undefined;
  }
  return undefined;
}

async function recordAt(file: DiskFile, at: number, size: number): Promise<LogRecord | undefined> {
  let decoded = decodeRecord(Buffer.alloc(0), 0, size - at);
  // Once for the header, once for the whole.
  for (let tries = 0; tries < 2 && decoded.status === "short"; tries++)
    decoded = decodeRecord(await readFully(file, at, decoded.bytes), 0, size - at);
  return decoded.status === "record" ? decoded.record : undefined;
}

/** The event that holds byte `offset` of the record, which begins its memory. */
function eventAt({ body, ends }: LogRecord, offset: number): number | undefined {
  const inBody = offset - body.byteOffset;
  if (inBody < 0 || inBody >= body.length) return undefined;
  const index = ends.findIndex((end) => inBody < end);
  return index === -1 ? undefined : index;
}
