/**
 * The log on one machine's disk: segments, group commit, retention.
 *
 * A commit takes everything that waits (a wave), writes it behind the last durable byte, syncs once, then answers all of it.
 * While it runs, the next wave gathers: the busier the log, the fewer syncs an entry costs.
 *
 * Invariants:
 * - `head`, `headByte` and a segment's `sizeBytes` only ever cover synced bytes; readers look no further.
 * - Positions are given when a wave is written, so a wave that fails leaves no gap.
 * - After a failed sync nobody knows which pages reached the disk. The segment is then sealed at its last synced byte and never
 *   written again; the next one says where it ended, so that whatever is left behind that byte is never read.
 * - A segment's name is durable before its first record is written: created, header synced, directory synced.
 * - A segment is removed oldest first, so that the log stays contiguous whatever happens in between.
 */
import { type Disk, type DiskFile, messageOf, WaybillError } from "@waybill/core";
import type { Clock } from "@waybill/core";
import { Reader, type SegmentSource } from "./reader.ts";
import { encodeHead, encodeSegmentHeader, paddingOf, SEGMENT_HEADER_BYTES, type SizedEntry, sealHead, sealWhole, sizeEntry } from "./record.ts";
import { recover } from "./recover.ts";
import { type Segment, segmentName } from "./segment.ts";
import type { Entry, Log, LogOptions, LogReader, Position, RecoveryReport, RetentionLimits } from "./types.ts";

const SEGMENT_MAX_DEFAULT_BYTES = 64 * 1024 * 1024;
const PENDING_MAX_DEFAULT_BYTES = 64 * 1024 * 1024;
/** Bodies below this are copied beside their heads: one buffer to write is cheaper than three. */
const COPY_BELOW_BYTES = 4 * 1024;
/** Most bytes of one wave: bounds the time its first entry waits for the fsync. */
const WAVE_MAX_BYTES = 8 * 1024 * 1024;
const SCRATCH_BYTES = 1024 * 1024;
const RETRY_AFTER_MS = 1_000;

interface Waiting {
  /** `undefined` for a barrier: it is answered with its wave and writes nothing. */
  readonly sized: SizedEntry | undefined;
  readonly resolve: (first: Position) => void;
  readonly reject: (error: WaybillError) => void;
}

/** Opens the log in `options.directory`, creating it when there is none. **Errors**: `WAYBILL_DISK`; never because of content. */
export async function openLog(
  options: LogOptions,
  runtime: { readonly disk: Disk; readonly clock: Clock },
): Promise<Log> {
  const { segments, head, report } = await recover(runtime.disk, options.directory);
  return new SegmentLog(options, runtime, segments, head, report);
}

class SegmentLog implements Log, SegmentSource {
  readonly directory: string;
  readonly disk: Disk;
  readonly segments: Segment[];
  readonly recovery: RecoveryReport;
  readonly #clock: Clock;
  readonly #segmentMaxBytes: number;
  readonly #pendingMaxBytes: number;
  readonly #readers = new Set<Reader>();
  readonly #listeners = new Set<() => void>();
  #head: Position;
  /** The newest segment's file; `undefined` before the first append and after the segment was sealed. */
  #file: DiskFile | undefined;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #committing: Promise<void> | undefined;
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #lastError: string | undefined;
  /** Waves that failed; a barrier compares it. */
  #failures = 0;
  #sealed: boolean;
  #closed = false;

  constructor(
    options: LogOptions,
    runtime: { readonly disk: Disk; readonly clock: Clock },
    segments: Segment[],
    head: Position,
    report: RecoveryReport,
  ) {
    this.directory = options.directory;
    this.disk = runtime.disk;
    this.segments = segments;
    this.recovery = report;
    this.#clock = runtime.clock;
    this.#segmentMaxBytes = options.segmentMaxBytes ?? SEGMENT_MAX_DEFAULT_BYTES;
    this.#pendingMaxBytes = options.pendingMaxBytes ?? PENDING_MAX_DEFAULT_BYTES;
    this.#head = head;
    this.#sealed = segments.length === 0;
  }

  get head(): Position {
    return this.#head;
  }

  get first(): Position {
    return this.segments[0]?.base ?? this.#head;
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
    return this.#lastError;
  }

