/**
 * The store of a replay: chosen events of a log, sent once more. A ledger of its own; the lane that
 * first delivered them is not touched.
 *
 * Like a lane's store it writes the batch down before it is sent and moves its cursor when the
 * outcomes are known, so a replay goes on after a crash where it was, with the same events under
 * the same keys.
 *
 * Which of the events that retention removes were chosen can be determined only before they are
 * removed: see `Replays`. Where that was not possible (the process died between) the rest is
 * expired when the replay finds no more.
 */
import type { AccountState, AccountView, Batch, BatchLimits, Outcome, Pending, Store } from "@waybill/core";
import { Account, assert, WaybillError } from "@waybill/core";
import { firstOf, fitting, LogBatch, type Piece, pieceBytes, settledPrefix, slicePieces } from "../batch.ts";
import type { Position } from "../types.ts";
import type { DurableState } from "./durable-state.ts";
import type { Fate, FateTail } from "./fate-blocks.ts";
import type { Fates } from "./fates.ts";

/** The content of a replay's state file. */
export interface ReplayState {
  /** Events that were chosen, counted before the first one was sent. */
  readonly total: number;
  /** The next position to look at. Of a batch that may have been sent, its first event's. */
  readonly cursor: Position;
  /** Events of that batch; 0 for none. */
  readonly leased: number;
  /** After its last event. Absent for none, and in states of before it was noted. */
  readonly leasedTo?: Position;
  /** How many {@link Marks} there were when that batch was chosen, if its choice depends on any. */
  readonly marks?: number;
  readonly delivered: number;
  readonly rejected: number;
  /** Absent in states of before there was a reason. */
  readonly dropped?: AccountState["dropped"];
  /** Removed by retention before their turn came. */
  readonly expired: number;
  readonly done: boolean;
  /** What became of the newest events. Absent in states of before replays kept fates. */
  readonly fates?: FateTail;
}

/** What takes events out of a choice while a replay runs: of dead letters, what became of them. */
export interface Marks {
  /** How many there have been. */
  readonly count: () => number;
  /** Whether the event at a position is still chosen. */
  readonly isChosen: (position: Position) => boolean;
}

/** Of replays that choose from the same, so that one at a time has a batch on its way. */
export interface Turn {
  /** Whether a batch may be chosen now. If not, the lane is notified when it may. */
  readonly take: () => boolean;
  /** It has nothing on its way any more. */
  readonly end: () => void;
}

export interface ReplayStoreOptions<T extends ReplayState> {
  /** Part of each batch's key. */
  readonly name: string;
  readonly state: DurableState<T>;
  /** Opened with the tail of the state. */
  readonly fates: Fates;
  /**
   * The chosen events from a position on, in order; one a piece where there are {@link Marks}.
   * `marks`: as they were chosen when there were so many.
   */
  readonly pieces: (from: Position, marks: number | undefined) => AsyncGenerator<Piece>;
  readonly marks?: Marks;
  /** Taken for what may have been sent when the store is made. Default: nothing is shared. */
  readonly turn?: Turn;
  /**
   * Called before the cursor moves past these events. **Errors**: the same batch is settled again.
   */
  readonly onSettled?: (batch: LogBatch, outcomes: readonly Outcome[]) => Promise<void>;
  /** Called when the state could not be written; the replay goes on. */
  readonly onStateError?: (error: unknown) => void;
}

/**
 * How far a replay is: the chosen events before `from` are settled or on their way, `events` of
 * them.
 */
export interface ReplayProgress {
  readonly from: Position;
  readonly events: number;
}

export class ReplayStore<T extends ReplayState> implements Store {
  readonly #options: ReplayStoreOptions<T>;
  readonly #account: Account;
  #pieces: AsyncGenerator<Piece>;
  #value: T;
  #ahead: Piece[] = [];
  #aheadEvents = 0;
  #exhausted = false;
  #leased: LogBatch | undefined;
  /** Before this position there is nothing any more. */
  #first: Position = 0;

