/** The types of the log. The byte format is described at the top of `record.ts`. */

/**
 * A position is the ordinal of an event in its log: 0 for the first event ever appended, never
 * reused. A record of `count` events owns the positions `first` to `first + count - 1`. `head` is
 * the position the next event will get.
 */
export type Position = number;

/** One accepted request: consecutive events that share source, metadata and time of receipt. */
export interface Entry {
  readonly source: string;
  readonly receivedAtMs: number;
  /**
   * What the request carried beside the events, in the vendor's own format; "" for none. At most 1
   * MiB as UTF-8.
   */
  readonly metadata: string;
  /** The serialised events separated by commas, in one or more pieces. */
  readonly body: readonly Uint8Array[];
  /**
   * For each event the byte of `body` after its last one; events are
   * `body[ends[i-1]+1 .. ends[i])`. At least one.
   */
  readonly ends: Uint32Array;
}

/** An entry as it is read back. `body` and `ends` are views of the memory of that read. */
export interface LogRecord {
  readonly first: Position;
  readonly count: number;
  readonly source: string;
  readonly receivedAtMs: number;
  readonly metadata: string;
  readonly body: Uint8Array;
  readonly ends: Uint32Array;
  /** Bytes of the whole record on disk. */
  readonly sizeBytes: number;
  /**
   * Which of its events are copies of earlier ones, by index, in order. Absent for none, and where
   * duplicates are not stored at all.
   */
  readonly duplicates?: readonly number[];
}

/**
 * The place of a reader: the next event, and where its record begins in the stream of all bytes
 * ever appended.
 */
export interface Cursor {
  readonly position: Position;
  /** Logical byte offset of the record that holds `position`; a hint that saves a search. */
  readonly byte: number;
}

export interface LogOptions {
  readonly directory: string;
  /**
   * A segment is closed once it has this many bytes. Default 64 MiB: small enough to give space
   * back soon.
   */
  readonly segmentMaxBytes?: number;
  /** Bytes that may wait for an fsync; further appends are refused as retryable. Default 64 MiB. */
  readonly pendingMaxBytes?: number;
  /** Most bytes of an entry's metadata. Default 1 MiB. */
  readonly metadataMaxBytes?: number;
  /**
   * Called for what must never happen, and harmed nobody else: a listener that threw, an entry that
   * could not be encoded.
   */
  readonly onDefect?: (error: unknown) => void;
  /**
   * Called after each write that was made durable, with how long the disk took, ms: one for all
   * entries that had waited. Must not throw.
   */
  readonly onSynced?: (durationMs: number) => void;
}

export interface RetentionLimits {
  /** Segments whose newest event is older may go. */
  readonly maxAgeMs: number;
  /** Above this many bytes the oldest segments may go. */
  readonly maxBytes: number;
  /** Above this many bytes the oldest segments go even if a lane still needs them. */
  readonly hardMaxBytes: number;
}

export interface RecoveryReport {
  readonly segments: number;
  readonly bytes: number;
  /** Bytes after the last whole record, cut off: a torn write that was never acknowledged. */
  readonly tornBytes: number;
  /** Damaged records found while the newest segment was checked, skipped. */
  readonly damaged: readonly DamagedRange[];
  /** Files with the name of a segment that are none, by their new names. */
  readonly setAside: readonly string[];
}

export interface DamagedRange {
  readonly segment: string;
  /** Byte offset in the segment. */
  readonly offset: number;
  readonly bytes: number;
  /** Positions that were lost with it. */
  readonly events: number;
}

export interface Log {
  readonly recovery: RecoveryReport;
  /** The position the next event will get. */
  readonly head: Position;
  /** The oldest position still in the log; equals `head` when it is empty. */
  readonly first: Position;
  /** No event before it is in the log: {@link first}, but 0 where only its end was read. */
  readonly oldest: Position;
  /** Logical byte after the last durable record, and of the oldest one still kept. */
  readonly headByte: number;
  readonly firstByte: number;
  /** When the oldest segment's first event was received, epoch ms. */
  readonly oldestAtMs: number | undefined;
  /**
   * Why an append would fail: the last failure to store, until storing works again, which the log
   * tries every second; or a disk that does not answer.
   */
  readonly lastError: string | undefined;
  /**
   * Appends and makes durable; resolves to the first event's position after the fsync.
   * **Errors**: `WAYBILL_LOG_FULL` (retryable), `WAYBILL_DISK`, `WAYBILL_CLOSED`. After a rejection
   * nothing of the entry is in the log. **Concurrency**: any number at once; appends that arrive
   * while an fsync runs share the next one. Order is call order.
   */
  append(entry: Entry): Promise<Position>;
  /**
   * Appends several entries as one: they are written and synced together, in one wave; resolves to
   * the first position of each. **Errors**: as of {@link append}; then none of them is in the log.
   * A crash before that may leave the first ones of them.
   */
  appendAll(entries: readonly Entry[]): Promise<readonly Position[]>;
  /**
   * Writes and syncs something that it takes away again, so that {@link lastError} shows whether an
   * append would succeed. Never rejects.
   */
  tryDisk(): Promise<void>;
  /** Resolves once everything appended before the call is durable; rejects if some of it failed. */
  barrier(): Promise<void>;
  /** Calls `run` after each group commit. Returns the function that ends it. */
  onCommit(run: () => void): () => void;
  /** A reader of durable records. `from` without `byte` searches. */
  reader(from: { readonly position: Position; readonly byte?: number }): LogReader;
  /**
   * A position at or before the first event that was received at `atMs` (epoch ms) or later, as
   * exact as segments are.
   */
  positionAt(atMs: number): Position;
  /**
   * Every event that holds the bytes of `needle`, once, in order. Reads without decoding what lies
   * between. An event that was appended meanwhile may be missing. What is found is valid until the
   * next step.
   */
  find(needle: Uint8Array, options?: FindOptions): AsyncGenerator<FoundEvent>;
  /**
   * What would be the first position after {@link retain}. `neededFrom`: oldest position a lane
   * still needs.
   */
  retainedFrom(limits: RetentionLimits, nowMs: number, neededFrom: Position): Position;
  /**
   * Removes whole segments of which every event is before `position`, but the newest. Returns the
   * number removed.
   */
  removeBefore(position: Position): Promise<number>;
  /** Removes whole segments that retention no longer keeps. Returns the number removed. */
  retain(limits: RetentionLimits, nowMs: number, neededFrom: Position): Promise<number>;
  /**
   * Calls `run` with the new first position as soon as events are removed. Returns the function
   * that ends it.
   */
  onRemove(run: (first: Position) => void): () => void;
  close(): Promise<void>;
}

export interface FindOptions {
  /** Only the segments that were written to between these times, epoch ms. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Ends the search. */
  readonly signal?: AbortSignal;
}

/** Event `index` of `record`; without one the bytes are beside the events. */
export interface FoundEvent {
  readonly record: LogRecord;
  readonly index: number | undefined;
}

export interface LogReader {
  /** Where the next record begins. */
  readonly cursor: Cursor;
  /**
   * The records from the cursor on that fit into `maxBytes`, at least one; empty at the head. Moves
   * the cursor past them. Damaged and already removed records are skipped: the positions then have
   * a gap.
   * The records are views of `memory` as far as it is large enough, and valid until it is used
   * again; otherwise of memory of their own. One call at a time.
   */
  read(maxBytes: number, memory?: Buffer): Promise<readonly LogRecord[]>;
  close(): Promise<void>;
}
