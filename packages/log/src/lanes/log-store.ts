/**
 * A lane's store over the log: a cursor, the ledger of the destination, and what was read ahead.
 *
 * Cursor and ledger are written together (see lane-state.ts), after the dead letters they speak of
 * are durable. So after a crash between any two steps the same events come again, and nothing is
 * counted twice:
 *
 *   send
 *     -> [crash: sent again under the same ids]
 *   dead letters synced
 *     -> [crash: sent again; a dead letter already kept for that position is not written again]
 *   cursor and ledger written
 *     -> next batch
 *
 * A batch is written down beside the cursor before its first attempt, and for as long as it may
 * have been acted on without our knowing: whatever happens, the same events go again in the same
 * batch under the same key.
 *
 * A state that cannot be written (the disk fails) is kept in memory and written with the next one:
 * delivery goes on.
 *
 * Retention may remove what the lane still needs. All of it but the batch on its way is expired in
 * that moment, read ahead or not; the batch gets its own outcomes, and what of it would have to be
 * sent again is expired then. The state does not contain it before the cursor has passed: a state
 * whose cursor is before the log's first position shows the next start how many events are expired,
 * whenever the process died.
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
import { fitting, LogBatch, type Piece, settledPrefix, slicePieces } from "../batch.ts";
import type { Log, LogReader, LogRecord, Position } from "../types.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { type Fate, type Fates, totalOf } from "./fates.ts";
import type { LaneState } from "./lane-state.ts";
import { type LaneStateValue, type LaneVendor, withVendor } from "./lane-value.ts";

export interface LogStoreOptions {
  readonly name: string;
  readonly log: Log;
  readonly state: LaneState<LaneStateValue>;
  readonly deadLetters: DeadLetters;
  /**
   * Opened with {@link fateTailOf} the state. Absent where the fate of single events is not needed.
   */
  readonly fates?: Fates;
  /**
   * Whether a batch is written down durably before it is sent: for a destination that recognises a
   * duplicate by the key of its batch. One that knows it by the ids of the events does not need the
   * sync; a power cut may then change how the last second's events are batched.
   */
  readonly durableLease?: boolean;
  /** Called when the state could not be written; delivery goes on. */
  readonly onStateError?: (error: unknown) => void;
  /**
   * Called with the number of events that retention took from the lane, when it did or at the next
   * start. Must not throw.
   */
  readonly onExpired?: (events: number) => void;
}

/**
 * Read at once: a little more than a batch, so that the next one is in memory when this one is
 * answered.
 */
const READ_BYTES = 768 * 1024;

export class LogStore implements Store {
  readonly #options: LogStoreOptions;
  readonly #account: Account;
  readonly #base: Position;
  /** The next event to settle. */
  #position: Position;
  #byte: number;
  /** Events accepted up to here are in the ledger. */
  #countedTo: Position;
  #reader: LogReader | undefined;
  /** Read but not leased, oldest first. */
  #ahead: Piece[] = [];
  #reading: Promise<void> | undefined;
  /**
   * Memory of a backlog's reads, oldest first, with the position after its last event; used again
   * once that is settled. Fresh memory for each read would cause long garbage collections, which
   * ingest requests would notice.
   */
  readonly #memory: { readonly buffer: Buffer; readonly end: Position }[] = [];
  #spare: Buffer[] = [];
  /** Where each record in memory begins in the log. */
  readonly #beginsAt = new WeakMap<LogRecord, number>();
  #leased: LogBatch | undefined;
  /**
   * Events right after the leased batch that were removed meanwhile: expired already, passed by the
   * cursor with the batch.
   */
  #expiredAfterLease = 0;
  readonly #stopListening: () => void;
  /** Events of the batch that has to come next as it was before; 0 when any may come. */
  #planned: number;
  #durableLease: boolean;
  /** Events that were settled before the lane kept fates. */
  readonly #unkept: number;
  #vendors: readonly LaneVendor[];