  constructor(options: ReplayStoreOptions<T>) {
    this.#options = options;
    this.#value = options.state.initial;
    const { total, delivered, rejected, expired, dropped = {} } = this.#value;
    this.#account = new Account({ accepted: total, delivered, rejected, expired, dropped });
    this.#pieces = this.#piecesFrom(this.#value.cursor);
    if (this.#value.leased > 0) options.turn?.take();
  }

  get value(): T {
    return this.#value;
  }

  get tail(): number {
    return this.#value.total;
  }

  get settledTo(): number {
    return this.#value.done ? this.tail : Math.min(this.tail - 1, this.#account.settled);
  }

  pending(): Pending {
    // It is over when nothing more can be read, not when as many as were counted are settled.
    const events = this.#value.done ? 0 : Math.max(1, this.#left());
    // Of what is in memory: the sizes and times of the others are known when they are read.
    const leased = this.#leased;
    const bytes = this.#ahead.reduce((sum, piece) => sum + pieceBytes(piece), leased?.bytes ?? 0);
    return { events, bytes, oldestAtMs: leased?.oldestAtMs ?? this.#ahead[0]?.record.receivedAtMs };
  }

  /** accepted = chosen; a replay that is over has nothing pending, whatever it has come across. */
  account(): AccountView {
    return this.#account.view(this.#value.done ? 0 : this.#left());
  }

  progress(): ReplayProgress {
    const leased = this.#leased;
    const from = leased === undefined ? this.#value.cursor : positionAfter(leased, leased.count);
    return { from, events: this.#account.settled + (leased?.count ?? 0) };
  }

  /**
   * What is before `first` was removed; `chosen` events of it had not been reached `before`. Those
   * that have not been reached since are expired; what is on its way gets its own outcomes. Returns
   * how many are.
   */
  async expire(first: Position, chosen: number, before: ReplayProgress): Promise<number> {
    if (this.#value.done) return 0;
    this.#first = Math.max(this.#first, first);
    const { from, events } = this.progress();
    const left = this.#left() - (this.#leased?.count ?? 0);
    // It has gone on since then; or the batch in flight has come back and is in front.
    const gone =
      from > before.from ? chosen - (events - before.events) : chosen + this.#aheadBefore(Math.min(before.from, first));
    const expired = Math.max(0, Math.min(gone, left));
    this.#account.expire(expired);
    if (this.#leased === undefined) this.#options.fates.expireTo(first);
    this.#dropAhead();
    const passed = this.#leased === undefined && this.#value.cursor < first;
    const { leased, leasedTo = 0 } = this.#value;
    const cursor = passed ? { cursor: first, leased: first < leasedTo ? leased : 0 } : {};
    await this.#write({ ...cursor, expired: this.#account.state().expired });
    return expired;
  }

  #aheadBefore(position: Position): number {
    let events = 0;
    for (const { record, start, end } of this.#ahead)
      events += Math.max(0, Math.min(end, position - record.first) - start);
    return events;
  }

  /** What was read ahead of events that are gone. */
  #dropAhead(): void {
    this.#setAhead(this.#ahead.flatMap((piece) => this.#remaining(piece)));
  }

  /** The same of events that were marked since; what was chosen before stays in its batch. */
  #dropMarked(): void {
    const { marks } = this.#options;
    if (marks === undefined || this.#value.leased > 0) return;
    this.#setAhead(this.#ahead.filter(({ record, start }) => marks.isChosen(record.first + start)));
  }

  #setAhead(pieces: Piece[]): void {
    this.#ahead = pieces;
    this.#aheadEvents = pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  #remaining({ record, start, end }: Piece): readonly Piece[] {
    const from = Math.max(start, this.#first - record.first);
    return from < end ? [{ record, start: from, end }] : [];
  }

  #left(): number {
    return Math.max(0, this.#value.total - this.#account.settled);
  }

  async lease(limits: BatchLimits): Promise<Batch | undefined> {
    assert(this.#leased === undefined, "the batch before was settled");
    if (this.#options.state.isOurs?.() === false) return undefined;
    let count = 0;
    do {
      await this.#gather(limits);
      if (this.#options.turn?.take() === false) return undefined;
      this.#forgetPlan();
      // Retention may have taken what was gathered; from here to the lease nothing waits.
      this.#dropMarked();
      count = this.#fitting(limits);
      // To read further may take long.
      if (count === 0) this.#options.turn?.end();
    } while (count === 0 && !this.#exhausted);
    if (count === 0) {
      await this.#finish();
      return undefined;
    }
    const batch = new LogBatch(this.#options.name, slicePieces(this.#ahead, 0, count));
    this.#drop(count);
    this.#leased = batch;
    const marks = this.#value.leased > 0 ? undefined : this.#options.marks?.count();
    const planned = { leased: count, leasedTo: positionAfter(batch, count) };
    const change = { cursor: batch.first, ...planned, ...(marks === undefined ? {} : { marks }) };
    if (this.#isShared) this.#value = { ...this.#value, ...change };
    else await this.#write(change);
    return batch;
  }

  /**
   * Where another process may take the replay over, the batch is written down before it is sent.
   * **Errors**: why it was not; `WAYBILL_CLOSED` when the replay is another process's now.
   */
  async plan(): Promise<true> {
    const { state } = this.#options;
    if (!this.#isShared) return true;
    await state.write({ ...this.#value, fates: this.#options.fates.tail });
    if (state.isOurs?.() === false)
      throw new WaybillError("WAYBILL_CLOSED", "the replay is another process's now", { reason: "fenced" });
    return true;
  }

  /** Retention has taken all of it or, where nobody knows where it ends, its first event. */
  #forgetPlan(): void {
    const first = firstOf(this.#ahead);
    const { cursor, leasedTo = cursor + 1 } = this.#value;
    if (first !== undefined && first >= leasedTo) this.#value = { ...this.#value, leased: 0 };
  }

  get #isShared(): boolean {
    return this.#options.state.isOurs !== undefined;
  }

  /** The same batch as before, where one may have been acted on: what is left of it, alone. */
  #fitting(limits: BatchLimits): number {
    const { leased, leasedTo = Number.POSITIVE_INFINITY } = this.#value;
    const planned = Math.min(leased, this.#aheadBefore(leasedTo));
    return fitting(this.#ahead, limits, { gaps: "are chosen", planned });
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    const leased = this.#leased;
    assert(leased !== undefined && batch === leased, "only the leased batch is settled");
    const settled = settledPrefix(outcomes);
    await this.#options.onSettled?.(leased, outcomes.slice(0, settled));
    this.#settleAll(leased, outcomes, settled);
    this.#leased = undefined;
    const rest = slicePieces(leased.pieces, settled, leased.count);
    const again = rest.flatMap((piece) => this.#remaining(piece));
    const left = again.reduce((sum, { start, end }) => sum + end - start, 0);
    // What would have to be sent again and is gone from the log.
    this.#account.expire(leased.count - settled - left);
    this.#options.fates.expireTo(this.#first);
    this.#ahead = [...again, ...this.#ahead];
    this.#aheadEvents += left;
    const { delivered, rejected, dropped, expired } = this.#account.state();
    const next = firstOf(again) ?? (settled === 0 ? this.#value.cursor : positionAfter(leased, settled));
    await this.#write({ cursor: Math.max(this.#first, next), delivered, rejected, dropped, expired, leased: left });
    if (left === 0) this.#options.turn?.end();
  }

  /** The first `settled` events of the batch have their outcomes. */
  #settleAll({ pieces }: LogBatch, outcomes: readonly Outcome[], settled: number): void {
    const { fates } = this.#options;
    let index = 0;
    for (const { record, start, end } of pieces)
      for (let at = start; at < end && index < settled; at++) {
        const outcome = outcomes[index++] as Outcome;
        this.#account.settle(outcome);
        fates.skipTo(record.first + at);
        fates.settle(outcome);
      }
  }

  /** What became of the event at `position` in this replay; `pending` before its turn. */
  async fateAt(position: Position): Promise<Fate | { readonly status: "pending" }> {
    const fate = await this.#options.fates.at(position);
    // After the last one that was settled nothing is known yet.
    return fate.status === "unknown" && !this.#value.done && position >= this.#value.cursor
      ? { status: "pending" }
      : fate;
  }

  sync(): Promise<void> {
    return this.#options.state.sync();
  }

  async close(): Promise<void> {
    await this.#pieces.return(undefined);
    await this.#options.state.close();
    await this.#options.fates.close();
  }

  /** Reads until a batch is full. */
  async #gather(limits: BatchLimits): Promise<void> {
    const full = this.#value.leased === 0 ? limits.maxEvents : this.#value.leased;
    for (;;) {
      const count = this.#fitting(limits);
      if (count < this.#aheadEvents || this.#exhausted || count >= full) return;
      const { value, done } = await this.#next();
      if (done === true) this.#exhausted = true;
      else
        for (const piece of this.#remaining(value)) {
          this.#ahead.push(piece);
          this.#aheadEvents += piece.end - piece.start;
        }
    }
  }

  /** **Errors**: those of the pieces; the next call reads on from the same place. */
  async #next(): Promise<IteratorResult<Piece>> {
    try {
      return await this.#pieces.next();
    } catch (error) {
      // A generator that has thrown is over, and there may be more.
      const last = this.#ahead.at(-1);
      const from = last === undefined ? this.#value.cursor : last.record.first + last.end;
      this.#pieces = this.#piecesFrom(from);
      throw error;
    }
  }

  /** A batch that may have been acted on is chosen as it was. */
  #piecesFrom(from: Position): AsyncGenerator<Piece> {
    const { leased, marks } = this.#value;
    return this.#options.pieces(from, leased > 0 ? marks : undefined);
  }

  #drop(count: number): void {
    this.#ahead = slicePieces(this.#ahead, count, Number.POSITIVE_INFINITY);
    this.#aheadEvents -= count;
  }

  /** All that could be read is settled: what was counted but never came was removed meanwhile. */
  async #finish(): Promise<void> {
    if (this.#value.done) return;
    this.#account.expire(this.#left());
    await this.#write({ expired: this.#account.state().expired, leased: 0, done: true });
  }

  async #write(change: Partial<ReplayState>): Promise<void> {
    this.#value = { ...this.#value, ...change };
    const { fates } = this.#options;
    try {
      if (fates.isLong) await fates.flush();
    } catch (error) {
      this.#options.onStateError?.(error);
    }
    this.#value = { ...this.#value, fates: fates.tail };
    try {
      await this.#options.state.write(this.#value);
    } catch (error) {
      this.#options.onStateError?.(error);
    }
  }
}

/** The position after the first `settled` events. */
function positionAfter(batch: LogBatch, settled: number): Position {
  const { record, at } = batch.locate(settled - 1);
  return record.first + at + 1;
}
