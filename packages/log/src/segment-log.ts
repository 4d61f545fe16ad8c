/**
 * The log on one machine's disk: segments, group commit, retention.
 *
 * A commit takes everything that waits (a wave), writes it after the last durable byte, syncs once,
 * then answers all of it. While it runs, the next wave gathers: the busier the log, the fewer syncs
 * an entry costs.
 *
 * Invariants:
 * - `head`, `headByte` and a segment's `sizeBytes` only ever cover synced bytes; readers look no
 *   further.
 * - Positions are given when a wave is written, so a wave that fails leaves no gap.
 * - After a failed write, but for lack of room, nobody knows which pages reached the disk. The
 *   segment is then sealed at its last durable byte and never written again; the next one records
 *   where it ended, so that whatever is left after that byte is never read.
 * - A segment's name is durable before its first record is written: created, header synced,
 *   directory synced.
 * - A segment is removed oldest first, so that the log stays contiguous whatever happens in
 *   between.
 * - An entry is checked before it may wait (`sizeEntry`) and encoded on its own (`WaveEncoder`):
 *   one that is bad is refused alone.
 * - Whatever waits is answered, and the next wave leaves, whatever was thrown.
 *
 * While storing fails the log tries again by itself, every second: it writes and syncs what a wave
 * would, after the last durable byte of the segment that the next append would go to, and cuts it
 * off again. So `lastError` is there for as long as an append would fail, and no longer.
 */

import { type Clock, type Disk, type DiskFile, type Timer, WaybillError } from "@waybill/core";
import { createInPlace } from "./aside.ts";
import { findInLog } from "./find.ts";
import { probeBytes } from "./probe-bytes.ts";
import { Reader, type SegmentSource } from "./reader.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, type SizedEntry, sizeEntry } from "./record.ts";
import { type Recovered, recover } from "./recover.ts";
import { retainedFrom } from "./retention.ts";
import { type Segment, segmentName } from "./segment.ts";
import { RETRY, refusalOf } from "./store-refusal.ts";
import type {
  Entry,
  FindOptions,
  FoundEvent,
  Log,
  LogOptions,
  LogReader,
  Position,
  RecoveryReport,
  RetentionLimits,
} from "./types.ts";
import { WAVE_MAX_BYTES, type Waiting, WaveEncoder } from "./wave.ts";

const SEGMENT_MAX_DEFAULT_BYTES = 64 * 1024 * 1024;
const PENDING_MAX_DEFAULT_BYTES = 64 * 1024 * 1024;
/** How often the disk is tried while storing fails. */
const PROBE_MS = 1_000;
/** A disk that has not answered for so long is taken for one that fails. */
const HUNG_MS = 5_000;
const SECOND_MS = 1_000;
/**
 * Opens the log in `options.directory`, creating it when there is none. **Errors**: `WAYBILL_DISK`;
 * never because of content.
 */
export async function openLog(
  options: LogOptions,
  runtime: { readonly disk: Disk; readonly clock: Clock },
): Promise<Log> {
  const { segments, head, report } = await recover(runtime.disk, options.directory);
  const newest = segments.at(-1);
  const file =
    newest === undefined
      ? undefined
      : await runtime.disk.open(`${options.directory}/${newest.name}`, { durable: true });
  return new SegmentLog(options, runtime, { segments, head, report, file });
}

class SegmentLog implements Log, SegmentSource {
  readonly directory: string;
  readonly disk: Disk;
  readonly segments: Segment[];
  readonly recovery: RecoveryReport;
  readonly #clock: Clock;
  readonly #segmentMaxBytes: number;
  readonly #pendingMaxBytes: number;
  readonly #metadataMaxBytes: number | undefined;
  readonly #readers = new Set<Reader>();
  readonly #listeners = new Set<() => void>();
  readonly #onRemoved = new Set<(first: Position) => void>();
  readonly #encoder = new WaveEncoder();
  readonly #onDefect: (error: unknown) => void;
  readonly #onSynced: ((durationMs: number) => void) | undefined;
  #head: Position;
  /**
   * The newest segment's file; `undefined` before the first append and after the segment was
   * sealed: the next append begins a new one.
   */
  #file: DiskFile | undefined;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #committing: Promise<void> | undefined;
  /** When the wave on its way left, on the monotonic clock. */
  #wroteAtMs = 0;
  #lastError: string | undefined;
  #lastFailedBytes = 0;
  #probing: Timer | undefined;
  /** Waves that failed; a barrier compares it. */
  #failures = 0;
  #closed = false;

