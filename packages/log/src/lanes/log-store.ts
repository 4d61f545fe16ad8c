/**
 * A lane's store over the log: its strands, the ledger of the destination, and what was read ahead.
 *
 * Strands and ledger are written together (see lane-state.ts), after the dead letters they speak of
 * are durable. So after a crash between any two steps the same events come again, and nothing is
 * counted twice:
 *
 *   send
 *     -> [crash: sent again under the same ids]
 *   dead letters synced
 *     -> [crash: sent again; a dead letter already kept for that position is not written again]
 *   strands and ledger written
 *     -> next batch
 *
 * A batch is written down with its strand before its first attempt, and for as long as it may have
 * been acted on without our knowing: whatever happens, the same events go again in the same batch
 * under the same key.
 *
 * A state that cannot be written (the disk fails) is kept in memory and written with the next one:
 * delivery goes on.
 *
 * Retention may remove what the lane still needs. All of it but the batches on their way is expired
 * in that moment, read ahead or not; a batch gets its own outcomes, and what of it would have to be
 * sent again is expired then.
 */
import {
  Account,
  type AccountView,
  assert,
  type Batch,
  type BatchLimits,
  type Clock,
  isOpen,
  type Outcome,
  type Pending,
  type Store,
} from "@waybill/core";
import { fitting, LogBatch, type Piece } from "../batch.ts";
import type { Log, LogRecord, Position } from "../types.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { type Fate, totalOf } from "./fate-blocks.ts";
import type { Fates } from "./fates.ts";
import type { LaneState } from "./lane-state.ts";
import {
  type LaneStateValue,
  type LaneVendor,
  parkedText,
  parseParked,
  parseStrands,
  strandsText,
  withVendor,
} from "./lane-value.ts";
import { Parked, type ParkedUser } from "./parked.ts";
import { ReadAhead, ReadMemory } from "./read-ahead.ts";
import { type OrderHashes, type Strand, Strands } from "./strands.ts";

export interface LogStoreOptions {
  readonly name: string;
  readonly log: Log;
  readonly state: LaneState<LaneStateValue>;
  readonly deadLetters: DeadLetters;
  readonly clock: Pick<Clock, "monotonic">;
  /**
   * Opened with {@link fateTailOf} the state. Absent where the fate of single events is not needed.
   */
  readonly fates?: Fates;
  /** Shared by all lanes of a process. Default: one of its own. */
  readonly memory?: ReadMemory;
  /** Called when the state could not be written; delivery goes on. */
  readonly onStateError?: (error: unknown) => void;
  /**
   * Called with the number of events that retention took from the lane, when it did or at the next
   * start. Must not throw.
   */
  readonly onExpired?: (events: number) => void;
  readonly delivery?: Partial<LogStoreDelivery>;
}

/** How a lane's events leave; a reload may change it. */
export interface LogStoreDelivery {
  /**
   * Whether a batch is written down durably before it is sent: for a destination that recognises a
   * duplicate by the key of its batch. One that knows it by the ids of the events does not need the
   * sync; a power cut may then change how the last second's events are batched.
   */
  readonly durableLease: boolean;
  /** `arrival`: one strand. `user`: by the order hash. `none`: each record on its own. */
  readonly order: "user" | "arrival" | "none";
  /** Whose events they are; needed for the order of users. Must be the same in every version. */
  readonly orderOf: ((record: LogRecord) => OrderHashes) | undefined;
  /** How many batches may be on their way. */
  readonly maxInFlight: () => number;
  /** How long a parked event may have failed while others passed before it is given up. */
  readonly giveUpAfterMs: number;
}

const DELIVERY: LogStoreDelivery = {
  durableLease: false,
  order: "arrival",
  orderOf: undefined,
  maxInFlight: () => 1,
  giveUpAfterMs: Number.POSITIVE_INFINITY,
};

/**
 * A round trip that takes longer than this, and as much again for each KiB, is mostly waiting: the
 * lane is bound by latency.
 */
const WAITING_ABOVE_MS = 2;
const PER_KIB_MS = 0.05;
const KIB = 1024;
/** Read on for a fuller batch only if so much waits. */
const BACKLOG_BYTES = 768 * KIB;

/** Positions without a record: removed by retention, or damaged. */
interface Gap {
  readonly from: Position;
  readonly to: Position;
  readonly expired: number;
  readonly damaged: number;
  /** The ledger has them already. */
  readonly counted: boolean;
}

/** A batch on its way. */
interface Lease {
  readonly strand: Strand | undefined;
  readonly user: ParkedUser | undefined;
  readonly atMs: number;
  /** It still has to be written down. */
  planning: boolean;
  /** That it could have had. */
  readonly maxEvents: number;
}

