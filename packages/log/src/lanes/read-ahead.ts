import type { Log, LogReader, LogRecord, Position } from "../types.ts";

/**
 * Read at once from a backlog: a little more than a batch, so that the next one is in memory when
 * this one is answered.
 */
const READ_BYTES = 768 * 1024;
/** What a lane that is bound by latency has in memory at most, read ahead and on its way. */
const LANE_MAX_BYTES = 16 * 1024 * 1024;
/** However large the batches are: with fewer, a lane is still bound by latency. */
const STRANDS_MIN = 8;
/** Of all lanes that share one {@link ReadMemory}. */
const ALL_MAX_BYTES = 64 * 1024 * 1024;
/** A lane may always read so much at once. */
const READ_MIN_BYTES = 16 * 1024;

/**
 * What all lanes together have read ahead or on their way: at most 64 MiB, and one record for each
 * lane where that is larger. Half of it is divided evenly, so that no lane is kept from reading by
 * others; the other half is for who comes first. After a start a lane reads as far as what it had
 * planned before, in any case.
 */
export class ReadMemory {
  readonly #maxBytes: number;
  #lanes = 0;
  #held = 0;

  constructor(maxBytes: number = ALL_MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  join(): void {
    this.#lanes += 1;
  }

  leave(): void {
    this.#lanes -= 1;
  }

  /** Of all lanes. */
  get held(): number {
    return this.#held;
  }

  /** How many bytes a lane that has `held` may read now; 0 for none. */
  room(held: number, wanted: number): number {
    const half = this.#maxBytes / 2;
    const most = this.#held < half ? LANE_MAX_BYTES : Math.floor(half / Math.max(1, this.#lanes));
    const room = Math.min(wanted, most - held);
    return room < READ_MIN_BYTES ? 0 : room;
  }

  hold(bytes: number): void {
    this.#held += bytes;
  }
}

interface Chunk {
  /** Memory to be used again; `undefined` for a read that got its own. */
  readonly buffer: Buffer | undefined;
  readonly bytes: number;
  /** The position after its last event. */
  readonly end: Position;
}

/**
 * Reads a lane's log ahead, and holds the memory of what it read until it is settled. That of a
 * backlog is used again: fresh memory for each read would cause long garbage collections, which
 * ingest requests would notice.
 */
export class ReadAhead {
  readonly #log: Log;
  readonly #memory: ReadMemory;
  #reader: LogReader | undefined;
  #from: { readonly position: Position; readonly byte: number };
  /** Oldest first. */
  readonly #chunks: Chunk[] = [];
  #spare: Buffer[] = [];
  #held = 0;
  /** Where each record in memory begins in the log. */
  readonly #beginsAt = new WeakMap<LogRecord, number>();

  constructor(log: Log, memory: ReadMemory, from: { readonly position: Position; readonly byte: number }) {
    this.#log = log;
    this.#memory = memory;
    this.#from = from;
    memory.join();
  }

  /** Where the next record begins. */
  get byte(): number {
    return this.#reader?.cursor.byte ?? this.#from.byte;
  }

  /** Whether there is room to read on. A lane that holds nothing has. */
  get hasRoom(): boolean {
    return this.#held === 0 || this.#memory.room(this.#held, READ_BYTES) > 0;
  }

  /**
   * How many strands with batches of so many bytes, and as much again after each, there is room
   * for.
   */
  strandsOf(batchBytes: number): number {
    return Math.max(STRANDS_MIN, Math.floor(LANE_MAX_BYTES / (2 * batchBytes)));
  }

  /** Bytes that batches should have at most, so that `strands` of them and their successors fit. */
  batchBytes(strands: number): number {
    const mostBytes = Math.min(LANE_MAX_BYTES, this.#held + this.#memory.room(this.#held, LANE_MAX_BYTES));
    return Math.max(READ_MIN_BYTES, Math.floor(mostBytes / (2 * strands)));
  }

  /** Where a record that was read begins. */
  beginOf(record: LogRecord): number | undefined {
    return this.#beginsAt.get(record);
  }

  /** The next records; none at the head. **Errors**: `WAYBILL_DISK`. */
  async read(): Promise<readonly LogRecord[]> {
    this.#reader ??= this.#log.reader(this.#from);
    const reader = this.#reader;
    const waits = this.#log.headByte - reader.cursor.byte;
    const bytes = Math.max(READ_MIN_BYTES, this.#memory.room(this.#held, READ_BYTES));
    const buffer =
      waits < READ_BYTES || bytes < READ_BYTES ? undefined : (this.#spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES));
    const records = await reader.read(bytes, buffer);
    const last = records.at(-1);
    const size = records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    // Where the records begin is known from where they end.
    let byte = reader.cursor.byte - size;
    for (const record of records) {
      this.#beginsAt.set(record, byte);
      byte += record.sizeBytes;
    }
    if (last !== undefined) {
      this.#chunks.push({ buffer, bytes: buffer?.length ?? size, end: last.first + last.count });
      this.#hold(buffer?.length ?? size);
    }
    return records;
  }

  /** Everything before `position` is settled: its memory is used again. */
  recycle(position: Position): void {
    while (this.#chunks[0] !== undefined && this.#chunks[0].end <= position) {
      const { buffer, bytes } = this.#chunks.shift() as Chunk;
      if (buffer !== undefined) this.#spare.push(buffer);
      this.#hold(-bytes);
    }
    // Caught up: an idle lane holds no memory.
    if (this.#chunks.length === 0) this.#spare = [];
  }

  /** Nothing before `position` is to be read any more. Not during a read. */
  async skipTo(position: Position): Promise<void> {
    const reader = this.#reader;
    // Where its record begins is found when it is read.
    this.#from = { position, byte: this.byte };
    this.#reader = undefined;
    await reader?.close();
  }

  async close(): Promise<void> {
    this.#hold(-this.#held);
    this.#memory.leave();
    await this.#reader?.close();
  }

  #hold(bytes: number): void {
    this.#memory.hold(bytes);
    this.#held += bytes;
  }
}
