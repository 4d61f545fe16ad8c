/**
 * Finds bytes in the log without decoding what lies between: as fast as the disk, or memory, gives
 * them.
 *
 * Windows are read one after another and searched. For a hit the record around it is looked for,
 * from the hit back, but never before the end of the last record that was found: so every byte is
 * looked at a few times at most, however often the bytes occur. Each record is decoded once, each
 * event is found once.
 */
import type { DiskFile } from "@waybill/core";
import type { SegmentSource } from "./reader.ts";
import { decodeRecord, RECORD_ALIGNMENT, RECORD_MAX_BYTES, SEGMENT_HEADER_BYTES } from "./record.ts";
import { readFully } from "./segment.ts";
import type { FindOptions, FoundEvent, LogRecord } from "./types.ts";

/** The next one is read while one is searched; between two others have their turn. */
const WINDOW_BYTES = 512 * 1024;
const MAGIC = Buffer.from("WBR1", "latin1");
/** How far before a hit its record's beginning is looked for, step by step. */
const LOOK_BACK_BYTES = [64 * 1024, 4 * 1024 * 1024, RECORD_MAX_BYTES];

/** Of the segments that were written to in that time. **Errors**: `WAYBILL_DISK`. */
export async function* findInLog(
  { segments: all, disk, directory }: SegmentSource,
  needle: Buffer,
  { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY, signal }: FindOptions,
): AsyncGenerator<FoundEvent> {
  const segments = [...all];
  for (const [index, segment] of segments.entries()) {
    const endedAtMs = segments[index + 1]?.createdAtMs ?? Number.POSITIVE_INFINITY;
    if (endedAtMs < sinceMs || segment.createdAtMs > untilMs) continue;
    if (signal?.aborted === true) return;
    const file = await disk.open(`${directory}/${segment.name}`).catch((error: unknown) => {
      // Retention may have taken it since.
      if (all.includes(segment)) throw error;
    });
    if (file !== undefined) yield* findInSegment(file, segment.sizeBytes, needle, signal);
  }
}

/**
 * Every event of a segment that holds the bytes of `needle`, in order; a record that has them
 * beside its events once more. Its bytes are valid until the next step.
 */
async function* findInSegment(
  file: DiskFile,
  sizeBytes: number,
  needle: Buffer,
  signal?: AbortSignal,
): AsyncGenerator<FoundEvent> {
  try {
    /** Nothing that holds a later hit begins before. */
    let floor = SEGMENT_HEADER_BYTES;
    for await (const { window, at } of windowsOf(file, sizeBytes, needle.length)) {
      if (signal?.aborted === true) return;
      for (;;) {
        const hit = window.indexOf(needle, Math.max(0, floor - at));
        if (hit === -1) break;
        const offset = at + hit;
        const found = await recordAround(file, { window, at }, { offset, floor, size: sizeBytes });
        floor = found === undefined ? offset + 1 : found.at + found.record.sizeBytes;
        if (found !== undefined) yield* eventsIn(found, needle, offset);
      }
    }
  } finally {
    await file.close();
  }
}

interface Window {
  readonly window: Buffer;
  /** Its place in the file. */
  readonly at: number;
}

/** They overlap by as much as a hit may be cut by their ends. */
async function* windowsOf(file: DiskFile, size: number, needleBytes: number): AsyncGenerator<Window> {
  const windowBytes = Math.max(WINDOW_BYTES, alignUp(2 * needleBytes));
  const memory = [Buffer.allocUnsafeSlow(windowBytes), Buffer.allocUnsafeSlow(windowBytes)];
  const read = (at: number, turn: number): Promise<Buffer> =>
    readFully(file, at, Math.min(windowBytes, size - at), memory[turn % 2]);
  // Aligned as records are, so that their tables can be read in place.
  const step = windowBytes - alignUp(needleBytes);
  let at = SEGMENT_HEADER_BYTES;
  if (at >= size) return;
  let next = read(at, 0);
  try {
    for (let turn = 0; ; turn++) {
      const window = await next;
      const more = at + step < size && window.length === windowBytes;
      if (more) next = read(at + step, turn + 1);
      yield { window, at };
      if (!more) return;
      at += step;
    }
  } finally {
    // The file is closed next: not under a read.
    await next.catch(() => undefined);
  }
}

function alignUp(bytes: number): number {
  return Math.ceil(bytes / RECORD_ALIGNMENT) * RECORD_ALIGNMENT;
}

interface Hit {
  readonly offset: number;
  readonly floor: number;
  /** Of the segment. */
  readonly size: number;
}

interface Around {
  readonly record: LogRecord;
  /** Where it begins in the file, and its body. */
  readonly at: number;
  readonly bodyAt: number;
}

/** The record that holds the hit: in the window, or in what is read from before it. */
async function recordAround(file: DiskFile, { window, at }: Window, hit: Hit): Promise<Around | undefined> {
  const inWindow = await recordBefore(file, { window, at }, hit);
  if (inWindow !== undefined || hit.floor >= at) return inWindow;
  let looked = at;
  for (const span of LOOK_BACK_BYTES) {
    const from = Math.max(hit.floor, hit.offset - span);
    if (from >= looked) continue;
    const before = await readFully(file, from, looked + MAGIC.length - from);
    const found = await recordBefore(file, { window: before, at: from }, hit);
    if (found !== undefined || from === hit.floor) return found;
    looked = from;
  }
  return undefined;
}

/** The record that begins in the window, at or after the floor, and holds the hit. */
async function recordBefore(file: DiskFile, { window, at }: Window, hit: Hit): Promise<Around | undefined> {
  const lowest = Math.max(0, hit.floor - at);
  let candidate = window.lastIndexOf(MAGIC, Math.min(hit.offset - at, window.length));
  while (candidate >= lowest) {
    const place = at + candidate;
    if (place % RECORD_ALIGNMENT === 0) {
      const found = await recordAt(file, { window, at }, place, hit.size);
      // An event's text may contain the magic; no record begins there. After a record that ends
      // before the hit there is only damage.
      if (found !== undefined) return place + found.record.sizeBytes > hit.offset ? found : undefined;
    }
    candidate = candidate === 0 ? -1 : window.lastIndexOf(MAGIC, candidate - 1);
  }
  return undefined;
}

async function recordAt(
  file: DiskFile,
  { window, at }: Window,
  place: number,
  size: number,
): Promise<Around | undefined> {
  let bytes = window;
  let from = place - at;
  let decoded = decodeRecord(bytes, from, size - place);
  // Cut by the window's end: once for the header, once for the whole.
  for (let tries = 0; tries < 2 && decoded.status === "short"; tries++) {
    bytes = await readFully(file, place, decoded.bytes);
    from = 0;
    decoded = decodeRecord(bytes, from, size - place);
  }
  if (decoded.status !== "record") return undefined;
  const { record } = decoded;
  return { record, at: place, bodyAt: place + record.body.byteOffset - bytes.byteOffset - from };
}

/**
 * The record's events that hold the needle; `offset` is that of the first hit, which may be before
 * the body.
 */
function* eventsIn({ record, bodyAt }: Around, needle: Buffer, offset: number): Generator<FoundEvent> {
  const { body, ends } = record;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (offset < bodyAt) yield { record, index: undefined };
  let index = 0;
  for (let from = 0; from < bytes.length; ) {
    const hit = bytes.indexOf(needle, from);
    if (hit === -1) return;
    while ((ends[index] as number) <= hit) index += 1;
    yield { record, index };
    from = ends[index] as number;
  }
}