  constructor(
    options: LogOptions,
    runtime: { readonly disk: Disk; readonly clock: Clock },
    { segments, head, report, file }: Recovered & { readonly file: DiskFile | undefined },
  ) {
    this.directory = options.directory;
    this.disk = runtime.disk;
    this.segments = segments;
    this.recovery = report;
    this.#clock = runtime.clock;
    this.#segmentMaxBytes = options.segmentMaxBytes ?? SEGMENT_MAX_DEFAULT_BYTES;
    this.#pendingMaxBytes = options.pendingMaxBytes ?? PENDING_MAX_DEFAULT_BYTES;
    this.#metadataMaxBytes = options.metadataMaxBytes;
    this.#onDefect = options.onDefect ?? (() => undefined);
    this.#onSynced = options.onSynced;
    this.#head = head;
    this.#file = file;
  }

  get head(): Position {
    return this.#head;
  }

  get first(): Position {
    return this.segments[0]?.base ?? this.#head;
  }

  get oldest(): Position {
    return this.first;
  }

  get headByte(): number {
    const newest = this.segments.at(-1);
    return newest === undefined ? 0 : newest.startByte + newest.sizeBytes;
  }

  get firstByte(): number {
    return this.segments[0]?.startByte ?? this.headByte;
  }

  get oldestAtMs(): number | undefined {
    return this.segments[0]?.createdAtMs;
  }

  get lastError(): string | undefined {
    if (this.#lastError !== undefined || this.#committing === undefined) return this.#lastError;
    const waitedMs = this.#clock.monotonic() - this.#wroteAtMs;
    return waitedMs < HUNG_MS ? undefined : `The disk has not answered for ${Math.floor(waitedMs / SECOND_MS)} s`;
  }

  append(entry: Entry): Promise<Position> {
    return new Promise((resolve, reject) => {
      const sized = this.#sized(entry);
      this.#reserve(sized.sizeBytes);
      this.#waiting.push({ sized, resolve, reject });
      this.#committing ??= this.#commitAll();
    });
  }

  async appendAll(entries: readonly Entry[]): Promise<readonly Position[]> {
    const group = entries.map((entry) => this.#sized(entry));
    this.#reserve(group.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0));
    const stored = group.map(
      (sized, at) =>
        new Promise<Position>((resolve, reject) => this.#waiting.push({ sized, joins: at > 0, resolve, reject })),
    );
    this.#committing ??= this.#commitAll();
    return Promise.all(stored);
  }

  #sized(entry: Entry): SizedEntry {
    if (this.#closed) throw new WaybillError("WAYBILL_CLOSED", "The log is closed; nothing was stored");
    return sizeEntry(entry, this.#metadataMaxBytes);
  }

  #reserve(bytes: number): void {
    const waiting = this.#waitingBytes;
    if (waiting > 0 && waiting + bytes > this.#pendingMaxBytes)
      throw new WaybillError("WAYBILL_LOG_BUSY", `${waiting} bytes already wait to be stored; nothing was`, RETRY);
    this.#waitingBytes += bytes;
  }

  tryDisk(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ sized: undefined, isProbe: true, resolve: () => resolve(), reject: () => resolve() });
      this.#committing ??= this.#commitAll();
    });
  }

