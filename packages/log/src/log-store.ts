/**
 * A lane's store over the log: a cursor, the book of the destination, and what was read ahead.
 *
 * Cursor and book are written together (see lane-state.ts), after the dead letters they speak of are durable. So after a
 * crash between any two steps the same events come again, and nothing is counted twice:
 *
 *   send -> [crash: sent again under the same ids] -> dead letters synced -> [crash: sent again; a letter already kept
 *   for that position is not written again] -> cursor and book written -> next batch
 *
 * A batch is written down beside the cursor before its first attempt, and for as long as it may have been acted on without our knowing: whatever
 * happens, the same events go again in the same batch under the same key.
 *
 * A state that cannot be written (the disk fails) is kept in memory and written with the next one: delivery goes on.
 */
import {
  Account,
  type AccountView,
  assert,
  type Batch,
  type BatchLimits,
  type Outcome,
  type Pending,
  type Store,
} from "@waybill/core";
import { fitting, LogBatch, type Piece, settledPrefix, slicePieces } from "./batch.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { LaneState } from "./lane-state.ts";
import type { Log, LogReader, LogRecord, Position } from "./types.ts";

/** What stands in a lane's state file. */
export interface LaneStateValue {
  /** Where the lane began: its book covers the events from here on. */
  readonly base: Position;
  /** The next event to settle, and the logical byte of its record. */
  readonly position: Position;
  readonly byte: number;
  readonly delivered: number;
  readonly rejected: number;
  readonly expired: number;
  readonly dropped: Readonly<Record<string, number>>;
  /** Events of the batch that begins at `position` and was sent, or may have been; 0 for none. */
  readonly leased: number;
}

export interface LogStoreOptions {
  readonly name: string;
  readonly log: Log;
  readonly state: LaneState<LaneStateValue>;
  readonly deadLetters: DeadLetters;
  /**
   * Whether a batch is written down durably before it is sent: for a destination that knows a repeat by the key of its batch. One that knows it by
   * the ids of the events does not need the sync; a power cut may then change how the last second's events are batched.
   */
  readonly durableLease?: boolean;
  /** Told when the state could not be written; delivery goes on. */
  readonly onStateError?: (error: unknown) => void;
}

/** Read at once: a little more than a batch, so that the next one is in memory when this one is answered. */
const READ_BYTES = 768 * 1024;

/** A lane that has no state yet begins here: behind what is there, or at the very start when its state was lost. */
export function newLaneState(log: Log, damaged: boolean): LaneStateValue {
  const position = damaged ? log.first : log.head;
  const byte = damaged ? log.firstByte : log.headByte;
  return { base: position, position, byte, delivered: 0, rejected: 0, expired: 0, dropped: {}, leased: 0 };
}

export class LogStore implements Store {
  readonly #options: LogStoreOptions;
  readonly #account: Account;
  readonly #base: Position;
  /** The next event to settle. */
  #position: Position;
  #byte: number;
  /** Events accepted up to here stand in the book. */
  #countedTo: Position;
  #reader: LogReader | undefined;
  /** Read but not leased, oldest first. */
  #ahead: Piece[] = [];
  #reading: Promise<void> | undefined;
  /**
   * Memory of a backlog's reads, oldest first, with the position behind its last event; used again once that is settled. Fresh memory for each
   * read would make the collector stop the world now and then, which accepts would feel.
   */
  readonly #memory: { readonly buffer: Buffer; readonly end: Position }[] = [];
  #spare: Buffer[] = [];
  /** Where each record in memory begins in the log. */
  readonly #beginsAt = new WeakMap<LogRecord, number>();
  #leased: LogBatch | undefined;
  /** Events of the batch that has to come next as it was before; 0 when any may come. */
  #planned: number;

  constructor(options: LogStoreOptions) {
    this.#options = options;
    const state = options.state.initial;
    // A log that lost its end (a damaged disk) gives positions out again: do not skip the new events that get them.
    this.#position = Math.min(state.position, options.log.head);
    this.#base = state.base - (state.position - this.#position);
    this.#byte = state.byte;
    this.#countedTo = this.#position;
    // States of before this field was there have none.
    this.#planned = this.#position === state.position ? (state.leased ?? 0) : 0;
    this.#account = new Account({ ...state, accepted: this.#position - this.#base });
  }

  /** The oldest event this lane still needs: retention keeps it. */
  get neededFrom(): Position {
    return this.#position;
  }

  /** Where the lane began: events before were never meant for it. */
  get base(): Position {
    return this.#base;
  }

