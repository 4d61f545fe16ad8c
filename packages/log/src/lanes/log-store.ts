/**
 * A lane's store over the log: its strands, the ledger of the destination, and what was read ahead.
 *
 * Strands and ledger are written together (see lane-state.ts), after the dead letters they speak of
 * are durable: send, sync dead letters, write strands and ledger. So after a crash between any two
 * steps the same events come again under the same ids, and nothing is counted twice: a dead letter
 * that is kept for a position already is not written again.
 *
 * A batch is written down with its strand before its first attempt, and for as long as it may have
 * been acted on without our knowing: whatever happens, the same events go again in the same batch
 * under the same key.
 *
 * A state that cannot be written is written with the next one: delivery goes on. What retention
 * removes and the lane still needs is expired in that moment, but the batches on their way.
 *
 * Where another process may take the lane over (see durable-state.ts) a batch leaves only after a
 * write that has its plan, and dead letters are kept only after one. So once a write is refused, or
 * the lane is known to be lost, nothing leaves but what was planned before: nothing is leased, and
 * to plan or to settle is an error.
 */
import {
  type AccountView,
  type Attempt,
  assert,
  type Batch,
  type BatchLimits,
  type Outcome,
  type Pending,
  type Store,
  sourceOf,
} from "@waybill/core";
import { LogBatch, type Piece } from "../batch.ts";
import type { Position } from "../types.ts";
import { Backlog } from "./backlog.ts";
import type { Chosen } from "./backlog-types.ts";
import { type Fate, totalOf } from "./fate-blocks.ts";
import { isPlain, type LaneStateValue, type LaneVendor, settledBefore, withVendor } from "./lane-value.ts";
import { type Lease, Leases } from "./leases.ts";
import { DELIVERY, type LogStoreDelivery, type LogStoreOptions } from "./log-store-options.ts";
import { ReadMemory } from "./read-ahead.ts";
import { Retries } from "./retries.ts";
import { Settlements } from "./settlements.ts";
import { type Skip, skipOf } from "./skip.ts";
import { backlogValue, ledgerValue } from "./state-value.ts";
import { StateWriter } from "./state-writer.ts";
import type { Strand } from "./strands.ts";

export class LogStore implements Store {
  readonly #options: LogStoreOptions;
  readonly #name: string;
  #delivery: LogStoreDelivery;
  readonly #settlements: Settlements;
  #base: Position;
  readonly #backlog: Backlog;
  readonly #leases = new Leases();
  /** Events accepted up to here are in the ledger. */
  #countedTo: Position;
  readonly #retries: Retries;
  readonly #stopListening: () => void;
  /** Events that were settled before the lane kept fates. */
  readonly #unkept: number;
  #vendors: readonly LaneVendor[];
  readonly #writer: StateWriter;