  constructor(options: LogStoreOptions) {
    this.#options = options;
    this.#durableLease = options.durableLease ?? false;
    const state = options.state.initial;
    // A log that lost its end (a damaged disk) gives positions out again: do not skip the new
    // events that get them.
    this.#position = Math.min(state.position, options.log.head);
    this.#base = state.base - (state.position - this.#position);
    this.#byte = state.byte;
    this.#countedTo = this.#position;
    // States of before this field was there have none.
    this.#planned = this.#position === state.position ? (state.leased ?? 0) : 0;
    this.#vendors = state.vendors ?? [];
    this.#account = new Account({ ...state, accepted: this.#position - this.#base });
    this.#unkept = state.fates === undefined ? this.#account.settled : (state.unkept ?? 0);
    this.#expireBefore(options.log.first, 0);
    this.#stopListening = options.log.onRemove((first) => this.#removed(first));
  }

  /** The oldest event this lane still needs: retention keeps it. */
  get neededFrom(): Position {
    return this.#position;
  }

  /** Where the lane began: events before were never meant for it. */
  get base(): Position {
    return this.#base;
  }

  /**
   * From its cursor on the lane delivers to this vendor. Returns the one it delivered to before,
   * when that was another.
   */
  deliversTo(vendor: string): string | undefined {
    const before = this.#vendors.at(-1)?.name;
    if (before === vendor) return undefined;
    this.#vendors = withVendor(this.#vendors, vendor, before === undefined ? 0 : this.#position);
    void this.#writeState();
    return before;
  }

  /** Which vendor an event was, or will be, delivered to. */
  vendorAt(position: Position): string | undefined {
    return this.#vendors.findLast(({ from }) => from <= position)?.name;
  }

  /** The destination is another vendor's now: see the option. */
  set durableLease(durable: boolean) {
    this.#durableLease = durable;
  }