export class LogStore implements Store {
  readonly #options: LogStoreOptions;
  #delivery: LogStoreDelivery;
  readonly #account: Account;
  #base: Position;
  readonly #strands: Strands;
  readonly #parked: Parked;
  readonly #readAhead: ReadAhead;
  readonly #leases = new Map<Batch, Lease>();
  #leasedEvents = 0;
  #leasedBytes = 0;
  /** Every event before it was read. */
  #readTo: Position;
  /** Up to here there are events, not read since the start, that are settled; how many. */
  readonly #rereadTo: Position;
  #settledUnread: number;
  /** Not passed by the frontier yet, in order. */
  #gaps: Gap[] = [];
  /** Every event before it is settled or parked. */
  #frontier: Position;
  /** Events accepted up to here are in the ledger. */
  #countedTo: Position;
  /** What is to be removed next. */
  #removing: Position = 0;
  #reading: Promise<void> | undefined;
  /** No more is read until all strands are one again. */
  #joining = false;
  /** Of all batches. */
  #largestBytes = 0;
  #deliveredAt = Number.NEGATIVE_INFINITY;
  readonly #hashes = new WeakMap<LogRecord, OrderHashes>();
  readonly #stopListening: () => void;
  /** Events that were settled before the lane kept fates. */
  readonly #unkept: number;
  #vendors: readonly LaneVendor[];
  #writing: Promise<void> | undefined;
  #nextWrite: Promise<void> | undefined;
  /** Batches whose dead letters are being kept, and how many dead letters there were before. */
  #keeping = 0;
  #deadBefore = 0;
  /** What the strands are made by: a change waits until they are one. */
  #order: LogStoreDelivery["order"];

