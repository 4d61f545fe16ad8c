import type { Disk, DiskFile } from "@waybill/core";
import { decodeRecord, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES } from "./record.ts";
import { readFully, type Segment, scanSegment } from "./segment.ts";
import type { Cursor, LogReader, LogRecord, Position } from "./types.ts";

/** What a reader sees of the log it reads. */
export interface SegmentSource {
  readonly directory: string;
  readonly disk: Disk;
  /** Oldest first; the last one grows. */
  readonly segments: readonly Segment[];
}

/** Reads durable records in order. Skips what is damaged and what retention has removed. */
export class Reader implements LogReader {
  readonly #source: SegmentSource;
  #position: Position;
  #byte: number | undefined;
  #segment: Segment | undefined;
  #file: DiskFile | undefined;
  #reading = false;
  /** The current segment was removed: close it, or its space never comes back. */
  #evicted = false;

  readonly #onClose: () => void;

  constructor(
    source: SegmentSource,
    from: { readonly position: Position; readonly byte?: number },
    onClose: () => void,
  ) {
    this.#source = source;
    this.#onClose = onClose;
    this.#position = from.position;
    this.#byte = from.byte;
  }

  get cursor(): Cursor {
    return { position: this.#position, byte: this.#byte ?? 0 };
  }

  async read(maxBytes: number, memory?: Buffer): Promise<readonly LogRecord[]> {
    this.#reading = true;
    try {
      return await this.#read(maxBytes, memory);
    } finally {
      this.#reading = false;
      if (this.#evicted) await this.#letGo();
    }
  }

  async close(): Promise<void> {
    this.#onClose();
    await this.#release();
  }

  async #release(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#segment = undefined;
    await file?.close();
  }

  /** Called by the log when it has removed or replaced `segment`. */
  async evict(segment: Segment): Promise<void> {
    if (this.#segment !== segment) return;
    this.#evicted = true;
    if (!this.#reading) await this.#letGo();
  }

  async #letGo(): Promise<void> {
    this.#evicted = false;
    this.#byte = undefined;
    await this.#release();
  }

  async #read(maxBytes: number, memory: Buffer | undefined): Promise<readonly LogRecord[]> {
    if (this.#byte === undefined || !(await this.#enter(this.#byte))) await this.#search();
    for (;;) {
      const segment = this.#segment;
      if (segment === undefined || this.#file === undefined || this.#byte === undefined) return [];
      const offset = this.#byte - segment.startByte;
      if (offset < segment.sizeBytes) {
        const records = await this.#readHere(this.#file, segment, { offset, maxBytes, memory });
        if (records.length > 0) return records;
        continue;
      }
      const next = this.#source.segments.find((candidate) => candidate.base > segment.base);
      if (next === undefined) return [];
      if (!(await this.#open(next, next.startByte + SEGMENT_HEADER_BYTES))) await this.#search();
    }
  }

  /** Whole records from `offset` on; none when only damage was found, which is then passed. */
  async #readHere(
    file: DiskFile,
    segment: Segment,
    wanted: { readonly offset: number; readonly maxBytes: number; readonly memory: Buffer | undefined },
  ): Promise<readonly LogRecord[]> {
    const { maxBytes, memory } = wanted;
    let { offset } = wanted;
    const limit = segment.sizeBytes - offset;
    let bytes = await readFully(file, offset, Math.min(limit, Math.max(maxBytes, RECORD_HEADER_BYTES)), memory);
    // Positions belong to one segment: what is here and belongs to the next one was never
    // acknowledged.
    const ends = this.#source.segments.find(({ base }) => base > segment.base)?.base ?? Number.POSITIVE_INFINITY;
    const records: LogRecord[] = [];
    let at = 0;
    while (at < limit) {
      const decoded = decodeRecord(bytes, at, limit - at);
      if (decoded.status === "short") {
        if (records.length > 0 || bytes.length < Math.min(limit, maxBytes)) break;
        bytes = await readFully(file, offset + at, decoded.bytes);
        offset += at;
        at = 0;
        if (bytes.length < decoded.bytes) break;
      } else if (decoded.status === "record") {
        const { record } = decoded;
        if (record.first >= ends) {
          at = limit;
          break;
        }
        at += record.sizeBytes;
        // A search by position may begin a little before it.
        if (record.first + record.count > this.#position) records.push(record);
      } else {
        at = Math.min(limit, at + (await this.#damageAt(file, offset + at, segment.sizeBytes)));
        break;
      }
    }
    // The file is shorter than it was: nothing more can be read of this segment.
    if (at === 0) at = limit;
    this.#byte = segment.startByte + offset + at;
    const last = records.at(-1);
    if (last !== undefined) this.#position = last.first + last.count;
    return records;
  }

  /** Bytes up to the next whole record of the segment. */
  async #damageAt(file: DiskFile, offset: number, end: number): Promise<number> {
    for await (const found of scanSegment(file, offset, end))
      return found.kind === "damaged" ? Math.max(found.bytes, RECORD_ALIGNMENT) : 0;
    return end - offset;
  }

  /** Goes to logical byte `byte`; `false` if no segment holds it. */
  async #enter(byte: number): Promise<boolean> {
    const current = this.#segment;
    if (current !== undefined && this.#file !== undefined) return true;
    const segment = this.#source.segments.findLast((candidate) => candidate.startByte + SEGMENT_HEADER_BYTES <= byte);
    if (segment === undefined || byte > segment.startByte + segment.sizeBytes) return false;
    if (segment.base > this.#position || !(await this.#open(segment, byte))) return false;
    return this.#holdsPosition(segment, byte);
  }

  /**
   * Whether the record at `byte` is the one that holds our position, or could be: it is after the
   * last one.
   */
  async #holdsPosition(segment: Segment, byte: number): Promise<boolean> {
    const offset = byte - segment.startByte;
    if (offset === segment.sizeBytes) return true;
    if (offset % RECORD_ALIGNMENT !== 0 || this.#file === undefined) return false;
    for await (const found of scanSegment(this.#file, offset, segment.sizeBytes)) {
      if (found.kind !== "record") return false;
      return found.record.first <= this.#position && this.#position < found.record.first + found.record.count;
    }
    return false;
  }

  /** Finds the record that holds our position, or the next one there is. */
  async #search(): Promise<void> {
    for (;;) {
      const { segments } = this.#source;
      const segment = segments.findLast((candidate) => candidate.base <= this.#position) ?? segments[0];
      if (segment === undefined) return;
      if (await this.#open(segment, segment.startByte + SEGMENT_HEADER_BYTES)) return this.#searchIn(segment);
    }
  }

  async #searchIn(segment: Segment): Promise<void> {
    const file = this.#file as DiskFile;
    for await (const found of scanSegment(file, SEGMENT_HEADER_BYTES, segment.sizeBytes)) {
      if (found.kind !== "record") continue;
      this.#byte = segment.startByte + found.offset;
      if (found.record.first + found.record.count > this.#position) return;
      this.#byte += found.record.sizeBytes;
    }
  }

  /**
   * False when the segment was removed or replaced before it could be opened. **Errors**:
   * `WAYBILL_DISK`.
   */
  async #open(segment: Segment, byte: number): Promise<boolean> {
    if (this.#segment !== segment || this.#file === undefined) {
      await this.#release();
      try {
        this.#file = await this.#source.disk.open(`${this.#source.directory}/${segment.name}`);
      } catch (error) {
        if (this.#source.segments.includes(segment)) throw error;
        return false;
      }
      if (!this.#source.segments.includes(segment)) {
        await this.#release();
        return false;
      }
      this.#segment = segment;
    }
    this.#byte = byte;
    return true;
  }
}
