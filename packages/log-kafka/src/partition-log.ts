/**
 * One partition of a topic as a `Log`: everything that runs over the log on a disk runs over it.
 *
 * Positions are dense: see `counting.ts`. The tail reads at the head with long polls and counts;
 * the head is what it has read, so no reader sees what was not counted. What is recent readers have
 * from memory, all else by calls of their own. Nothing here is written to any disk.
 *
 * When what was to be read next is gone from the broker (this relay was away for longer than
 * retention keeps, or the cluster has lost its end), counting cannot go on: the log is broken, says
 * so in `lastError`, and is to be opened again at a newer checkpoint.
 */
import { type Clock, WaybillError } from "@waybill/core";
import {
  type Entry,
  type FindOptions,
  type FoundEvent,
  type Log,
  type Position,
  type RecoveryReport,
  type RetentionLimits,
  retainedFrom,
} from "@waybill/log";
import { anchorOf, type Bounds, lostError } from "./anchor.ts";
import { Appender } from "./appender.ts";
import { type Broker, BrokerError, type Offset } from "./broker.ts";
import { type Checkpoint, Count, type Positions } from "./counting.ts";
import type { DuplicateFinder, DuplicateRule } from "./duplicates.ts";
import { findInPartition } from "./find-in-partition.ts";
import { Kept } from "./kept.ts";
import { OldRecords } from "./old-records.ts";
import { PartitionReader } from "./partition-reader.ts";
import { Recent } from "./recent.ts";
import { type ReadRecord, Source } from "./source.ts";
import { Tail } from "./tail.ts";

/** Between remembered places of what is not recent. */
const MARK_EVERY_BYTES = 256 * 1024;
/**
 * An answer costs a broker and us as much for one record as for many. Companion topics are written
 * one value after another, each once the last one was read.
 */
const GATHER_MS: Readonly<Record<Positions, number>> = { counted: 25, written: 0 };
const RECENT_MAX_BYTES = 1024 * 1024;
/** So often the end of the log has to be gone before it is believed. */
const GONE_MAX = 3;

export interface PartitionLogOptions {
  readonly broker: Broker;
  readonly topic: string;
  readonly partition: number;
  readonly clock: Clock;
  /** Default `counted`, which nothing can be appended to; `written` for companion topics. */
  readonly positions?: Positions;
  /**
   * A place that is known: as a rule the one that was committed last. Default: the beginning, which
   * works as long as nothing was removed. `written` needs none.
   */
  readonly checkpoint?: Checkpoint;
  /**
   * From where on somebody wants to read: all from there on is counted when the log is opened.
   * Default: the checkpoint's offset, or `first` for `written`. `first`: all that is kept. `end`:
   * as little as possible. What is read before is counted when it is read; with `written` the first
   * position is known all the same, but not how many bytes there are.
   */
  readonly from?: Offset | "first" | "end";
  /** With `written`, where all was removed: the next position is this one at least. Default 0. */
  readonly next?: Position;
  /** Default: none are looked for. */
  readonly duplicates?: DuplicateRule;
  /** Older places are remembered, and records are removed, in steps of so many. Default 256 KiB. */
  readonly markEveryBytes?: number;
  /** The newest records are kept for readers. Default 1 MiB, and none for `written`. */
  readonly recentMaxBytes?: number;
  /** As of `LogOptions`. */
  readonly metadataMaxBytes?: number;
  readonly pendingMaxBytes?: number;
  /** An append that could not be made for so long is rejected. Default 30 s. */
  readonly giveUpAfterMs?: number;
  /**
   * Whether an append is rejected, as retryable, when another writer's value is read before its
   * own. Default false: it comes after that one.
   */
  readonly rejectsAfterOthers?: boolean;
  /** Called once when the log is broken: close it and open it again. Must not throw. */
  readonly onBroken?: (error: WaybillError) => void;
  /** A listener threw. Default: nothing. */
  readonly onDefect?: (error: unknown) => void;
}