  constructor(options: LogStoreOptions) {
    this.#options = options;
    this.#delivery = { ...DELIVERY, ...options.delivery };
    const { log, clock, fates } = options;
    const state = options.state.initial;
    // A log that lost its end (a damaged disk) gives positions out again: do not skip the new
    // events that get them.
    const position = Math.min(state.position, log.head);
    const isCut = position < state.position;
    const strands = isCut || state.strands === undefined ? undefined : parseStrands(state.strands, position);
    this.#strands = new Strands(
      (strands ?? [{ residue: 0, modulus: 1, position, planned: isCut ? 0 : (state.leased ?? 0) }]).map((strand) => ({
        ...strand,
        position: Math.min(strand.position, log.head),
      })),
    );
    const parked = isCut || state.parked === undefined ? [] : (parseParked(state.parked, position) ?? []);
    this.#parked = new Parked(parked, clock.monotonic());
    this.#base = state.base - (state.position - position);
    this.#readTo = position;
    this.#frontier = Math.max(position, isCut ? 0 : (state.frontier ?? 0));
    this.#settledUnread = isCut ? 0 : (state.ahead ?? 0);
    this.#rereadTo = this.#strands.all.reduce((end, { from }) => Math.max(end, from), this.#frontier);
    this.#readAhead = new ReadAhead(log, options.memory ?? new ReadMemory(), { position, byte: state.byte });
    this.#countedTo = position;
    this.#vendors = state.vendors ?? [];
    this.#account = new Account({ ...state, accepted: position - this.#base });
    this.#unkept = state.fates === undefined ? this.#account.settled : (state.unkept ?? 0);
    this.#order = state.order ?? this.#delivery.order;
    if (isCut) fates?.rewind(position);
    if (log.first > position) this.#lostBefore(log.first, state);
    this.#stopListening = log.onRemove((first) => this.#removed(first));
  }

  /** The oldest event this lane still needs: retention keeps it. */
  get neededFrom(): Position {
    return Math.min(this.#frontier, this.#parked.first?.position ?? this.#frontier);
  }

  /** Where the lane began: events before were never meant for it. */
  get base(): Position {
    return this.#base;
  }

  get tail(): number {
    return this.#options.log.head;
  }

  get settledTo(): number {
    return this.neededFrom;
  }

  /** Strands there are now, and users whose events are set aside. */
  get shape(): { readonly strands: number; readonly parkedUsers: number; readonly parkedEvents: number } {
    return { strands: this.#strands.count, parkedUsers: this.#parked.size, parkedEvents: this.#parked.events };
  }

  /**
   * From its cursor on the lane delivers to this vendor. Returns the one it delivered to before,
   * when that was another.
   */
  deliversTo(vendor: string): string | undefined {
    const before = this.#vendors.at(-1)?.name;
    if (before === vendor) return undefined;
    this.#vendors = withVendor(this.#vendors, vendor, before === undefined ? 0 : this.#frontier);
    void this.#writeState();
    return before;
  }

  /** Which vendor an event was, or will be, delivered to. */
  vendorAt(position: Position): string | undefined {
    return this.#vendors.findLast(({ from }) => from <= position)?.name;
  }

  /** The destination is another vendor's now, or its settings have changed. */
  reconfigure(changes: Partial<LogStoreDelivery>): void {
    this.#delivery = { ...this.#delivery, ...changes };
  }

  pending(): Pending {
    const { log } = this.#options;
    const unread = log.head - this.#readTo - this.#settledUnread;
    const held = this.#parked.events;
    const events = unread + this.#strands.events + this.#leasedEvents + held + this.#uncounted;
    if (events === 0) return { events: 0, bytes: 0, oldestAtMs: undefined };
    const unreadBytes = log.headByte - Math.max(this.#readAhead.byte, log.firstByte);
    const bytes = unreadBytes + this.#strands.bytes + this.#leasedBytes;
    const oldestAtMs = (): number | undefined => this.#oldestAtMs();
    return {
      events,
      bytes: Math.max(0, bytes),
      held,
      get oldestAtMs() {
        return oldestAtMs();
      },
    };
  }

  get #uncounted(): number {
    let events = 0;
    for (const { counted, expired, damaged } of this.#gaps) if (!counted) events += expired + damaged;
    return events;
  }

  /**
   * Known of what is in memory, and of the log's first event: the cursor of a lane that lost events
   * to retention is there.
   */
  #oldestAtMs(): number | undefined {
    const { log } = this.#options;
    const inMemory = this.#strands.first(Number.POSITIVE_INFINITY).record?.receivedAtMs;
    return inMemory ?? (this.#frontier === log.first ? log.oldestAtMs : undefined);
  }

  account(): AccountView {
    const { head } = this.#options.log;
    this.#account.accept(head - this.#countedTo);
    this.#countedTo = head;
    return this.#account.view(this.pending().events);
  }

  /**
   * Settled events whose fate is lost; 0 unless a disk failed or something was damaged. Never below
   * 0 while the ledger is right.
   */
  get unknownFates(): number {
    const { fates } = this.#options;
    if (fates === undefined || this.#readTo < this.#rereadTo) return 0;
    return this.#account.settled - this.#settledFrom(fates.end) - this.#unkept - totalOf(fates.counts());
  }

  /** Events from a position on that are settled, as far as they were read or counted. */
  #settledFrom(position: Position): number {
    const unsettled = this.#strands.events + this.#leasedEvents + this.#uncounted + this.#parkedFrom(position);
    return Math.max(0, this.#readTo - position) - unsettled + this.#settledUnread;
  }

  #parkedFrom(position: Position): number {
    return position <= this.neededFrom ? this.#parked.events : this.#parked.eventsFrom(position);
  }

  /**
   * What became of the event at `position`; `pending` before it is settled, `not_addressed` before
   * the lane began.
   */
  async fateAt(position: Position): Promise<Fate | { readonly status: "pending" | "not_addressed" }> {
    const { fates, log } = this.#options;
    if (position < this.#base) return { status: "not_addressed" };
    while (position >= this.#readTo && position < Math.min(this.#rereadTo, log.head)) await this.#readOn();
    if (this.#parked.holds(position)) return { status: "pending" };
    if (position < (fates?.end ?? this.#frontier)) return (await fates?.at(position)) ?? { status: "unknown" };
    const gap = this.#gaps.find(({ from, to }) => from <= position && position < to);
    if (gap?.counted === true) return { status: "expired" };
    if (gap !== undefined || position >= this.#readTo || this.#strands.has(position)) return { status: "pending" };
    return fates?.aheadAt(position) ?? { status: fates === undefined ? "unknown" : "delivered" };
  }

  async lease(limits: BatchLimits): Promise<Batch | undefined> {
    await this.#reading?.catch(() => undefined);
    const parked = await this.#leaseParked(limits);
    if (parked !== undefined) return parked;
    let readOn = true;
    for (;;) {
      this.#joinStrands(limits);
      const chosen = this.#choose(limits);
      const mayRead = !this.#joining && this.#options.log.head > this.#readTo && this.#readAhead.hasRoom;
      if (chosen !== undefined && (chosen.isFull || !mayRead || !readOn))
        return this.#lease(chosen.strand, chosen.count, limits);
      if (!mayRead || (chosen === undefined && !this.#strands.isWanting)) return undefined;
      // At the head there is always a little more coming.
      readOn = this.#strands.only === undefined && this.#options.log.headByte - this.#readAhead.byte > BACKLOG_BYTES;
      await this.#readOn();
    }
  }

  /**
   * When what waits is less than a batch the lane has caught up: nothing more is read until the
   * strands have sent what they have, and then they are one. So it is when they are to be made
   * otherwise.
   */
  #joinStrands({ maxEvents }: BatchLimits): void {
    const { order } = this.#delivery;
    const hasChanged = order !== this.#order;
    if (this.#strands.only === undefined || (hasChanged && this.#parked.size > 0)) {
      const unread = this.#options.log.head - this.#readTo;
      const isDone = unread < maxEvents && this.#strands.events < maxEvents;
      this.#joining = (isDone || hasChanged) && this.#readTo >= this.#rereadTo;
      if (!this.#joining || this.#parked.size > 0 || !this.#strands.join(this.#readTo)) return;
    }
    this.#joining = false;
    this.#order = order;
  }

  /** The strand to lease from, and how many events. */
  #choose(
    limits: BatchLimits,
  ): { readonly strand: Strand; readonly count: number; readonly isFull: boolean } | undefined {
    const { count: strands, only } = this.#strands;
    const enough = only === undefined ? this.#readAhead.batchBytes(strands) : Number.POSITIVE_INFINITY;
    for (const strand of this.#strands.waiting()) {
      const fits = this.#strands.fitting(strand, limits);
      const count = this.#unblocked(strand, fits);
      if (count === 0) continue;
      const { events, bytes } = this.#strands.queued(strand);
      const isFull = count < events || count >= limits.maxEvents || count === strand.planned || bytes >= enough;
      return { strand, count, isFull };
    }
    return undefined;
  }

  /** How many of a strand's first `count` events need not wait for another strand. */
  #unblocked(strand: Strand, count: number): number {
    if (this.#strands.only !== undefined && this.#parked.size === 0) return count;
    let free = 0;
    for (const { record, start, end } of [...strand.queue]) {
      if (free >= count) return count;
      if (this.#parked.size === 0 && this.#tiesOf(record) === undefined) {
        free += end - start;
        continue;
      }
      for (let at = start; at < end; at++) {
        if (free === count) return free;
        if (this.#isBlocked(strand, record, at))
          return this.#setAside(strand, record, at) ? this.#unblocked(strand, count) : free;
        free += 1;
      }
    }
    return Math.min(free, count);
  }

  #isBlocked(strand: Strand, record: LogRecord, at: number): boolean {
    const tie = this.#tieAt(record, at);
    if (tie !== 0) {
      const other = this.#strands.strandOf(tie);
      if (other !== strand && this.#strands.firstOf(other, this.#readTo) < record.first + at) return true;
    }
    if (this.#parked.size === 0) return false;
    return this.#parked.has(this.#hashAt(record, at)) || (tie !== 0 && this.#parked.has(tie));
  }

  /** An event that waits for a parked user joins those that do, and so do its own user's. */
  #setAside(strand: Strand, record: LogRecord, at: number): boolean {
    const hash = this.#hashAt(record, at);
    if (this.#hold(record, at) !== "held") return false;
    strand.planned = 0;
    this.#strands.take(strand, (one, index) => this.#hashAt(one, index) === hash && this.#hold(one, index) === "held");
    return true;
  }

  #hold(record: LogRecord, at: number): "held" | "full" | "none" {
    const byte = this.#readAhead.beginOf(record) ?? 0;
    return this.#parked.hold(this.#hashAt(record, at), this.#tieAt(record, at), { position: record.first + at, byte });
  }

  #lease(strand: Strand, count: number, limits: BatchLimits): Batch {
    const planned = strand.planned === count;
    const batch = this.#strands.lease(strand, count, (pieces) => this.#batchOf(pieces, false));
    strand.planned = count;
    // A batch of one is the same again without a plan where none is larger.
    const { maxEvents } = limits;
    const planning = !planned && (maxEvents > 1 || this.#delivery.durableLease);
    this.#addLease(batch, { strand, user: undefined, planning, maxEvents });
    // Overlaps with the request that this batch is for.
    const { log } = this.#options;
    if (this.#strands.events === 0 && log.head > this.#readTo && !this.#joining)
      void this.#readOn().catch(() => undefined);
    return batch;
  }

  #addLease(batch: LogBatch, lease: Omit<Lease, "atMs">): void {
    this.#leases.set(batch, { ...lease, atMs: this.#options.clock.monotonic() });
    if (lease.strand === undefined) return;
    this.#leasedEvents += batch.count;
    this.#leasedBytes += batch.bytes;
  }

  #batchOf(pieces: readonly Piece[], parked: boolean): LogBatch {
    const hashAt = this.#order === "arrival" ? undefined : this.#hashAt.bind(this);
    return new LogBatch(this.#options.name, pieces, { parked, hashAt });
  }

  /** A parked event that is to be tried again, or what waited behind one that has its outcome. */
  async #leaseParked(limits: BatchLimits): Promise<Batch | undefined> {
    const user = this.#parked.due(this.#options.clock.monotonic());
    if (user === undefined) return undefined;
    const several = user.passing && !this.#delivery.durableLease;
    const pieces: Piece[] = [];
    for (const { position, byte } of user.events.slice(0, several ? limits.maxEvents : 1)) {
      const record = await this.#recordAt(position, byte);
      if (record === undefined) {
        if (pieces.length > 0) break;
        this.#settleHeld(user, position, { status: "dropped", reason: "log_damaged" });
        await this.#writeState();
        return this.#leaseParked(limits);
      }
      const start = position - record.first;
      pieces.push({ record, start, end: start + 1 });
      if (fitting(pieces, limits, { gaps: "are chosen" }) < pieces.length) {
        pieces.pop();
        break;
      }
    }
    user.leased = true;
    const batch = this.#batchOf(pieces, true);
    this.#addLease(batch, { strand: undefined, user, planning: false, maxEvents: limits.maxEvents });
    return batch;
  }

  async #recordAt(position: Position, byte: number): Promise<LogRecord | undefined> {
    const reader = this.#options.log.reader({ position, byte });
    try {
      const [record] = await reader.read(1);
      return record !== undefined && record.first <= position ? record : undefined;
    } finally {
      await reader.close();
    }
  }

  /** **Errors**: `WAYBILL_DISK`, where the batch has to be durable before it is sent. */
  async plan(batch: Batch): Promise<true> {
    const lease = this.#leases.get(batch);
    if (lease?.planning !== true) return true;
    await this.#writeState();
    if (this.#delivery.durableLease) await this.#options.state.sync();
    lease.planning = false;
    return true;
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    const lease = this.#leases.get(batch);
    assert(lease !== undefined && batch instanceof LogBatch, "only a leased batch is settled");
    if (lease.user !== undefined) await this.#settleParked(batch, lease.user, outcomes);
    else await this.#settleStrand(batch, lease.strand as Strand, outcomes);
  }

  async #settleStrand(batch: LogBatch, strand: Strand, outcomes: readonly Outcome[]): Promise<void> {
    const settled = this.#settledPrefix(batch, outcomes);
    await this.#keepDead(batch, outcomes.slice(0, settled));
    const lease = this.#leases.get(batch) as Lease;
    this.#leases.delete(batch);
    this.#leasedEvents -= batch.count;
    this.#leasedBytes -= batch.bytes;
    const fates = this.#options.fates;
    const mindsDelivered = fates?.mindsDelivered ?? false;
    for (let index = 0; index < settled; index++) {
      const outcome = outcomes[index] as Outcome;
      if (outcome.status === "parked") {
        this.#park(batch, index);
        continue;
      }
      this.#account.settle(outcome);
      if (outcome.status === "delivered") this.#deliveredAt = this.#options.clock.monotonic();
      if (outcome.status !== "delivered" || mindsDelivered) fates?.settleAhead(positionOf(batch, index), outcome);
    }
    this.#strands.endLease(strand, settled);
    this.#takeParked(strand);
    this.#expireQueued(this.#options.log.first);
    if (settled === batch.count) this.#maySplit(strand, batch, lease);
    this.#advance();
    await this.#writeState();
  }

  /** Events before the first one that has to be sent again, or that there is no room to park. */
  #settledPrefix(batch: LogBatch, outcomes: readonly Outcome[]): number {
    const hashes = new Set<number>();
    for (const [index, outcome] of outcomes.entries()) {
      if (isOpen(outcome)) return index;
      if (outcome.status !== "parked") continue;
      const hash = batch.orderHash(index);
      if (!this.#parked.has(hash)) hashes.add(hash);
      if (hashes.size > this.#parked.room) return index;
    }
    return outcomes.length;
  }

  #park(batch: LogBatch, index: number): void {
    const { record, at } = batch.locate(index);
    const byte = this.#readAhead.beginOf(record) ?? 0;
    const held = { position: record.first + at, byte };
    this.#parked.park(this.#hashAt(record, at), held, this.#options.clock.monotonic());
  }

  /** Later events of parked users that were read already join those that wait. */
  #takeParked(strand: Strand): void {
    if (this.#parked.size === 0) return;
    const taken = this.#strands.take(
      strand,
      (record, at) => this.#parked.has(this.#hashAt(record, at)) && this.#hold(record, at) === "held",
    );
    if (taken > 0) strand.planned = 0;
  }

  async #keepDead(batch: LogBatch, outcomes: readonly Outcome[]): Promise<void> {
    const { deadLetters } = this.#options;
    if (this.#keeping === 0) this.#deadBefore = deadLetters.log.head;
    this.#keeping += 1;
    try {
      await deadLetters.keep(batch, outcomes);
    } finally {
      this.#keeping -= 1;
    }
  }

  async #settleParked(batch: LogBatch, user: ParkedUser, given: readonly Outcome[]): Promise<void> {
    const { clock } = this.#options;
    const outcomes = [...given];
    let settled = outcomes.findIndex((outcome) => isOpen(outcome) || outcome.status === "parked");
    if (settled === -1) settled = outcomes.length;
    const failed = outcomes[settled];
    const now = clock.monotonic();
    const othersPassed = this.#deliveredAt > user.triedAt;
    const failedMs = settled === 0 ? user.failedMs + (othersPassed ? now - user.triedAt : 0) : 0;
    const isGivenUp = failed?.status === "parked" && failedMs >= this.#delivery.giveUpAfterMs;
    if (isGivenUp) {
      outcomes[settled] = { status: "rejected", reason: `poison: ${failed.reason}` };
      settled += 1;
    }
    await this.#keepDead(batch, outcomes.slice(0, settled));
    this.#leases.delete(batch);
    user.leased = false;
    for (let index = 0; index < settled; index++)
      this.#settleHeld(user, positionOf(batch, index), outcomes[index] as Outcome);
    if (failed?.status === "parked" && !isGivenUp) this.#parked.failed(user, now, othersPassed);
    this.#expireQueued(this.#options.log.first);
    this.#advance();
    await this.#writeState();
  }

  #settleHeld(user: ParkedUser, position: Position, outcome: Outcome): void {
    const { fates } = this.#options;
    this.#account.settle(outcome);
    this.#parked.settled(user);
    if (position < (fates?.end ?? 0)) fates?.patch(position, outcome);
    else fates?.settleAhead(position, outcome);
  }

  /** A strand that waits for its vendor most of the time, and has more to send, becomes two. */
  #maySplit(strand: Strand, batch: LogBatch, { atMs, maxEvents }: Lease): void {
    const { clock, log } = this.#options;
    const { order, orderOf, maxInFlight } = this.#delivery;
    if (order === "arrival" || order !== this.#order || (order === "user" && orderOf === undefined)) return;
    const waitedMs = clock.monotonic() - atMs;
    // Where each event is a request of its own, most of the time is always spent waiting.
    const isWaiting = maxEvents === 1 || waitedMs > WAITING_ABOVE_MS + (PER_KIB_MS * batch.bytes) / KIB;
    const backlog = log.head - this.#readTo + this.#strands.events;
    this.#largestBytes = Math.max(this.#largestBytes, batch.bytes);
    // Twice as many as may be in flight: some have little to send.
    const most = Math.min(2 * maxInFlight(), this.#readAhead.strandsOf(this.#largestBytes));
    if (!isWaiting || backlog <= batch.count || this.#strands.count >= most || this.#joining) return;
    this.#strands.split(strand, (record, at) => this.#strandHashAt(record, at));
  }

  /** The order hash of an event: its user's, or one of its own. */
  #hashAt(record: LogRecord, at: number): number {
    const hash = this.#order === "none" ? 0 : this.#hashesOf(record)?.hashes[at];
    return hash || mixed(record.first + at);
  }

  /** Which strand it is in: where there is no order, records stay whole. */
  #strandHashAt(record: LogRecord, at: number): number {
    return this.#order === "none" ? mixed(record.first) : this.#hashAt(record, at);
  }

  #tieAt(record: LogRecord, at: number): number {
    return this.#tiesOf(record)?.[at] ?? 0;
  }

  #tiesOf(record: LogRecord): Uint32Array | undefined {
    return this.#order === "none" ? undefined : this.#hashesOf(record)?.ties;
  }

  #hashesOf(record: LogRecord): OrderHashes | undefined {
    let hashes = this.#hashes.get(record);
    if (hashes !== undefined || this.#delivery.orderOf === undefined) return hashes;
    hashes = this.#delivery.orderOf(record);
    this.#hashes.set(record, hashes);
    return hashes;
  }

  /** Moves the frontier on to the first event that is not settled. */
  #advance(): void {
    const { fates } = this.#options;
    const to = Math.max(this.#frontier, this.#strands.first(this.#readTo).position);
    const pass = (position: Position): void =>
      fates?.passTo(position, (one) => this.#parked.holds(one), this.#parked.size > 0);
    while (this.#gaps[0] !== undefined && this.#gaps[0].from < to) {
      const { from, expired, damaged, counted } = this.#gaps.shift() as Gap;
      pass(from);
      if (!counted) this.#expire(expired);
      if (!counted && damaged > 0) this.#account.drop("log_damaged", damaged);
      fates?.expire(expired);
      fates?.drop("log_damaged", damaged);
    }
    pass(to);
    this.#frontier = to;
    this.#readAhead.recycle(to);
  }

  /** Retention has removed what is before `first`. */
  #removed(first: Position): void {
    const before = this.#account.state().expired;
    this.#expireQueued(first);
    this.#expireUnread(first);
    this.#advance();
    if (this.#account.state().expired > before) void this.#writeState();
  }

  /** What was read and is not on its way. */
  #expireQueued(first: Position): void {
    if (first <= this.neededFrom) return;
    const { fates } = this.#options;
    const queued = this.#strands.removeBefore(first);
    for (const position of queued) fates?.expireAhead(position);
    const held = this.#parked.removeBefore(first);
    for (const position of held)
      if (position < (fates?.end ?? 0)) fates?.patch(position, "expired");
      else fates?.expireAhead(position);
    this.#expire(queued.length + held.length);
  }

  #expireUnread(first: Position): void {
    const unread = first - this.#readTo;
    if (unread <= 0) return;
    const settled = Math.min(unread, this.#settledUnread);
    this.#settledUnread -= settled;
    this.#expire(unread - settled);
    this.#gaps.push({ from: this.#readTo, to: first, expired: unread, damaged: 0, counted: true });
    this.#readTo = first;
  }

  /** At the start: retention has taken events that the state knows nothing of. */
  #lostBefore(first: Position, { removing }: LaneStateValue): void {
    const from = this.#readTo;
    const known = removing?.first === first ? removing.settled : this.#settledUnread;
    const settled = Math.min(first - from, known, this.#settledUnread);
    this.#settledUnread -= settled;
    this.#expire(first - from - settled);
    this.#options.fates?.passExpired(first);
    this.#parked.removeBefore(first);
    this.#strands.skipTo(first);
    this.#readTo = first;
    this.#frontier = Math.max(this.#frontier, first);
    void this.#writeState();
  }

  #expire(events: number): void {
    if (events === 0) return;
    this.#account.expire(events);
    this.#options.onExpired?.(events);
  }

  /**
   * Before retention removes what is before `first`: makes durable which of these events are
   * settled. **Errors**: `WAYBILL_DISK`.
   */
  async expiring(first: Position): Promise<void> {
    if (this.#strands.only !== undefined && this.#parked.size === 0) return;
    if (first <= this.neededFrom) return;
    const { fates } = this.#options;
    for (let position = fates?.end ?? first; position < Math.min(first, this.#readTo); position++)
      if (!this.#parked.holds(position) && !this.#strands.has(position)) fates?.writeDelivered(position);
    this.#removing = first;
    await this.#writeState();
    await this.sync();
  }

  /**
   * Makes strands and ledger durable: before retention removes what they speak of, and now and
   * then.
   */
  async sync(): Promise<void> {
    await this.#options.state.sync();
  }

  async close(): Promise<void> {
    this.#stopListening();
    await this.#reading?.catch(() => undefined);
    await this.#readAhead.close();
    await this.#writeState();
    await this.#options.state.close();
    await this.#options.deadLetters.close();
    await this.#options.fates?.close();
  }

  /** Reads the next records; one read at a time. **Errors**: `WAYBILL_DISK`. */
  #readOn(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    const { log } = this.#options;
    // What is appended while we read may be missing from the answer without being damaged.
    const { head } = log;
    const records = await this.#readAhead.read();
    for (const record of records) this.#place(record);
    // Nothing whole up to the head.
    if (records.length === 0 && head > this.#readTo) this.#passGap(head);
    if (this.#readTo >= this.#rereadTo) this.#endReread();
    this.#advance();
  }

  /** Puts each event of a record where it belongs. */
  #place(record: LogRecord): void {
    // Retention may have moved on while this was read.
    if (record.first > this.#readTo) this.#passGap(record.first);
    const start = Math.max(0, this.#readTo - record.first);
    if (start >= record.count) return;
    this.#readTo = record.first + record.count;
    const whole = this.#order === "none" ? this.#strands.strandOf(mixed(record.first)) : this.#strands.only;
    if (whole !== undefined && this.#parked.size === 0 && record.first + start >= whole.from)
      return this.#strands.push(whole, record, start, record.count);
    for (let at = start; at < record.count; at++) this.#placeEvent(record, at);
  }

  #placeEvent(record: LogRecord, at: number): void {
    const position = record.first + at;
    const strand = this.#strands.strandOf(this.#strandHashAt(record, at));
    const held = this.#parked.size === 0 ? "none" : this.#hold(record, at);
    if (held === "held") return;
    if (held === "none" && position < strand.from) {
      this.#settledUnread -= 1;
      return;
    }
    this.#strands.push(strand, record, at, at + 1);
    if (position < this.#rereadTo) this.#options.fates?.forgetAhead(position);
  }

  /**
   * Positions without a record were removed by retention or are damaged: they get their outcome
   * when all before them have theirs.
   */
  #passGap(to: Position): void {
    const passed = Math.min(to, Math.max(this.#readTo, this.#frontier));
    this.#settledUnread -= passed - this.#readTo;
    const expired = Math.max(0, Math.min(to, this.#options.log.first) - passed);
    const damaged = to - passed - expired;
    if (to > passed) this.#gaps.push({ from: passed, to, expired, damaged, counted: false });
    this.#readTo = to;
  }

  /**
   * What was settled before the start was read again. Settled events that were not found are in a
   * damaged part, and counted as damaged too.
   */
  #endReread(): void {
    if (this.#settledUnread !== 0) this.#base -= this.#settledUnread;
    if (this.#settledUnread !== 0) this.#account.accept(this.#settledUnread);
    this.#settledUnread = 0;
    this.#parked.allRead();
  }

  /** Any number of calls at once share two writes: the one under way, and one after it. */
  #writeState(): Promise<void> {
    if (this.#writing === undefined) {
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
      });
      return this.#writing;
    }
    this.#nextWrite ??= this.#writing.then(() => {
      this.#nextWrite = undefined;
      return this.#writeState();
    });
    return this.#nextWrite;
  }

  async #write(): Promise<void> {
    const { fates, state } = this.#options;
    try {
      while (fates?.isLong === true) await fates.flush();
    } catch (error) {
      this.#options.onStateError?.(error);
    }
    try {
      await state.write(this.#value());
    } catch (error) {
      this.#options.onStateError?.(error);
    }
  }

  #value(): LaneStateValue {
    const { fates, deadLetters } = this.#options;
    const { delivered, rejected, expired, dropped } = this.#account.state();
    const position = this.neededFrom;
    const { only } = this.#strands;
    const ahead = this.#settledFrom(position);
    const byte = this.#byteOf(position);
    return {
      base: this.#base,
      position,
      byte,
      delivered,
      rejected,
      expired,
      dropped,
      leased: only?.planned ?? 0,
      dead: this.#keeping > 0 ? this.#deadBefore : deadLetters.log.head,
      ...(only === undefined || this.#parked.size > 0 ? { order: this.#order } : {}),
      ...(only === undefined || position !== this.#frontier
        ? { strands: strandsText(this.#strands.values(this.#readTo), position) }
        : {}),
      ...(this.#parked.size === 0 ? {} : { parked: parkedText(this.#parked.values(), position) }),
      ...(ahead === 0 ? {} : { ahead }),
      ...(position === this.#frontier ? {} : { frontier: this.#frontier }),
      ...(this.#removing <= position ? {} : { removing: this.#removingFrom(position) }),
      ...(fates === undefined ? {} : { fates: fates.tail }),
      ...(this.#unkept === 0 ? {} : { unkept: this.#unkept }),
      ...(this.#vendors.length === 0 ? {} : { vendors: this.#vendors }),
    };
  }

  /** How many of the events that are to be removed are settled. */
  #removingFrom(position: Position): NonNullable<LaneStateValue["removing"]> {
    const first = this.#removing;
    let settled = 0;
    for (let one = position; one < Math.min(first, this.#readTo); one++)
      if (!this.#parked.holds(one) && !this.#strands.has(one)) settled += 1;
    return { first, settled };
  }

  /** Where the record of the first event that is not settled begins. */
  #byteOf(position: Position): number {
    const { log, state } = this.#options;
    const held = this.#parked.first;
    if (held !== undefined && held.position === position) return held.byte >= 0 ? held.byte : state.initial.byte;
    const { record } = this.#strands.first(this.#readTo);
    const begins = record === undefined ? undefined : this.#readAhead.beginOf(record);
    return begins ?? Math.max(this.#readAhead.byte, log.firstByte);
  }
}

function positionOf(batch: LogBatch, index: number): Position {
  const { record, at } = batch.locate(index);
  return record.first + at;
}

/** Spreads positions over the strands. */
function mixed(position: Position): number {
  let hash = Math.imul(position ^ Math.floor(position / 2 ** 32), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