  pending(): Pending {
    const { log } = this.#options;
    const events = log.head - this.#position;
    if (events === 0) return { events: 0, bytes: 0, oldestAtMs: undefined };
    const oldest = this.#leased?.oldestAtMs ?? this.#ahead[0]?.record.receivedAtMs;
    return { events, bytes: Math.max(0, log.headByte - this.#byte), oldestAtMs: oldest };
  }

  account(): AccountView {
    const { head } = this.#options.log;
    this.#account.accept(head - this.#countedTo);
    this.#countedTo = head;
    return this.#account.view(head - this.#position);
  }

  async lease(limits: BatchLimits): Promise<Batch | undefined> {
    assert(this.#leased === undefined, "the batch before was settled");
    await this.#reading;
    const count = await this.#gather(
      this.#planned === 0 ? limits : { maxEvents: this.#planned, maxBytes: Number.POSITIVE_INFINITY },
    );
    if (count === 0) return undefined;
    if (count !== this.#planned) {
      this.#planned = count;
      await this.#writeState();
      if (this.#options.durableLease === true) await this.#options.state.sync();
    }
    const batch = new LogBatch(this.#options.name, slicePieces(this.#ahead, 0, count));
    this.#ahead = slicePieces(this.#ahead, count, Number.POSITIVE_INFINITY);
    this.#leased = batch;
    // Overlaps with the request that this batch is for.
    if (this.#ahead.length === 0 && this.#options.log.head > batch.first + batch.count)
      this.#reading = this.#read()
        .catch(() => undefined)
        .finally(() => (this.#reading = undefined));
    return batch;
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    const leased = this.#leased;
    assert(leased !== undefined && batch === leased, "only the leased batch is settled");
    const settled = settledPrefix(outcomes);
    await this.#options.deadLetters.keep(leased, outcomes.slice(0, settled));
    for (const outcome of outcomes.slice(0, settled)) this.#account.settle(outcome);
    this.#moveTo(leased, settled);
    this.#leased = undefined;
    // What is left may have been acted on.
    this.#planned = leased.count - settled;
    if (settled < leased.count) {
      await this.#reading;
      this.#ahead = [...slicePieces(leased.pieces, settled, leased.count), ...this.#ahead];
    }
    if (settled > 0) await this.#writeState();
  }

  /** Makes cursor and book durable: before retention removes what they speak of, and now and then. */
  async sync(): Promise<void> {
    await this.#options.state.sync();
  }

  async close(): Promise<void> {
    await this.#reading;
    await this.#reader?.close();
    await this.#writeState();
    await this.#options.state.close();
    await this.#options.deadLetters.close();
  }

  /** How many of the next events fit one batch. Reads on at most once: at the head there is always a little more coming. */
  async #gather(limits: BatchLimits): Promise<number> {
    const fresh = this.#ahead.length === 0;
    if (fresh) await this.#read();
    this.#passGap();
    const count = fitting(this.#ahead, limits);
    const last = this.#ahead.at(-1);
    if (fresh || last === undefined) return count;
    const end = last.record.first + last.end;
    if (this.#position + count < end || end >= this.#options.log.head) return count;
    await this.#read();
    return fitting(this.#ahead, limits);
  }

  async #read(): Promise<void> {
    this.#reader ??= this.#options.log.reader({ position: this.#position, byte: this.#byte });
    const { log } = this.#options;
    const buffer =
      log.headByte - this.#reader.cursor.byte < READ_BYTES
        ? undefined
        : (this.#spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES));
    // What is appended while we read may be missing from the answer without being damaged.
    const { head } = log;
    const records = await this.#reader.read(READ_BYTES, buffer);
    const last = records.at(-1);
    if (buffer !== undefined && last !== undefined) this.#memory.push({ buffer, end: last.first + last.count });
    // Where the records begin is known from where they end.
    let byte = this.#reader.cursor.byte - records.reduce((bytes, record) => bytes + record.sizeBytes, 0);
    for (const record of records) {
      this.#beginsAt.set(record, byte);
      byte += record.sizeBytes;
      const start = Math.max(0, this.#position - record.first);
      this.#ahead.push({ record, start, end: record.count });
    }
    // Nothing whole up to the head. What was read before comes first, and what is being sent.
    const idle = this.#ahead.length === 0 && this.#leased === undefined;
    if (records.length === 0 && idle && head > this.#position) this.#skip(head);
  }

  /** Positions without a record were removed by retention or are damaged: they get their outcome here. */
  #passGap(): void {
    const next = this.#ahead[0];
    if (next === undefined) return;
    const first = next.record.first + next.start;
    if (first > this.#position) this.#skip(first);
  }

  #skip(to: Position): void {
    const removed = Math.max(0, Math.min(to, this.#options.log.first) - this.#position);
    const damaged = to - this.#position - removed;
    if (removed > 0) this.#account.expire(removed);
    if (damaged > 0) this.#account.drop("log_damaged", damaged);
    this.#position = to;
  }

  /** Moves the cursor behind the first `settled` events of the batch. */
  #moveTo(batch: LogBatch, settled: number): void {
    if (settled === 0) return;
    const { record, at } = batch.locate(settled - 1);
    this.#position = record.first + at + 1;
    const begins = this.#beginsAt.get(record) ?? this.#byte;
    this.#byte = at + 1 === record.count ? begins + record.sizeBytes : begins;
    while (this.#memory[0] !== undefined && this.#memory[0].end <= this.#position)
      this.#spare.push((this.#memory.shift() as { readonly buffer: Buffer }).buffer);
    // Caught up: an idle lane holds no memory.
    if (this.#memory.length === 0 && this.#ahead.length === 0) this.#spare = [];
  }

  async #writeState(): Promise<void> {
    const { delivered, rejected, expired, dropped } = this.#account.state();
    try {
      await this.#options.state.write({
        base: this.#base,
        position: this.#position,
        byte: this.#byte,
        delivered,
        rejected,
        expired,
        dropped,
        leased: this.#planned,
      });
    } catch (error) {
      this.#options.onStateError?.(error);
    }
  }
}