const RECOVERY: RecoveryReport = { segments: 0, bytes: 0, tornBytes: 0, damaged: [], setAside: [] };

export class PartitionLog implements Log {
  readonly recovery: RecoveryReport = RECOVERY;
  /** For who looks after the retention of a topic with many writers. */
  readonly old: OldRecords;
  readonly #options: PartitionLogOptions;
  readonly #source: Source;
  readonly #positions: Positions;
  readonly #kept: Kept;
  readonly #tail: Tail;
  readonly #appender: Appender;
  readonly #recent: Recent;
  readonly #readers = new Set<PartitionReader>();
  readonly #listeners = new Set<() => void>();
  readonly #onRemoved = new Set<(first: Position) => void>();
  #finder: DuplicateFinder | undefined;
  #broken: WaybillError | undefined;
  #gone = 0;

  private constructor(options: PartitionLogOptions, source: Source, { anchor, first }: Anchor) {
    const { clock, positions = "counted", markEveryBytes = MARK_EVERY_BYTES, duplicates, recentMaxBytes } = options;
    this.#options = options;
    this.#source = source;
    this.#positions = positions;
    this.#recent = new Recent(recentMaxBytes ?? (positions === "counted" ? RECENT_MAX_BYTES : 0));
    const head = (): Checkpoint => this.#tail.place;
    const onRemoved = (position: Position): void => this.#tell(this.#onRemoved, position);
    this.#kept = new Kept({ source, clock, positions, markEveryBytes, duplicates, head, onRemoved }, anchor, first);
    this.old = new OldRecords({
      source,
      kept: this.#kept,
      duplicates,
      head,
      retainedFrom: ({ limits, nowMs, neededFrom }) => this.retainedFrom(limits, nowMs, neededFrom),
    });
    this.#tail = new Tail({
      source,
      count: new Count(positions, anchor),
      gatherMs: GATHER_MS[positions],
      onRead: (records, from) => this.#recent.add(records, from),
      onRecords: (records) => {
        this.#gone = 0;
        this.#kept.note(records, this.#finder);
        this.#appender.seen(records);
      },
      onMoved: () => this.#tell(this.#listeners),
      // Counting what is older may take long, and the tail does not wait. The next answer tries
      // again.
      onFirst: (offset) => void this.#kept.removed(offset).catch(() => undefined),
      onGone: (error) => this.#lost(error),
    });
    this.#appender = new Appender({
      source,
      clock,
      head: () => this.head,
      readTo: (offset) => this.#tail.readTo(offset),
      metadataMaxBytes: options.metadataMaxBytes,
      pendingMaxBytes: options.pendingMaxBytes,
      giveUpAfterMs: options.giveUpAfterMs,
      rejectsAfterOthers: options.rejectsAfterOthers,
    });
  }

  /**
   * Opens a partition; resolves once all is counted that it has by then. **Errors**:
   * `WAYBILL_LOG_UNAVAILABLE` when the cluster does not answer for 15 s; `WAYBILL_LOG_DAMAGED` when
   * the checkpoint's place is not in the partition any more: another one is needed.
   */
  static async open(options: PartitionLogOptions): Promise<PartitionLog> {
    const source = new Source(options);
    try {
      const first = await source.retrying("opening", () => source.offsetAt("first"));
      const end = await source.retrying("opening", () => source.offsetAt("end"));
      const log = new PartitionLog(options, source, { anchor: await anchorOf(options, source, { first, end }), first });
      await log.#open({ first, end });
      return log;
    } catch (error) {
      source.close();
      throw error;
    }
  }

  async #open({ first, end }: Bounds): Promise<void> {
    const { from = this.#positions === "written" ? "first" : "end" } = this.#options;
    const anchor = this.#tail.place.offset;
    const target = from === "first" ? first : from === "end" ? anchor : Math.max(first, Math.min(from, anchor));
    if (this.#positions === "written" && from === "end") await this.#kept.beginAtFirst();
    else this.#finder = await this.#kept.open(target);
    await this.#tail.catchUp(end);
    void this.#tail.run();
  }

  get head(): Position {
    return this.#tail.place.position;
  }

  /**
   * The first position that is kept and was counted: exact when {@link isFirstExact}; otherwise
   * there may be earlier ones, which a reader finds all the same.
   */
  get first(): Position {
    return this.#kept.from.position;
  }

  get isFirstExact(): boolean {
    return this.#kept.isComplete;
  }

  get oldest(): Position {
    return this.isFirstExact ? this.first : 0;
  }

  get headByte(): number {
    return this.#tail.place.byte;
  }

  get firstByte(): number {
    return this.#kept.from.byte;
  }

  get oldestAtMs(): number | undefined {
    return this.#kept.from.atMs;
  }

  get lastError(): string | undefined {
    return this.#broken?.message ?? this.#tail.lastError ?? this.#appender.lastError;
  }

  /** The place after all that was read: what to open the log at the next time. */
  get checkpoint(): Checkpoint {
    return this.#tail.place;
  }

  /**
   * Where the record begins that holds a position, as far as that is in memory: exact for the
   * newest 2,048 records and the last 2,048 that each open reader has read, otherwise a place
   * before.
   */
  placeBefore(position: Position): Checkpoint {
    let place = this.#kept.placeFor(position);
    for (const { places } of this.#readers) {
      const other = places.before(position);
      if (other !== undefined && other.offset > place.offset) place = other;
    }
    return place;
  }

  /**
   * The record that holds a position: its offset, and the place of the event in it. `undefined`
   * when it is not kept. **Errors**: those of a reader.
   */
  async offsetOf(position: Position): Promise<{ readonly offset: Offset; readonly index: number } | undefined> {
    if (position >= this.head) return undefined;
    const reader = this.reader({ position });
    try {
      const [record] = await reader.read(1);
      if (record === undefined || record.first > position) return undefined;
      return { offset: record.offset, index: position - record.first };
    } finally {
      await reader.close();
    }
  }

  /** Of the first event of a record, as far as that is in memory: of the newest 2,048 records. */
  recentPosition(offset: Offset): Position | undefined {
    return this.#kept.placeAt(offset)?.position;
  }

  /** The place before the record at an offset. **Errors**: those of a reader. */
  async placeOf(offset: Offset): Promise<Checkpoint> {
    await this.extend(offset);
    const count = new Count(this.#positions, this.#kept.placeBeforeOffset(offset));
    while (count.place.offset < Math.min(offset, this.#tail.place.offset)) {
      const { place } = count;
      const { records } = await this.#source.retrying("reading", () => this.#source.fetch(place.offset, 1));
      for (const one of records) if (one.offset < offset) count.take(one);
      if (records.length === 0 || (records.at(-1)?.offset ?? 0) >= offset) break;
    }
    return count.place;
  }

  /** Everything from an offset on is counted then, and its duplicates are known. */
  extend(offset: Offset): Promise<void> {
    return this.#kept.extend(offset);
  }

  async append(entry: Entry): Promise<Position> {
    const [position] = await this.appendAll([entry]);
    return position as Position;
  }

  /**
   * One produce call, which is kept as a whole or not at all. Resolves once it was read back.
   * **Errors**: `WAYBILL_EVENT`, `WAYBILL_LOG_BUSY`, `WAYBILL_CLOSED`; `WAYBILL_LOG_UNAVAILABLE`,
   * when it could not be done for 30 s: unlike on a disk it may be in the log then, or come later,
   * when a produce call was not answered.
   */
  async appendAll(entries: readonly Entry[]): Promise<readonly Position[]> {
    this.#check();
    if (this.#positions === "counted")
      throw new WaybillError("WAYBILL_OPTIONS", "A partition with many writers is not appended to through its log");
    return this.#appender.append(entries);
  }

  /** Of this process, and acknowledged by all in-sync replicas. */
  written(records: readonly ReadRecord[]): void {
    this.#tail.written(records);
  }

  async tryDisk(): Promise<void> {
    await this.#source.offsetAt("end").catch(() => undefined);
  }

  barrier(): Promise<void> {
    return this.#appender.barrier();
  }

  onCommit(run: () => void): () => void {
    this.#listeners.add(run);
    return () => this.#listeners.delete(run);
  }

  onRemove(run: (first: Position) => void): () => void {
    this.#onRemoved.add(run);
    return () => this.#onRemoved.delete(run);
  }

  reader(begin: { readonly position: Position; readonly byte?: number }): PartitionReader {
    const reader = new PartitionReader(
      {
        source: this.#source,
        kept: this.#kept,
        recent: this.#recent,
        positions: this.#positions,
        head: () => this.#tail.place,
        refresh: () => this.#refresh(),
        check: () => this.#check(),
        onClose: () => this.#readers.delete(reader),
      },
      begin,
    );
    this.#readers.add(reader);
    return reader;
  }

  positionAt(atMs: number): Position {
    return this.#kept.parts.findLast((part) => part.atMs <= atMs)?.position ?? this.first;
  }

  find(needle: Uint8Array, options: FindOptions = {}): AsyncGenerator<FoundEvent> {
    return findInPartition({ log: this, source: this.#source }, Buffer.from(needle), options);
  }

  /** Of what was counted: all that is kept, when the log was opened from `first` on. */
  retainedFrom(limits: RetentionLimits, nowMs: number, neededFrom: Position): Position {
    const segments = this.#kept.parts.map(({ position, byte, atMs }) => ({
      base: position,
      startByte: byte,
      createdAtMs: atMs,
    }));
    const { head, headByte } = this;
    return retainedFrom({ segments, head, headByte }, { limits, nowMs, neededFrom });
  }

  /** **Errors**: `WAYBILL_LOG_UNAVAILABLE`, `WAYBILL_CLOSED`. */
  async removeBefore(position: Position): Promise<number> {
    const { offset } = this.#kept.placeFor(position);
    const before = this.#kept.parts.length;
    if (offset <= this.#kept.from.offset) return 0;
    const first = await this.#source.retrying("removing", () => this.#source.removeBefore(offset));
    await this.#kept.removed(first);
    return Math.max(1, before - this.#kept.parts.length);
  }

  async retain(limits: RetentionLimits, nowMs: number, neededFrom: Position): Promise<number> {
    const from = this.retainedFrom(limits, nowMs, neededFrom);
    return from > this.first ? this.removeBefore(from) : 0;
  }

  /** Rejects what is under way, at once. */
  async close(): Promise<void> {
    this.#source.close();
    for (const reader of this.#readers) await reader.close();
  }

  #check(): void {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#source.isClosed) throw new WaybillError("WAYBILL_CLOSED", "The log is closed; nothing was stored");
  }

  async #refresh(): Promise<void> {
    await this.#kept.removed(
      await this.#source.retrying("looking for the first record", () => this.#source.offsetAt("first")),
    );
  }

  /** What the tail was to read is not there. Whether it goes on. */
  async #lost(error: BrokerError): Promise<boolean> {
    const first = await this.#source.offsetAt("first");
    this.#gone += 1;
    if (first <= this.#tail.place.offset && this.#gone < GONE_MAX) return true;
    this.#broken = lostError(this.#source.name, this.#tail.place, error);
    this.#options.onBroken?.(this.#broken);
    return false;
  }

  /** A listener's defect is nobody else's. */
  #tell<T extends unknown[]>(listeners: ReadonlySet<(...args: T) => void>, ...args: T): void {
    for (const listener of listeners) {
      try {
        listener(...args);
      } catch (error) {
        this.#options.onDefect?.(error);
      }
    }
  }
}

interface Anchor {
  readonly anchor: Checkpoint;
  readonly first: Offset;
}