  async barrier(): Promise<void> {
    if (this.#committing === undefined) return;
    const failuresBefore = this.#failures;
    await new Promise<Position>((resolve, reject) => this.#waiting.push({ sized: undefined, resolve, reject }));
    if (this.#failures !== failuresBefore)
      throw new WaybillError("WAYBILL_DISK", `What was appended before could not be stored: ${this.#lastError}`, RETRY);
  }

  onCommit(run: () => void): () => void {
    this.#listeners.add(run);
    return () => this.#listeners.delete(run);
  }

  reader(from: { readonly position: Position; readonly byte?: number }): LogReader {
    const reader = new Reader(this, from, () => this.#readers.delete(reader));
    this.#readers.add(reader);
    return reader;
  }

  positionAt(atMs: number): Position {
    return this.segments.findLast(({ createdAtMs }) => createdAtMs <= atMs)?.base ?? this.first;
  }

  find(needle: Uint8Array, options: FindOptions = {}): AsyncGenerator<FoundEvent> {
    return findInLog(this, Buffer.from(needle), options);
  }

  retainedFrom(limits: RetentionLimits, nowMs: number, neededFrom: Position): Position {
    return retainedFrom(this, { limits, nowMs, neededFrom });
  }

  async removeBefore(position: Position): Promise<number> {
    let removed = 0;
    for (;;) {
      const [oldest, next] = this.segments;
      if (oldest === undefined || next === undefined || next.base > position) break;
      await this.disk.remove(`${this.directory}/${oldest.name}`);
      this.segments.shift();
      removed += 1;
      this.#tell(this.#onRemoved, next.base);
      for (const reader of this.#readers) await reader.evict(oldest);
      // One after another: a power cut must not bring back one before another that is gone.
      await this.disk.syncDirectory(this.directory);
    }
    return removed;
  }

  retain(limits: RetentionLimits, nowMs: number, neededFrom: Position): Promise<number> {
    return this.removeBefore(this.retainedFrom(limits, nowMs, neededFrom));
  }

  onRemove(run: (first: Position) => void): () => void {
    this.#onRemoved.add(run);
    return () => this.#onRemoved.delete(run);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#probing?.cancel();
    while (this.#committing !== undefined) await this.#committing;
    for (const reader of this.#readers) await reader.close();
    await this.#file?.close();
    this.#file = undefined;
  }

  /**
   * The next wave is on its way to the disk before the one before it is answered: their senders'
   * work and the disk's overlap.
   */
  async #commitAll(): Promise<void> {
    let committing = this.#commit(this.#takeWave());
    for (;;) {
      const answer = await committing;
      if (this.#waiting.length === 0) {
        this.#committing = undefined;
        answer();
        return;
      }
      committing = this.#commit(this.#takeWave());
      answer();
    }
  }

  #takeWave(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length) {
      const { sized, joins = false } = this.#waiting[count] as Waiting;
      bytes += sized?.sizeBytes ?? 0;
      if (count > 0 && bytes > WAVE_MAX_BYTES && !joins) break;
      count += 1;
    }
    if (count === this.#waiting.length) {
      const wave = this.#waiting;
      this.#waiting = [];
      return wave;
    }
    return this.#waiting.splice(0, count);
  }

  /** Writes and syncs one wave; resolves to the function that answers it. Never rejects. */
  async #commit(wave: readonly Waiting[]): Promise<() => void> {
    let waveBytes = 0;
    let probes = false;
    for (const { sized, isProbe } of wave) {
      waveBytes += sized?.sizeBytes ?? 0;
      probes ||= isProbe === true;
    }
    this.#wroteAtMs = this.#clock.monotonic();
    try {
      // Barriers alone are answered with what became of the waves before them.
      const places = waveBytes > 0 || probes ? await this.#storeWave(wave) : undefined;
      return () => this.#answer(wave, places);
    } catch (error) {
      const refusal = refusalOf(error);
      this.#lastError = refusal.message;
      if (waveBytes > 0) this.#lastFailedBytes = waveBytes;
      this.#probeSoon();
      return () => {
        this.#failures += 1;
        for (const waiting of wave) waiting.reject(refusal);
      };
    } finally {
      this.#waitingBytes -= waveBytes;
    }
  }

  /** Per entry its first position, or why it was refused. */
  async #storeWave(wave: readonly Waiting[]): Promise<readonly (Position | WaybillError)[]> {
    const { file, segment } = this.#current() ?? (await this.#createSegment(this.segments.at(-1)));
    const encoded = this.#encoder.encode(
      wave.map(({ sized }) => sized),
      this.#head,
    );
    if (encoded.bytes > 0) await this.#store(file, segment, encoded.buffers);
    else await this.#probe(file, segment);
    segment.sizeBytes += encoded.bytes;
    this.#head = encoded.head;
    this.#lastError = undefined;
    return encoded.places;
  }

  #answer(wave: readonly Waiting[], places: readonly (Position | WaybillError)[] | undefined): void {
    for (const [index, waiting] of wave.entries()) {
      const place = places?.[index] ?? this.#head;
      if (typeof place === "number") waiting.resolve(place);
      else {
        this.#failures += 1;
        this.#onDefect(place);
        waiting.reject(place);
      }
    }
    this.#tell(this.#listeners);
  }