  constructor(options: LogStoreOptions) {
    this.#options = options;
    const { log, clock, fates, onExpired, onRejected, memory = new ReadMemory() } = options;
    const state = options.state.initial;
    this.#name = state.id === undefined ? options.name : `${options.name}.${state.id}`;
    this.#writer = new StateWriter(options, () => this.#value());
    if (this.#writer.isShared) options.deadLetters.confirm = () => this.#writer.confirm();
    this.#delivery = this.#deliveryOf({ ...DELIVERY, ...options.delivery });
    this.#backlog = new Backlog({
      log,
      memory,
      state,
      order: this.#delivery.order,
      orderOf: () => this.#delivery.orderOf,
      now: () => clock.monotonic(),
      isSettled: (position) => fates?.wasSettled(position) === true,
      onUnsettled: (position) => fates?.noteOpen(position),
      onRead: () => this.#afterRead(),
    });
    const position = this.#backlog.readTo;
    this.#base = state.base - (state.position - position);
    this.#countedTo = position;
    this.#vendors = state.vendors ?? [];
    const { delivered, rejected, dropped, expired } = state;
    this.#settlements = new Settlements({
      backlog: this.#backlog,
      account: { delivered, rejected, dropped, expired, accepted: position - this.#base },
      fates,
      removedTo: log.first,
      knownTo: position < state.position ? 0 : (state.removing ?? 0),
      onExpired,
      onRejected,
    });
    this.#unkept = state.fates === undefined ? this.#settlements.account.settled : (state.unkept ?? 0);
    if (position < state.position) fates?.rewind(position);
    fates?.doubt(this.#backlog.rereadTo);
    if (log.first > position) {
      // Retention has taken events that the state knows nothing of.
      const known = settledBefore(log.first, state, fates?.lost);
      this.#settlements.lostBefore(log.first, { ...known, unkept: this.#unkept });
      void this.#writer.write();
    }
    this.#retries = new Retries({
      backlog: this.#backlog,
      leases: this.#leases,
      settlements: this.#settlements,
      keep: (batch, outcomes) => this.#keep(batch, outcomes),
      counted: (batch) => options.deadLetters.counted(batch),
      delivery: () => this.#delivery,
      batchOf: (pieces) => this.#batchOf(pieces, true),
      removedTo: () => log.first,
      now: () => this.#now,
      settled: () => this.#afterSettling(),
    });
    this.#stopListening = log.onRemove((first) => this.#removed(first));
  }

  /** Of the log, from the first event that is not settled on: what retention has to keep. */
  get lagBytes(): number {
    return Math.max(0, this.#options.log.headByte - this.#backlog.firstByte);
  }

  /** The oldest event this lane still needs: retention keeps it. */
  get neededFrom(): Position {
    return this.#backlog.first;
  }

  get settledTo(): Position {
    return this.neededFrom;
  }
  get tail(): Position {
    return this.#options.log.head;
  }

  /** Where the lane began: events before were never meant for it. */
  get base(): Position {
    return this.#base;
  }

  /** Strands there are now, and users whose events are set aside. */
  get shape(): { readonly strands: number; readonly parkedUsers: number; readonly parkedEvents: number } {
    return { ...this.#backlog.parked.shape, strands: this.#backlog.strands.count };
  }

  /** Parked events go with the next leases. False when there are none. */
  readonly retryParked = (): boolean => this.#backlog.parked.retryNow(this.#now);

  /**
   * From its cursor on the lane delivers to this vendor. Returns the one it delivered to before,
   * when that was another.
   */
  deliversTo(vendor: string): string | undefined {
    const before = this.vendorAt(Number.POSITIVE_INFINITY);
    if (before === vendor) return undefined;
    this.#vendors = withVendor(this.#vendors, vendor, before === undefined ? 0 : this.#backlog.frontier);
    void this.#writer.write();
    return before;
  }

  /** Which vendor an event was, or will be, delivered to. */
  vendorAt(position: Position): string | undefined {
    return this.#vendors.findLast(({ from }) => from <= position)?.name;
  }

  /** The destination is another vendor's now, or its settings have changed. */
  reconfigure(changes: Partial<LogStoreDelivery>): void {
    this.#delivery = this.#deliveryOf({ ...this.#delivery, ...changes });
  }

  #deliveryOf(delivery: LogStoreDelivery): LogStoreDelivery {
    return this.#writer.isShared ? { ...delivery, durableLease: true } : delivery;
  }

  pending(): Pending {
    const backlog = this.#backlog;
    const events = backlog.events + this.#leases.events;
    if (events === 0) return { events: 0, bytes: 0, oldestAtMs: undefined };
    const oldestAtMs = (): number | undefined => this.#oldestAtMs();
    return {
      events,
      bytes: Math.max(0, backlog.bytes + this.#leases.bytes),
      held: backlog.parked.events,
      get oldestAtMs() {
        return oldestAtMs();
      },
    };
  }

  /** Known of what is in memory, and of the log's first event, where a loss leaves the cursor. */
  #oldestAtMs(): number | undefined {
    const { log } = this.#options;
    const { strands, parked, frontier } = this.#backlog;
    const queued = strands.first(Number.POSITIVE_INFINITY).record?.receivedAtMs;
    const inMemory = Math.min(queued ?? Number.POSITIVE_INFINITY, parked.first?.atMs ?? Number.POSITIVE_INFINITY);
    return inMemory < Number.POSITIVE_INFINITY ? inMemory : frontier === log.first ? log.oldestAtMs : undefined;
  }

  account(): AccountView {
    const { head } = this.#options.log;
    this.#settlements.account.accept(head - this.#countedTo);
    this.#countedTo = head;
    return this.#settlements.account.view(this.pending().events);
  }

  /**
   * Settled events whose fate is lost; 0 unless a disk failed or something was damaged. Never below
   * 0 while the ledger is right.
   */
  get unknownFates(): number {
    const { fates } = this.#options;
    if (fates === undefined || this.#backlog.readTo < this.#backlog.rereadTo) return 0;
    return this.#settlements.account.settled - this.#settledFrom(fates.end) - this.#unkept - totalOf(fates.counts());
  }

  /** Events from a position on that are settled, as far as they were read or counted. */
  #settledFrom(position: Position): number {
    const { readTo, settledUnread } = this.#backlog;
    const unsettled = this.#backlog.unsettledFrom(position) + this.#leases.events;
    return Math.max(0, readTo - position) - unsettled + settledUnread;
  }

  /**
   * What became of the event at `position`; `pending` before it is settled, `not_addressed` before
   * the lane began.
   */
  async fateAt(position: Position): Promise<Fate | { readonly status: "pending" | "not_addressed" }> {
    const { log } = this.#options;
    if (position < this.#base) return { status: "not_addressed" };
    await this.#backlog.reread(Math.min(position + 1, log.head));
    return this.#settlements.fateAt(position);
  }

  /** Called after each request: what passes tells of those that fail. */
  attempted(attempt: Attempt, batch: Batch): void {
    this.#retries.attempted(attempt, sourceOf(batch).parked === true);
  }

  async lease(limits: BatchLimits): Promise<Batch | undefined> {
    if (!this.#writer.isOurs) return undefined;
    // Also while strands of another order send what they have.
    if (this.#delivery.order === "arrival" && this.#leases.size > 0) return undefined;
    const parked = await this.#retries.lease(limits);
    if (parked !== undefined) return parked;
    const batch = await this.#backlog.next(limits, this.#delivery.order, (chosen) => this.#leaseStrand(chosen, limits));
    if (batch !== undefined) this.#backlog.readAhead();
    return batch;
  }

  #leaseStrand({ strand, count }: Chosen, { maxEvents }: BatchLimits): Batch {
    const isPlanned = strand.planned === count;
    // Where none is larger, a batch of one needs no plan.
    const isDurable = isPlanned && strand.isPlanDurable && this.#writer.isConfirmed;
    const planning = this.#delivery.durableLease ? !isDurable : !isPlanned && maxEvents > 1;
    const batch = this.#backlog.strands.lease(strand, count, (pieces) => this.#batchOf(pieces, false));
    strand.planned = count;
    this.#leases.add(batch, { strand, user: undefined, atMs: this.#now, planning, maxEvents });
    return batch;
  }

  get #now(): number {
    return this.#options.clock.monotonic();
  }

  #batchOf(pieces: readonly Piece[], parked: boolean): LogBatch {
    const { order } = this.#backlog;
    const hashAt = order === "arrival" ? undefined : this.#backlog.waiting.hashesOf(pieces);
    return new LogBatch(this.#name, pieces, { parked, hashAt, ages: true });
  }

  /**
   * **Errors**: `WAYBILL_DISK`, where the batch has to be durable before it is sent;
   * `WAYBILL_CLOSED` when the lane is lost.
   */
  async plan(batch: Batch): Promise<true> {
    this.#writer.assertOurs();
    const lease = this.#leases.get(batch);
    if (lease?.planning !== true) return true;
    if (this.#delivery.durableLease) {
      await this.#writer.confirm();
      await this.sync();
    } else await this.#writer.write();
    if (this.#delivery.durableLease && lease.strand !== undefined) lease.strand.isPlanDurable = true;
    lease.planning = false;
    return true;
  }

  /** **Errors**: those of `Log.append`; `WAYBILL_CLOSED` when the lane is lost. */
  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    if (this.#leases.isGivenBack(batch)) return;
    this.#writer.assertOurs();
    const lease = this.#leases.get(batch);
    assert(lease !== undefined && batch instanceof LogBatch, "only a leased batch is settled");
    if (lease.user !== undefined) await this.#retries.settle(batch, lease.user, outcomes);
    else await this.#settleStrand(batch, lease.strand as Strand, outcomes);
    this.#writer.assertOurs();
  }

  /** Where the lane is shared, only its owner may write dead letters. */
  async #keep(batch: LogBatch, outcomes: readonly Outcome[]): Promise<void> {
    const { deadLetters } = this.#options;
    const mayWrite = deadLetters.mayBeUncounted || outcomes.some(({ status }) => status === "rejected");
    if (mayWrite && this.#writer.isShared) await this.#writer.confirm();
    await deadLetters.keep(batch, outcomes);
  }

  async #settleStrand(batch: LogBatch, strand: Strand, outcomes: readonly Outcome[]): Promise<void> {
    const settled = this.#settlements.prefixOf(batch, outcomes);
    await this.#keep(batch, outcomes.slice(0, settled));
    const lease = this.#leases.get(batch) as Lease;
    this.#leases.delete(batch);
    this.#options.deadLetters.counted(batch);
    for (let index = 0; index < settled; index++) {
      const outcome = outcomes[index] as Outcome;
      if (outcome.status === "parked") {
        const failure = { at: this.#now, passedMs: this.#retries.passedMs, reason: outcome.reason };
        this.#backlog.park(batch, index, failure);
        continue;
      }
      this.#settlements.settle(outcome, batch, index);
    }
    this.#backlog.strands.endLease(strand, settled);
    this.#backlog.takeParked(strand);
    this.#settlements.expireRead(this.#options.log.first);
    if (settled === batch.count) this.#maySplit(strand, batch, lease);
    this.#settlements.advance();
    await this.#writer.write();
  }

  #maySplit(strand: Strand, batch: LogBatch, { atMs, maxEvents }: Lease): void {
    const { order, maxInFlight } = this.#delivery;
    if (order !== this.#backlog.order) return;
    const tookMs = this.#now - atMs;
    this.#backlog.maySplit(strand, { batch, maxEvents, tookMs, maxInFlight: maxInFlight() });
  }

  /** The oldest that retention has left is known; so is how far the lane has come. */
  async #afterSettling(): Promise<void> {
    this.#settlements.expireRead(this.#options.log.first);
    this.#settlements.advance();
    await this.#writer.write();
  }

  /**
   * Once what was settled before the start was read again: settled events that were not found are
   * in a damaged part, and counted as damaged too.
   */
  #afterRead(): void {
    const backlog = this.#backlog;
    if (backlog.readTo >= backlog.rereadTo) {
      const { settledUnread } = backlog;
      const { account } = this.#settlements;
      backlog.settledUnread = 0;
      if (settledUnread < 0) this.#settlements.notSettled(-settledUnread);
      else {
        this.#base -= settledUnread;
        account.accept(settledUnread);
      }
      backlog.parked.allRead();
    }
    this.#settlements.advance();
  }

  /** Retention has removed what is before `first`. */
  #removed(first: Position): void {
    const { account } = this.#settlements;
    const before = account.state().expired;
    this.#settlements.removed(first);
    if (account.state().expired > before) void this.#writer.write();
  }

  /**
   * Before retention removes what is before `first`: makes durable which of these events are
   * settled. **Errors**: `WAYBILL_DISK`.
   */
  async expiring(first: Position): Promise<void> {
    const backlog = this.#backlog;
    this.#settlements.removing(first);
    // Which of them are settled is known once they were read again.
    await backlog.reread(first);
    const { synced } = this.#writer;
    const isKnown = first <= synced.position || (isPlain(synced) && backlog.isPlain);
    this.#settlements.knownBefore(first, isKnown);
    if (isKnown) return;
    await this.#writer.write();
    await this.sync();
  }

  /** What {@link skipTo} would skip. **Errors**: those of {@link skipOf}; `WAYBILL_DISK`. */
  async skippable(to: Position): Promise<Skip> {
    // Only when they were read it is known which events after the cursor are settled.
    await this.#backlog.reread(Math.min(to, this.tail));
    return skipOf(this.#backlog, to, this.tail);
  }

  /**
   * The last resort: moves the cursor to `to`, after {@link skippable}. Events before it that are
   * not settled are dropped, as `skipped`. Only while no request is on its way: what a defect left
   * leased there is given back, whatever becomes of its batch. Durable when it resolves.
   * **Errors**: those of {@link skipOf}; after a `WAYBILL_DISK` it holds until the process ends.
   */
  async skipTo(to: Position): Promise<Skip> {
    const skip = skipOf(this.#backlog, to, this.tail);
    for (const batch of this.#leases.giveBack(to)) this.#options.deadLetters.counted(batch);
    this.#settlements.skipTo(to);
    await this.#backlog.seek();
    await this.#writer.confirm();
    await this.sync();
    return skip;
  }

  /** Makes strands and ledger durable: now and then, and before retention. */
  sync(): Promise<void> {
    return this.#writer.sync();
  }

  async close(): Promise<void> {
    const { state, deadLetters, fates } = this.#options;
    this.#stopListening();
    await this.#backlog.close();
    await this.#writer.write();
    await state.close();
    await deadLetters.close();
    await fates?.close();
  }

  #value(): LaneStateValue {
    const { fates, deadLetters, state } = this.#options;
    const { id } = state.initial;
    const { first, readTo } = this.#backlog;
    const { knownTo } = this.#settlements;
    const removing = knownTo <= first ? undefined : knownTo;
    return {
      ...(id === undefined ? {} : { id }),
      base: this.#base,
      ...ledgerValue(this.#settlements.account.state()),
      dead: deadLetters.countedTo((position) => this.#backlog.isSettled(position)),
      ...(this.#writer.isShared && deadLetters.marks > 0 ? { marks: deadLetters.marks } : {}),
      ...backlogValue(this.#backlog, { ahead: this.#settledFrom(first), removing }),
      ...(this.#writer.isShared && readTo > first ? { readTo } : {}),
      ...(fates === undefined ? {} : { fates: fates.tail }),
      ...(this.#unkept === 0 ? {} : { unkept: this.#unkept }),
      ...(this.#vendors.length === 0 ? {} : { vendors: this.#vendors }),
    };
  }
}
