/**
 * The ids an environment has stored, kept over restarts: a duplicate that comes after a crash is
 * still known as one.
 *
 * Nothing is looked up on disk. Every 8,192 positions of the log their ids' hashes go to a file of
 * their own (128 KiB, written once, never synced); a start fills the window from the files of the
 * last `maxIds` events and reads from the log what no whole file covers, as a rule fewer than 8,192
 * events. A file that is missing or damaged costs time at the next start, never an event.
 *
 * Before retention takes events that no whole file has, what is there of theirs is kept in a file
 * that ends in `.part` and is synced: of the events that the log still has, the log is read.
 *
 * A file is named by its first position, 20 digits, `.ids`; numbers are little-endian:
 *
 *   0   8  "WBIDS1\0\0"
 *   8   4  CRC-32 of the seed and of bytes 16 to the end
 *  12   4  zeros
 *  16   8  when its newest event was received, epoch ms (a double)
 *  24      8,192 x 16 bytes: the hash of the id at each position; zeros for an event whose id the
 *          relay made
 */
import { crc32 } from "node:zlib";
import type { Clock, Disk, Random } from "@waybill/core";
import { type Log, type LogRecord, makeDirectoryInPlace, type Position } from "@waybill/log";
import { HASH_WORDS, type IdHashes, type IdRange, IdWindow } from "./id-window.ts";

/** Where an event's id is: in the record's body, or in bytes of its own. */
export interface StoredId extends IdRange {
  readonly bytes?: Uint8Array;
}

export interface StoredIdsOptions {
  readonly directory: string;
  readonly runtime: { readonly disk: Disk; readonly clock: Clock; readonly random: Random };
  readonly log: Log;
  readonly windowMs: number;
  readonly maxIds: number;
  /** Where the ids of a record's events are, and which scope its source has. */
  readonly idsOf: (record: LogRecord) => { readonly scope: number; readonly ids: readonly StoredId[] };
}

const IDS_PER_FILE = 8_192;
const HASH_BYTES = 4 * HASH_WORDS;
const HEADER_BYTES = 24;
const FILE_BYTES = HEADER_BYTES + IDS_PER_FILE * HASH_BYTES;
/** Answers that overtake each other fill two at once. */
const CHUNKS_MAX = 4;
const MAGIC = Buffer.from("WBIDS1\0\0", "latin1");
const CHECKED_FROM = 16;
const SEED_BYTES = 16;
const READ_BYTES = 1024 * 1024;
const WHOLE = ".ids";
const PART = ".part";
const NAME = /^(\d{20})(\.ids|\.part)$/;

type Suffix = typeof WHOLE | typeof PART;

/** What will be one file. */
interface Chunk {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  filled: number;
  newestAtMs: number;
}