  append(entry: Entry): Promise<Position> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new WaybillError("WAYBILL_CLOSED", "The log is closed; nothing was stored");
      const sized = sizeEntry(entry);
      if (this.#waitingBytes > 0 && this.#waitingBytes + sized.sizeBytes > this.#pendingMaxBytes)
        throw new WaybillError("WAYBILL_LOG_BUSY", `${this.#waitingBytes} bytes already wait for the disk; nothing was stored`, {
          retryable: true,
          retryAfterMs: RETRY_AFTER_MS,
        });
      this.#waitingBytes += sized.sizeBytes;
      this.#waiting.push({ sized, resolve, reject });
      this.#committing ??= this.#commitAll();
    });
  }

  async barrier(): Promise<void> {
    if (this.#committing === undefined) return;
    const failuresBefore = this.#failures;
    await new Promise<Position>((resolve, reject) => this.#waiting.push({ sized: undefined, resolve, reject }));
    if (this.#failures !== failuresBefore)
      throw new WaybillError("WAYBILL_DISK", `What was appended before could not be stored: ${this.#lastError}`, {
        retryable: true,
        retryAfterMs: RETRY_AFTER_MS,
      });
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

  async retain(limits: RetentionLimits, nowMs: number, neededFrom: Position): Promise<number> {
    let removed = 0;
    for (;;) {
      const [oldest, next] = this.segments;
      // The newest segment is being written and stays.
      if (oldest === undefined || next === undefined) break;
      const keptBytes = this.headByte - oldest.startByte;
      const tooOld = nowMs - next.createdAtMs > limits.maxAgeMs;
      const wanted = neededFrom < next.base;
      if (keptBytes <= limits.hardMaxBytes && (wanted || (!tooOld && keptBytes <= limits.maxBytes))) break;
      await this.disk.remove(`${this.directory}/${oldest.name}`);
      this.segments.shift();
      removed += 1;
      for (const reader of this.#readers) await reader.evict(oldest);
    }
    if (removed > 0) await this.disk.syncDirectory(this.directory);
    return removed;
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#committing !== undefined) await this.#committing;
    for (const reader of this.#readers) await reader.close();
    await this.#file?.close();
    this.#file = undefined;
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#commit(this.#takeWave());
    this.#committing = undefined;
  }

  #takeWave(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length) {
      bytes += this.#waiting[count]?.sized?.sizeBytes ?? 0;
      if (count > 0 && bytes > WAVE_MAX_BYTES) break;
      count += 1;
    }
    if (count === this.#waiting.length) {
      const wave = this.#waiting;
      this.#waiting = [];
      return wave;
    }
    return this.#waiting.splice(0, count);
  }

  /** Writes, syncs and answers one wave. Never rejects. */
  async #commit(wave: readonly Waiting[]): Promise<void> {
    const firstPositions: Position[] = [];
    let bytes = 0;
    try {
      const { file, segment } = await this.#writable();
      const encoded = this.#encode(wave, firstPositions);
      bytes = encoded.bytes;
      if (bytes > 0) {
        await this.#store(file, segment, encoded.buffers);
        segment.sizeBytes += bytes;
      }
      this.#head = encoded.head;
      this.#waitingBytes -= bytes;
      this.#lastError = undefined;
      for (const [index, waiting] of wave.entries()) waiting.resolve(firstPositions[index] as Position);
      for (const listener of this.#listeners) listener();
    } catch (error) {
      this.#waitingBytes -= wave.reduce((total, waiting) => total + (waiting.sized?.sizeBytes ?? 0), 0);
      this.#failures += 1;
      const refusal = refusalOf(error);
      this.#lastError = refusal.message;
      for (const waiting of wave) waiting.reject(refusal);
    }
  }

  async #store(file: DiskFile, segment: Segment, buffers: readonly Uint8Array[]): Promise<void> {
    try {
      await file.write(buffers, segment.sizeBytes);
    } catch (error) {
      // Cutting needs no room. If even that fails, the segment is left behind; its successor says where it ended.
      await file.truncate(segment.sizeBytes).catch(() => this.#seal());
      throw error;
    }
    try {
      await file.sync();
    } catch (error) {
      await this.#seal();
      throw error;
    }
  }

  /** The wave's records as buffers to write; small bodies are copied beside their heads into one of them. */
  #encode(
    wave: readonly Waiting[],
    firstPositions: Position[],
  ): { readonly buffers: Uint8Array[]; readonly bytes: number; readonly head: Position } {
    let inScratch = 0;
    for (const { sized } of wave) if (sized !== undefined) inScratch += scratchBytes(sized);
    if (inScratch > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(2 * inScratch);
    const scratch = this.#scratch;
    const buffers: Uint8Array[] = [];
    let head = this.#head;
    let bytes = 0;
    let at = 0;
    let pieceAt = 0;
    for (const { sized } of wave) {
      firstPositions.push(head);
      if (sized === undefined) continue;
      encodeHead(sized, head, scratch, at);
      if (sized.bodyBytes < COPY_BELOW_BYTES) {
        copyBody(sized, scratch, at + sized.headBytes);
        sealWhole(scratch, at, sized.sizeBytes);
        at += sized.sizeBytes;
      } else {
        sealHead(scratch, at, sized);
        at += sized.headBytes;
        buffers.push(scratch.subarray(pieceAt, at), ...sized.entry.body);
        pieceAt = at;
        if (sized.paddingBytes > 0) buffers.push(paddingOf(sized));
      }
      head += sized.entry.ends.length;
      bytes += sized.sizeBytes;
    }
    if (at > pieceAt) buffers.push(scratch.subarray(pieceAt, at));
    return { buffers, bytes, head };
  }

  /** The file to write to: the newest segment's, or that of a new segment when it is full or sealed. */
  async #writable(): Promise<{ readonly file: DiskFile; readonly segment: Segment }> {
    const newest = this.segments.at(-1);
    if (newest !== undefined && !this.#sealed && newest.sizeBytes < this.#segmentMaxBytes) {
      this.#file ??= await this.disk.open(`${this.directory}/${newest.name}`);
      return { file: this.#file, segment: newest };
    }
    return this.#createSegment(newest);
  }

  async #createSegment(newest: Segment | undefined): Promise<{ readonly file: DiskFile; readonly segment: Segment }> {
    const segment: Segment = {
      name: segmentName(this.#head),
      base: this.#head,
      startByte: newest === undefined ? 0 : newest.startByte + newest.sizeBytes,
      createdAtMs: this.#clock.now(),
      sizeBytes: SEGMENT_HEADER_BYTES,
    };
    const path = `${this.directory}/${segment.name}`;
    // A sealed segment that never got a record has the same base and name: it gives way. So does the rest of a creation that failed.
    if (newest?.base === segment.base) this.segments.pop();
    await this.disk.remove(path).catch(() => undefined);
    const file = await this.disk.open(path, { create: true });
    try {
      await file.write([encodeSegmentHeader(segment)], 0);
      await file.sync();
      await this.disk.syncDirectory(this.directory);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#sealed = false;
    this.segments.push(segment);
    return { file, segment };
  }

  async #seal(): Promise<void> {
    this.#sealed = true;
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
  }
}

function scratchBytes(sized: SizedEntry): number {
  return sized.bodyBytes < COPY_BELOW_BYTES ? sized.sizeBytes : sized.headBytes;
}

function copyBody(sized: SizedEntry, target: Buffer, at: number): void {
  let offset = at;
  for (const piece of sized.entry.body) {
    target.set(piece, offset);
    offset += piece.length;
  }
  target.fill(0, offset, offset + sized.paddingBytes);
}

function refusalOf(error: unknown): WaybillError {
  const full = error instanceof WaybillError && error.reason === "ENOSPC";
  return new WaybillError(
    full ? "WAYBILL_LOG_FULL" : "WAYBILL_DISK",
    full ? "The disk has no room for the log; nothing was stored" : `The log could not be written: ${messageOf(error)}`,
    {
      retryable: true,
      retryAfterMs: RETRY_AFTER_MS,
      cause: error,
      hint: "Free space or fix the disk; storing resumes by itself.",
      ...(error instanceof WaybillError && error.reason !== undefined ? { reason: error.reason } : {}),
    },
  );
}