  /** A listener's defect is nobody else's. */
  #tell<T extends unknown[]>(listeners: ReadonlySet<(...args: T) => void>, ...args: T): void {
    for (const listener of listeners) {
      try {
        listener(...args);
      } catch (error) {
        this.#onDefect(error);
      }
    }
  }

  async #store(file: DiskFile, segment: Segment, buffers: readonly Uint8Array[]): Promise<void> {
    const beganAtMs = this.#clock.monotonic();
    try {
      await file.write(buffers, segment.sizeBytes);
      this.#onSynced?.(this.#clock.monotonic() - beganAtMs);
    } catch (error) {
      const noRoom = error instanceof WaybillError && error.reason === "ENOSPC";
      // What was written has to go, or it would precede the next wave. Cutting needs no room.
      if (noRoom) await file.truncate(segment.sizeBytes).catch(() => this.#seal());
      else await this.#seal();
      throw error;
    }
  }

  /** Does what storing a wave does, and leaves nothing behind. */
  async #probe(file: DiskFile, segment: Segment): Promise<void> {
    await this.#store(file, segment, [probeBytes(this.#lastFailedBytes)]);
    await file.truncate(segment.sizeBytes).catch(() => this.#seal());
  }

  #probeSoon(): void {
    if (this.#closed || this.#probing !== undefined) return;
    this.#probing = this.#clock.after(PROBE_MS, () => {
      this.#probing = undefined;
      if (this.#lastError !== undefined && !this.#closed) void this.tryDisk();
    });
  }

  /** The newest segment, if it is open and takes more. */
  #current(): { readonly file: DiskFile; readonly segment: Segment } | undefined {
    const segment = this.segments.at(-1);
    if (segment === undefined || this.#file === undefined || segment.sizeBytes >= this.#segmentMaxBytes)
      return undefined;
    return { file: this.#file, segment };
  }

  async #createSegment(newest: Segment | undefined): Promise<{ readonly file: DiskFile; readonly segment: Segment }> {
    // A sealed segment that never got a record has the same base and name, and gives way. So does
    // the rest of a creation that failed.
    const givesWay = newest?.base === this.#head;
    const before = givesWay ? this.segments.at(-2) : newest;
    const segment: Segment = {
      name: segmentName(this.#head),
      base: this.#head,
      // Where the one before ended: a byte more, and what it could not store would be read after
      // the next start.
      startByte: before === undefined ? (newest?.startByte ?? 0) : before.startByte + before.sizeBytes,
      createdAtMs: this.#clock.now(),
      sizeBytes: SEGMENT_HEADER_BYTES,
    };
    const path = `${this.directory}/${segment.name}`;
    if (newest !== undefined && givesWay) {
      this.segments.pop();
      // A reader that waits in it would take the new one for the same, and read nothing of it.
      for (const reader of this.#readers) await reader.evict(newest);
    }
    await this.disk.remove(path).catch(() => undefined);
    const file = await createInPlace(this.disk, path, { durable: true });
    try {
      await file.write([encodeSegmentHeader(segment)], 0);
      await this.disk.syncDirectory(this.directory);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.segments.push(segment);
    return { file, segment };
  }

  async #seal(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
  }
}