export class StoredIds {
  readonly window: IdWindow;
  readonly #options: StoredIdsOptions;
  readonly #seed: Uint8Array;
  /** By first position. Two at most, but for answers that overtake each other. */
  readonly #chunks = new Map<Position, Chunk>();
  readonly #files = new Set<Position>();
  readonly #parts = new Set<Position>();
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: StoredIdsOptions, seed: Uint8Array) {
    const { windowMs, maxIds } = options;
    this.#options = options;
    this.#seed = seed;
    this.window = new IdWindow({
      windowMs,
      maxIds,
      seed: new Uint32Array(seed.buffer, seed.byteOffset, HASH_WORDS),
      nowMs: Number.NEGATIVE_INFINITY,
    });
  }

  /** Opens what is in `options.directory` and fills the window. **Errors**: `WAYBILL_DISK`. */
  static async open(options: StoredIdsOptions): Promise<StoredIds> {
    await makeDirectoryInPlace(options.runtime.disk, options.directory);
    const stored = new StoredIds(options, await openSeed(options));
    await stored.#restore();
    return stored;
  }

  /** Notes that the events of these hashes are stored from `first` on. */
  stored(first: Position, hashes: IdHashes, receivedAtMs: number): void {
    const count = hashes.words.length / HASH_WORDS;
    for (let index = 0; index < count; ) {
      const position = first + index;
      const place = position % IDS_PER_FILE;
      const taken = Math.min(count - index, IDS_PER_FILE - place);
      const chunk = this.#chunkAt(position - place);
      chunk.words.set(hashes.words.subarray(index * HASH_WORDS, (index + taken) * HASH_WORDS), place * HASH_WORDS);
      chunk.filled += taken;
      chunk.newestAtMs = Math.max(chunk.newestAtMs, receivedAtMs);
      if (chunk.filled === IDS_PER_FILE) this.#finish(position - place, chunk);
      index += taken;
    }
  }

  /** Removes the files whose ids no start would take up again. */
  async retain(): Promise<void> {
    const { log, maxIds } = this.#options;
    const isOld = (base: Position): boolean => base + IDS_PER_FILE <= log.head - maxIds;
    for (const base of [...this.#files].filter(isOld)) await this.#remove(base, WHOLE);
    for (const base of [...this.#parts].filter(isOld)) await this.#remove(base, PART);
  }

  /**
   * Before the log loses what is before `to`: keeps the ids that only it has, durably.
   * **Errors**: `WAYBILL_DISK`; then a start does not know them.
   */
  async removing(to: Position): Promise<void> {
    const { directory, runtime } = this.#options;
    for (const [base, chunk] of this.#chunks) {
      if (base >= to) continue;
      const path = this.#pathOf(base, PART);
      // What a full disk, or a crash, has left.
      await runtime.disk.remove(`${path}.new`).catch(() => undefined);
      await keep(runtime.disk, `${path}.new`, this.#sealed({ ...chunk, bytes: Buffer.from(chunk.bytes) }), true);
      await runtime.disk.rename(`${path}.new`, path);
      await runtime.disk.syncDirectory(directory);
      this.#parts.add(base);
    }
  }

  async #remove(base: Position, suffix: Suffix): Promise<void> {
    (suffix === WHOLE ? this.#files : this.#parts).delete(base);
    await this.#options.runtime.disk.remove(this.#pathOf(base, suffix)).catch(() => undefined);
  }

  #pathOf(base: Position, suffix: Suffix): string {
    return `${this.#options.directory}/${nameOf(base, suffix)}`;
  }

  close(): Promise<void> {
    return this.#writing;
  }

  #chunkAt(base: Position): Chunk {
    let chunk = this.#chunks.get(base);
    if (chunk === undefined) {
      // Where events without ids come between, a chunk is never full: the next start reads the log
      // there.
      if (this.#chunks.size >= CHUNKS_MAX) this.#chunks.delete(Math.min(...this.#chunks.keys()));
      const bytes = Buffer.alloc(FILE_BYTES);
      const words = new Uint32Array(bytes.buffer, bytes.byteOffset + HEADER_BYTES, IDS_PER_FILE * HASH_WORDS);
      chunk = { bytes, words, filled: 0, newestAtMs: 0 };
      this.#chunks.set(base, chunk);
    }
    return chunk;
  }

  #finish(base: Position, chunk: Chunk): void {
    this.#chunks.delete(base);
    this.#writing = this.#writing
      .then(() => this.#write(base, chunk))
      // The next start reads these events from the log instead.
      .catch(() => undefined);
  }

  async #write(base: Position, chunk: Chunk): Promise<void> {
    await keep(this.#options.runtime.disk, this.#pathOf(base, WHOLE), this.#sealed(chunk));
    this.#files.add(base);
  }

  #sealed({ bytes, newestAtMs }: Pick<Chunk, "bytes" | "newestAtMs">): Buffer {
    MAGIC.copy(bytes, 0);
    bytes.writeDoubleLE(newestAtMs, 16);
    bytes.writeUInt32LE(this.#checksum(bytes), 8);
    return bytes;
  }

  #checksum(bytes: Buffer): number {
    return crc32(bytes.subarray(CHECKED_FROM), crc32(this.#seed));
  }

  async #restore(): Promise<void> {
    const { log, maxIds } = this.#options;
    await this.#findFiles();
    const from = Math.max(0, log.head - maxIds);
    let readTo = from;
    for (let base = from - (from % IDS_PER_FILE); base < log.head; base += IDS_PER_FILE) {
      const chunk = this.#files.has(base) ? await this.#load(base, WHOLE) : undefined;
      if (chunk === undefined) {
        if (this.#parts.has(base)) await this.#takePart(base);
        continue;
      }
      await this.#readLog(readTo, base);
      readTo = base + IDS_PER_FILE;
      this.#take(chunk, base, IDS_PER_FILE);
    }
    await this.#readLog(readTo, log.head);
    // Where events were damaged or removed no file can be made.
    for (const base of this.#chunks.keys()) if (base + IDS_PER_FILE <= log.head) this.#chunks.delete(base);
  }

  /** Takes the ids of the first `count` events of a file. */
  #take({ words, newestAtMs }: Chunk, base: Position, count: number): void {
    const { runtime, windowMs } = this.#options;
    if (newestAtMs < runtime.clock.now() - windowMs) return;
    const hashes = { scope: 0, words };
    for (let index = 0; index < count; index++)
      if (words[index * HASH_WORDS] !== 0) this.window.add(hashes, index, newestAtMs, base + index);
  }

  /** Of a file that is not whole, the ids of events that the log has no more. */
  async #takePart(base: Position): Promise<void> {
    const count = Math.min(IDS_PER_FILE, this.#options.log.first - base);
    const part = count > 0 ? await this.#load(base, PART) : undefined;
    if (part === undefined) return this.#remove(base, PART);
    this.#take(part, base, count);
    // With the others, which are read from the log, it may be a whole file.
    const chunk = this.#chunkAt(base);
    chunk.words.set(part.words.subarray(0, count * HASH_WORDS));
    chunk.filled = count;
    chunk.newestAtMs = part.newestAtMs;
  }

  /**
   * Which files there are. What speaks of positions that the log has not (any more) is removed:
   * they will be given anew.
   */
  async #findFiles(): Promise<void> {
    const { directory, runtime, log } = this.#options;
    for (const name of await runtime.disk.list(directory)) {
      const file = fileOf(name);
      if (file === undefined) continue;
      const { base, suffix } = file;
      if (suffix === PART && base < log.head) this.#parts.add(base);
      else if (suffix === WHOLE && base + IDS_PER_FILE <= log.head) this.#files.add(base);
      else await this.#remove(base, suffix);
    }
  }

  /** The ids of a file; a damaged one is removed. */
  async #load(base: Position, suffix: Suffix): Promise<Chunk | undefined> {
    const bytes = Buffer.alloc(FILE_BYTES);
    const got = await readStart(this.#options.runtime.disk, this.#pathOf(base, suffix), bytes);
    if (got === FILE_BYTES && bytes.readUInt32LE(8) === this.#checksum(bytes) && bytes.readDoubleLE(16) >= 0)
      return {
        bytes,
        words: new Uint32Array(bytes.buffer, bytes.byteOffset + HEADER_BYTES, IDS_PER_FILE * HASH_WORDS),
        filled: IDS_PER_FILE,
        newestAtMs: bytes.readDoubleLE(16),
      };
    await this.#remove(base, suffix);
    return undefined;
  }

  /** Takes the ids of the events from `from` up to, not including, `to` from the log itself. */
  async #readLog(from: Position, to: Position): Promise<void> {
    if (from >= to) return;
    const reader = this.#options.log.reader({ position: from });
    try {
      for (;;) {
        const records = await reader.read(READ_BYTES);
        for (const record of records) {
          if (record.first >= to) return;
          this.#takeRecord(record, Math.max(0, from - record.first), Math.min(record.count, to - record.first));
        }
        if (records.length === 0) return;
      }
    } finally {
      await reader.close();
    }
  }

  /** None of a record whose body is not what any protocol stores. */
  #idsOf(record: LogRecord): ReturnType<StoredIdsOptions["idsOf"]> {
    try {
      return this.#options.idsOf(record);
    } catch {
      return { scope: 0, ids: [] };
    }
  }

  /** Takes the ids of events `start` to `end - 1` of the record. */
  #takeRecord(record: LogRecord, start: number, end: number): void {
    const { scope, ids } = this.#idsOf(record);
    const hashes = { scope, words: new Uint32Array((end - start) * HASH_WORDS) };
    for (let index = 0; index < end - start; index++) {
      const id = ids[start + index];
      if (id === undefined || id.idStart < 0) continue;
      this.window.hash(id.bytes ?? record.body, id, hashes, index);
      this.window.add(hashes, index, record.receivedAtMs, record.first + start + index);
    }
    this.stored(record.first + start, hashes, record.receivedAtMs);
  }
}

/** `undefined` for a name that is not one of ours. */
function fileOf(name: string): { readonly base: Position; readonly suffix: Suffix } | undefined {
  const [, digits, suffix] = NAME.exec(name) ?? [];
  const base = Number(digits);
  const isOurs = Number.isSafeInteger(base) && base % IDS_PER_FILE === 0;
  return isOurs ? { base, suffix: suffix as Suffix } : undefined;
}

/** How many bytes were read; none of a file that cannot be. */
async function readStart(disk: Disk, path: string, target: Uint8Array): Promise<number> {
  try {
    const file = await disk.open(path);
    try {
      return await file.read(target, 0);
    } finally {
      await file.close();
    }
  } catch {
    return 0;
  }
}

function nameOf(base: Position, suffix: Suffix): string {
  return `${String(base).padStart(20, "0")}${suffix}`;
}

/**
 * The secret of the hashes. Without it the files say nothing: one that cannot be kept costs the
 * next start a look into the log.
 */
async function openSeed({ directory, runtime }: StoredIdsOptions): Promise<Uint8Array> {
  const { disk, random } = runtime;
  const path = `${directory}/seed`;
  const bytes = Buffer.alloc(SEED_BYTES + 4);
  if ((await disk.list(directory)).includes("seed")) {
    const got = await readStart(disk, path, bytes);
    if (got === bytes.length && bytes.readUInt32LE(SEED_BYTES) === crc32(bytes.subarray(0, SEED_BYTES)))
      return bytes.subarray(0, SEED_BYTES);
    await disk.remove(path).catch(() => undefined);
  }
  random.fill(bytes.subarray(0, SEED_BYTES));
  bytes.writeUInt32LE(crc32(bytes.subarray(0, SEED_BYTES)), SEED_BYTES);
  const kept = keep(disk, path, bytes, true).then(() => disk.syncDirectory(directory));
  await kept.catch(() => undefined);
  return bytes.subarray(0, SEED_BYTES);
}

async function keep(disk: Disk, path: string, bytes: Uint8Array, durable = false): Promise<void> {
  const file = await disk.open(path, { create: true });
  try {
    await file.write([bytes], 0);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}