  pending(): Pending {
    const { log } = this.#options;
    const events = log.head - this.#position - this.#expiredAfterLease;
    if (events === 0) return { events: 0, bytes: 0, oldestAtMs: undefined };
    const bytes =
      this.#expiredAfterLease > 0 && this.#leased !== undefined
        ? this.#leased.bytes + log.headByte - log.firstByte
        : log.headByte - this.#byte;
    return { events, bytes: Math.max(0, bytes), oldestAtMs: this.#oldestAtMs() };
  }

  /**
   * Known of what is in memory, and of the log's first event: the cursor of a lane that lost events
   * to retention is there.
   */
  #oldestAtMs(): number | undefined {
    const { log } = this.#options;
    const inMemory = this.#leased?.oldestAtMs ?? this.#ahead[0]?.record.receivedAtMs;
    return inMemory ?? (this.#position === log.first ? log.oldestAtMs : undefined);
  }

  account(): AccountView {
    const { head } = this.#options.log;
    this.#account.accept(head - this.#countedTo);
    this.#countedTo = head;
    return this.#account.view(head - this.#position - this.#expiredAfterLease);
  }

  /**
   * Settled events whose fate is lost: 0 unless a disk failed or something was damaged. Never below
   * 0 while the ledger is right.
   */
  get unknownFates(): number {
    if (this.#options.fates === undefined) return 0;
    return this.#account.settled - this.#expiredAfterLease - this.#unkept - totalOf(this.#options.fates.counts());
  }

  /**
   * What became of the event at `position`; `pending` before it is settled, `not_addressed` before
   * the lane began.
   */
  async fateAt(position: Position): Promise<Fate | { readonly status: "pending" | "not_addressed" }> {
    if (position < this.#base) return { status: "not_addressed" };
    if (position < this.#position) return (await this.#options.fates?.at(position)) ?? { status: "unknown" };
    const leasedEnd = this.#leased === undefined ? this.#position : this.#leased.first + this.#leased.count;
    const expired = position >= leasedEnd && position < leasedEnd + this.#expiredAfterLease;
    return { status: expired ? "expired" : "pending" };
  }

  async lease(limits: BatchLimits): Promise<Batch | undefined> {
    assert(this.#leased === undefined, "the batch before was settled");
    await this.#reading;
    await this.#gather(this.#wanted(limits));
    // From here to the lease nothing waits: retention may move the cursor whenever something does.
    this.#passGap();
    const count = fitting(this.#ahead, this.#wanted(limits));
    if (count === 0) return undefined;
    const batch = new LogBatch(this.#options.name, slicePieces(this.#ahead, 0, count));
    this.#ahead = slicePieces(this.#ahead, count, Number.POSITIVE_INFINITY);
    this.#leased = batch;
    if (count !== this.#planned) await this.#plan(batch);
    // Overlaps with the request that this batch is for.
    if (this.#ahead.length === 0 && this.#options.log.head > batch.first + batch.count)
      this.#reading = this.#read()
        .catch(() => undefined)
        .finally(() => (this.#reading = undefined));
    return batch;
  }

  /** The same batch as before, where one may have been acted on. */
  #wanted(limits: BatchLimits): BatchLimits {
    return this.#planned === 0 ? limits : { maxEvents: this.#planned, maxBytes: Number.POSITIVE_INFINITY };
  }

  /** Writes the batch down. **Errors**: `WAYBILL_DISK`; nothing is leased then. */
  async #plan(batch: LogBatch): Promise<void> {
    const before = this.#planned;
    this.#planned = batch.count;
    await this.#writeState();
    if (!this.#durableLease) return;
    try {
      await this.#options.state.sync();
    } catch (error) {
      this.#endLease(batch, 0);
      this.#planned = Math.min(before, this.#planned);
      throw error;
    }
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    const leased = this.#leased;
    assert(leased !== undefined && batch === leased, "only the leased batch is settled");
    const settled = settledPrefix(outcomes);
    await this.#options.deadLetters.keep(leased, outcomes.slice(0, settled));
    if (settled < leased.count) await this.#reading;
    for (let index = 0; index < settled; index++) {
      const outcome = outcomes[index] as Outcome;
      this.#account.settle(outcome);
      this.#options.fates?.settle(outcome);
    }
    this.#moveTo(leased, settled);
    // What is left may have been acted on.
    this.#planned = leased.count - settled;
    const before = this.#position;
    this.#endLease(leased, settled);
    if (settled > 0 || this.#position > before) await this.#writeState();
  }

  /** What was not settled is in front again, unless it was removed meanwhile. */
  #endLease(batch: LogBatch, settled: number): void {
    this.#leased = undefined;
    if (settled < batch.count) this.#ahead = [...slicePieces(batch.pieces, settled, batch.count), ...this.#ahead];
    const expired = this.#expiredAfterLease;
    this.#expiredAfterLease = 0;
    this.#expireBefore(this.#options.log.first, expired);
  }

  /** Retention has removed what is before `first`. */
  #removed(first: Position): void {
    const leased = this.#leased;
    if (leased === undefined) {
      if (this.#expireBefore(first, 0)) void this.#writeState();
      return;
    }
    const events = first - (leased.first + leased.count) - this.#expiredAfterLease;
    if (events <= 0) return;
    this.#expiredAfterLease += events;
    this.#expire(events);
    this.#ahead = fromPosition(this.#ahead, first);
  }

  /**
   * Moves the cursor on to `first`; `expired` of the events between were counted already. False
   * when it is there or beyond.
   */
  #expireBefore(first: Position, expired: number): boolean {
    if (first <= this.#position) return false;
    this.#expire(first - this.#position - expired);
    this.#options.fates?.expire(first - this.#position);
    this.#position = first;
    this.#byte = this.#options.log.firstByte;
    this.#planned = 0;
    this.#ahead = fromPosition(this.#ahead, first);
    this.#recycle();
    return true;
  }

  #expire(events: number): void {
    if (events === 0) return;
    this.#account.expire(events);
    this.#options.onExpired?.(events);
  }

  /**
   * Makes cursor and ledger durable: before retention removes what they speak of, and now and then.
   */
  async sync(): Promise<void> {
    await this.#options.state.sync();
  }

  async close(): Promise<void> {
    this.#stopListening();
    await this.#reading;
    await this.#reader?.close();
    await this.#writeState();
    await this.#options.state.close();
    await this.#options.deadLetters.close();
    await this.#options.fates?.close();
  }

  /**
   * Reads until a batch is full. Reads on at most once: at the head there is always a little more
   * coming.
   */
  async #gather(limits: BatchLimits): Promise<void> {
    if (this.#ahead.length === 0) return this.#read();
    this.#passGap();
    const last = this.#ahead.at(-1);
    if (last === undefined) return;
    const end = last.record.first + last.end;
    if (this.#position + fitting(this.#ahead, limits) < end || end >= this.#options.log.head) return;
    await this.#read();
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
      // Retention may have moved on while this was read.
      const start = Math.max(0, this.#position - record.first);
      if (start < record.count) this.#ahead.push({ record, start, end: record.count });
    }
    // Nothing whole up to the head. What was read before comes first, and what is being sent.
    const idle = this.#ahead.length === 0 && this.#leased === undefined;
    if (records.length === 0 && idle && head > this.#position) this.#skip(head);
  }

  /**
   * Positions without a record were removed by retention or are damaged: they get their outcome
   * here.
   */
  #passGap(): void {
    const next = this.#ahead[0];
    if (next === undefined) return;
    const first = next.record.first + next.start;
    if (first > this.#position) this.#skip(first);
  }

  #skip(to: Position): void {
    const removed = Math.max(0, Math.min(to, this.#options.log.first) - this.#position);
    const damaged = to - this.#position - removed;
    this.#expire(removed);
    this.#options.fates?.expire(removed);
    if (damaged > 0) this.#account.drop("log_damaged", damaged);
    this.#options.fates?.drop("log_damaged", damaged);
    this.#position = to;
  }

  /** Moves the cursor after the first `settled` events of the batch. */
  #moveTo(batch: LogBatch, settled: number): void {
    if (settled === 0) return;
    const { record, at } = batch.locate(settled - 1);
    this.#position = record.first + at + 1;
    const begins = this.#beginsAt.get(record) ?? this.#byte;
    this.#byte = at + 1 === record.count ? begins + record.sizeBytes : begins;
    this.#recycle();
  }

  /** Memory of events that are settled is used again. */
  #recycle(): void {
    while (this.#memory[0] !== undefined && this.#memory[0].end <= this.#position)
      this.#spare.push((this.#memory.shift() as { readonly buffer: Buffer }).buffer);
    // Caught up: an idle lane holds no memory.
    if (this.#memory.length === 0 && this.#ahead.length === 0) this.#spare = [];
  }

  async #writeState(): Promise<void> {
    const { fates, state } = this.#options;
    try {
      if (fates?.isLong === true) await fates.flush();
    } catch (error) {
      this.#options.onStateError?.(error);
    }
    const { delivered, rejected, expired, dropped } = this.#account.state();
    try {
      await state.write({
        base: this.#base,
        position: this.#position,
        byte: this.#byte,
        delivered,
        rejected,
        expired: expired - this.#expiredAfterLease,
        dropped,
        leased: this.#planned,
        ...(fates === undefined ? {} : { fates: fates.tail }),
        ...(this.#unkept === 0 ? {} : { unkept: this.#unkept }),
        ...(this.#vendors.length === 0 ? {} : { vendors: this.#vendors }),
      });
    } catch (error) {
      this.#options.onStateError?.(error);
    }
  }
}

/** The part of the pieces that is at `first` or after it. */
function fromPosition(pieces: readonly Piece[], first: Position): Piece[] {
  const left: Piece[] = [];
  for (const { record, start, end } of pieces) {
    const from = Math.max(start, first - record.first);
    if (from < end) left.push({ record, start: from, end });
  }
  return left;
}
