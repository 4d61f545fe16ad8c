/**
 * What a lane has to deliver: its strands, the users whose events are set aside, and the log as far
 * as it was read ahead.
 *
 * Every event between the frontier and what was read is in exactly one place: queued in its strand,
 * leased, waiting for a parked user, part of a gap, or settled.
 */
import type { BatchLimits } from "@waybill/core";
import { type LogBatch, pieceBytes } from "../batch.ts";
import type { LogRecord, Position } from "../types.ts";
import type { BacklogOptions, Chosen, Gap, RoundTrip } from "./backlog-types.ts";
import { type EventOrder, OrderReader } from "./event-order.ts";
import { parseParked, parseStrands } from "./lane-value.ts";
import { type Failure, type Held, Parked } from "./parked.ts";
import { ReadAhead } from "./read-ahead.ts";
import { type Strand, Strands } from "./strands.ts";
import { Waiting } from "./waiting.ts";

/**
 * A round trip that takes longer than this, and as much again for each KiB, is mostly waiting: the
 * lane is bound by latency.
 */
const WAITING_ABOVE_MS = 2;
const PER_KIB_MS = 0.05;
const KIB = 1024;
/** Read on for a fuller batch only if so much waits. */
const BACKLOG_BYTES = 768 * KIB;
/** Of those who may be parked: not for events that only wait. */
const KEPT_FOR_FAILING = 16;

export class Backlog {
  readonly strands: Strands;
  readonly parked: Parked;
  readonly waiting: Waiting;
  readonly #options: BacklogOptions;
  readonly #order: OrderReader;
  readonly #readAhead: ReadAhead;
  /** Every event before it was read. */
  readTo: Position;
  /** Up to here there may be settled events that were not read since the start; how many. */
  readonly rereadTo: Position;
  settledUnread: number;
  /** Damaged ones that were taken for such. */
  damagedUnread = 0;
  /** Not passed by the frontier yet, in order. */
  gaps: Gap[] = [];
  /** Every event before it is settled or parked. */
  frontier: Position;
  #reading: Promise<void> | undefined;
  /** No more is read until all strands are one again. */
  #joining = false;
  /** So many events waited for other strands that one does better, until the next split. */
  #tooTied = false;
  /** Of all batches. */
  #largestBytes = 0;
  /** What strands had planned before the start is before this; `undefined` once it was read. */
  #plannedTo: Position | undefined;

  constructor(options: BacklogOptions) {
    this.#options = options;
    const { log, memory, state, order, orderOf, now } = options;
    // A log that lost its end (a damaged disk) gives positions out again: do not skip the new
    // events that get them.
    const position = Math.min(state.position, log.head);
    const known = position < state.position ? { ...state, strands: undefined, parked: undefined, leased: 0 } : state;
    const { leased, parked } = known;
    const one = [{ residue: 0, modulus: 1, position, planned: leased || 0 }];
    const strands = (known.strands === undefined ? undefined : parseStrands(known.strands, position)) ?? one;
    this.strands = new Strands(strands.map((strand) => ({ ...strand, position: Math.min(strand.position, log.head) })));
    this.parked = new Parked(parked === undefined ? [] : (parseParked(parked, position) ?? []), now());
    this.#order = new OrderReader(state.order ?? order, orderOf);
    this.waiting = new Waiting({ log, order: this.#order, strands: this.strands, parked: this.parked });
    this.#readAhead = new ReadAhead(log, memory, { position, byte: state.byte });
    this.readTo = position;
    this.#plannedTo = log.head;
    this.frontier = Math.max(position, position < state.position ? 0 : (state.frontier ?? 0));
    this.settledUnread = position < state.position ? 0 : (state.ahead ?? 0);
    const settledTo = Math.max(this.parked.settledTo, state.removing ?? 0);
    const from = Math.max(this.frontier, Math.min(settledTo, log.head));
    this.rereadTo = this.strands.all.reduce((end, strand) => Math.max(end, strand.from), from);
    this.#forgetPlans();
  }

  /** What the strands are made by. */
  get order(): EventOrder {
    return this.#order.order;
  }

  /** Whether all is in one strand and nobody parked. */
  get isPlain(): boolean {
    return this.strands.only !== undefined && this.parked.size === 0;
  }

  /** The first event that is not settled. */
  get first(): Position {
    return Math.min(this.frontier, this.parked.first?.position ?? this.frontier);
  }

  /** Events that wait, but those that are leased from a strand. */
  get events(): number {
    const unread = this.#options.log.head - this.readTo - this.settledUnread;
    return unread + this.strands.events + this.parked.events + this.#uncounted;
  }

  /** Of the same, as far as it is known. */
  get bytes(): number {
    const { log } = this.#options;
    return log.headByte - Math.max(this.#readAhead.byte, log.firstByte) + this.strands.bytes + this.parked.bytes;
  }

  /** Of what was read, events that are neither settled nor leased from a strand. */
  unsettledFrom(position: Position): number {
    const parked = position <= this.first ? this.parked.events : this.parked.eventsFrom(position);
    return this.strands.events + this.#uncounted + parked;
  }

  get #uncounted(): number {
    let events = 0;
    for (const { counted, expired, damaged } of this.gaps) if (!counted) events += expired + damaged;
    return events;
  }

  /** Whether an event that was read waits, is leased, or may never be read. */
  isOpen(position: Position): boolean {
    return this.parked.holds(position) || this.strands.has(position) || this.gapAt(position)?.counted === false;
  }

  /** Whether an event was read and has its outcome. */
  isSettled(position: Position): boolean {
    return position < this.readTo && !this.isOpen(position);
  }

  gapAt(position: Position): Gap | undefined {
    return this.gaps.find(({ from, to }) => from <= position && position < to);
  }

  /** Where the record of the first event that is not settled begins. */
  get firstByte(): number {
    const { log, state } = this.#options;
    const held = this.parked.first;
    if (held !== undefined && held.position === this.first) return held.byte >= 0 ? held.byte : state.byte;
    const { record } = this.strands.first(this.readTo);
    const begins = record === undefined ? undefined : this.#readAhead.beginOf(record);
    return begins ?? Math.max(this.#readAhead.byte, log.firstByte);
  }

  hashAt(record: LogRecord, at: number): number {
    return this.#order.hashAt(record, at);
  }

  /**
   * Reads as far as that helps and gives `lease` what a strand may lease now. `lease` is called at
   * once: whatever waits, retention may take from the queues. `undefined` for nothing.
   */
  async next<T>(limits: BatchLimits, order: EventOrder, lease: (chosen: Chosen) => T): Promise<T | undefined> {
    await this.#reading?.catch(() => undefined);
    const { log } = this.#options;
    let readOn = true;
    for (;;) {
      this.#join(limits, order);
      const chosen = this.#choose(limits);
      // What was sent as one batch goes as one again: all of it is read, whatever room there is.
      const isCut = chosen !== undefined && chosen.count < chosen.strand.planned;
      const mayRead = !this.#joining && log.head > this.readTo && (isCut || this.#readAhead.hasRoom);
      if (chosen !== undefined && (chosen.isFull || !mayRead || !(readOn || isCut))) return lease(chosen);
      if (!mayRead || (chosen === undefined && !this.strands.isWanting)) return undefined;
      // At the head there is always a little more coming.
      readOn = this.strands.only === undefined && log.headByte - this.#readAhead.byte > BACKLOG_BYTES;
      await this.readOn();
    }
  }

  /** Reads while a request is on its way, so that the next batch is in memory by then. */
  readAhead(): void {
    if (this.strands.events > 0 || this.#options.log.head === this.readTo || this.#joining) return;
    void this.readOn().catch(() => undefined);
  }

  /**
   * When what waits is less than a batch the lane has caught up: nothing more is read until the
   * strands have sent what they have, and then they are one. So it is when they are to be made
   * otherwise.
   */
  #join({ maxEvents }: BatchLimits, order: EventOrder): void {
    // What is parked is found again by what the strands are made by; and it must not keep new
    // events from being read.
    const { only } = this.strands;
    const isFull = this.parked.room <= KEPT_FOR_FAILING || this.#tooTied;
    const mayWait = only === undefined && this.parked.onlyWait && this.#areReread;
    this.#tooTied = isFull && mayWait;
    this.#joining = mayWait && (this.#tooTied || order !== this.order);
    if (this.parked.size > 0) return;
    if (only === undefined) {
      const unread = this.#options.log.head - this.readTo;
      const isDone = unread < maxEvents && this.strands.events < maxEvents;
      this.#joining = (isDone || this.#tooTied || order !== this.order) && this.#areReread;
      if (!this.#joining || !this.strands.join(this.readTo)) return;
    }
    this.#joining = false;
    this.#order.order = order;
  }

  /** Whether all is read that the strands had before the start. */
  get #areReread(): boolean {
    return this.readTo >= this.rereadTo && !(this.#plannedTo !== undefined && this.strands.isMissing);
  }

  /** The strand to lease from, and how many events. */
  #choose(limits: BatchLimits): Chosen | undefined {
    const { count: strands, only } = this.strands;
    const enough = only === undefined ? this.#readAhead.batchBytes(strands) : Number.POSITIVE_INFINITY;
    for (const strand of this.strands.waiting()) {
      const count = this.#unblocked(strand, limits);
      if (count === 0) continue;
      const { events, bytes } = this.strands.queued(strand);
      // What was planned before a reload or a crash may be larger than a batch may be now.
      const isLarge = count >= strand.planned && (count >= limits.maxEvents || bytes >= enough);
      const isFull = count < events || count === strand.planned || isLarge;
      return { strand, count, isFull };
    }
    return undefined;
  }

  /**
   * How many of a strand's first events fit a batch and need not wait for others. A user whose
   * event has to is set aside as long as there is room, but not out of a batch that was planned.
   */
  #unblocked(strand: Strand, limits: BatchLimits): number {
    const count = this.strands.fitting(strand, limits);
    if (this.isPlain) return count;
    let free = 0;
    for (const { record, start, end } of strand.queue) {
      if (free >= count) break;
      if (this.parked.size === 0 && !this.#order.hasTies(record)) {
        free += end - start;
        continue;
      }
      for (let at = start; at < end && free < count; at++) {
        // In front of its strand all earlier events of its user are settled.
        if (this.waiting.isBlocked(strand, record, at))
          return this.#setAside(strand, { record, at, free }) ? this.#unblocked(strand, limits) : free;
        free += 1;
      }
    }
    return Math.min(free, count);
  }

  /**
   * An event that waits for others is set aside, with the later ones of its own user. False when it
   * cannot be: `free` events are in front of it, some of them of its user or planned with it.
   */
  #setAside(strand: Strand, { record, at, free }: { record: LogRecord; at: number; free: number }): boolean {
    const hash = this.hashAt(record, at);
    const isParked = this.parked.has(hash);
    if (free > 0 && (strand.planned > 0 || this.waiting.hasBefore(record.first + at, strand.queue, hash))) return false;
    if (isParked ? this.#hold(record, at) !== "held" : this.parked.room <= KEPT_FOR_FAILING) return false;
    if (!isParked) this.parked.parkAfter(hash, this.#heldAt(record, at), this.#order.tieAt(record, at));
    strand.planned = 0;
    this.strands.take(strand, (one, index) => this.hashAt(one, index) === hash && this.#hold(one, index) === "held");
    return true;
  }

  #heldAt(record: LogRecord, at: number): Held {
    return {
      position: record.first + at,
      byte: this.#readAhead.beginOf(record) ?? 0,
      atMs: record.receivedAtMs,
      bytes: pieceBytes({ record, start: at, end: at + 1 }),
    };
  }

  #hold(record: LogRecord, at: number): "held" | "full" | "none" {
    return this.parked.hold(this.hashAt(record, at), this.#heldAt(record, at));
  }

  /** An event of a batch has failed alone, or is a later one of such a user. */
  park(batch: LogBatch, index: number, failure: Failure): void {
    const { record, at } = batch.locate(index);
    this.parked.park(this.hashAt(record, at), this.#heldAt(record, at), failure);
  }

  /** Later events of parked users that were read already join those that wait. */
  takeParked(strand: Strand): void {
    if (this.parked.size === 0) return;
    const taken = this.strands.take(strand, (record, at) => this.#hold(record, at) === "held");
    if (taken > 0) strand.planned = 0;
  }

  /** A strand that waits for its vendor most of the time, and has more to send, becomes two. */
  maySplit(strand: Strand, { batch, maxEvents, tookMs, maxInFlight }: RoundTrip): void {
    const { log, orderOf } = this.#options;
    if (this.#joining || this.order === "arrival" || (this.order === "user" && orderOf() === undefined)) return;
    // Where each event is a request of its own, most of the time is always spent waiting.
    const isWaiting = maxEvents === 1 || tookMs > WAITING_ABOVE_MS + (PER_KIB_MS * batch.bytes) / KIB;
    const backlog = log.head - this.readTo + this.strands.events;
    this.#largestBytes = Math.max(this.#largestBytes, batch.bytes);
    // Twice as many as may be in flight: some have little to send.
    const most = Math.min(2 * maxInFlight, this.#readAhead.strandsOf(this.#largestBytes));
    if (!isWaiting || backlog <= batch.count || this.strands.count >= most || this.waiting.areMany(strand)) return;
    this.strands.split(strand, (record, at) => this.#order.strandHashAt(record, at));
  }

  /**
   * Memory of what is before the frontier is used again, and who is not parked any more forgotten.
   */
  recycle(): void {
    if (this.parked.size > 0)
      this.parked.prune((hash) => this.strands.firstOf(this.strands.strandOf(hash), this.readTo));
    this.#readAhead.recycle(this.frontier);
  }

  async close(): Promise<void> {
    await this.#reading?.catch(() => undefined);
    await this.#readAhead.close();
  }

  /** Reads again what was settled before the start, up to `to`. **Errors**: `WAYBILL_DISK`. */
  async reread(to: Position): Promise<void> {
    while (this.readTo < Math.min(to, this.rereadTo)) await this.readOn();
  }

  /** Reads the next records; one read at a time. **Errors**: `WAYBILL_DISK`. */
  readOn(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    // What is appended while we read may be missing from the answer without being damaged.
    const { head } = this.#options.log;
    const records = await this.#readAhead.read();
    for (const record of records) this.#place(record);
    // Nothing whole up to the head.
    if (records.length === 0 && head > this.readTo) this.#passGap(head);
    this.#forgetPlans();
    this.#options.onRead();
  }

  /** What was planned before the start and has not been read by now was damaged or removed. */
  #forgetPlans(): void {
    if (this.#plannedTo === undefined || this.readTo < this.#plannedTo) return;
    this.#plannedTo = undefined;
    this.strands.forgetMissing();
  }

  /** Puts each event of a record where it belongs. */
  #place(record: LogRecord): void {
    // Retention may have moved on while this was read.
    if (record.first > this.readTo) this.#passGap(record.first);
    const start = Math.max(0, this.readTo - record.first);
    if (start >= record.count) return;
    this.readTo = record.first + record.count;
    const isWhole = this.order === "none" || this.strands.only !== undefined;
    const whole = isWhole ? this.strands.strandOf(this.#wholeHash(record)) : undefined;
    const isNew = whole !== undefined && record.first + start >= Math.max(whole.from, this.rereadTo);
    if (isNew && this.parked.size === 0) return this.strands.push(whole, record, start, record.count);
    for (let at = start; at < record.count; at++) this.#placeEvent(record, at);
  }

  /** A lane with one strand does not look into its events. */
  #wholeHash(record: LogRecord): number {
    return this.strands.only === undefined ? this.#order.strandHashAt(record, 0) : 0;
  }

  #placeEvent(record: LogRecord, at: number): void {
    const position = record.first + at;
    const strand = this.strands.strandOf(this.#order.strandHashAt(record, at));
    if (position < this.rereadTo && this.#options.isSettled(position)) {
      this.settledUnread -= 1;
      return;
    }
    const held = this.parked.size === 0 ? "none" : this.#hold(record, at);
    // What a parked user had settled may be after the position of its strand.
    const user = this.parked.size === 0 ? undefined : this.parked.userOf(this.hashAt(record, at));
    if (held === "none" && position < Math.max(strand.from, user?.first ?? 0)) {
      this.settledUnread -= 1;
      return;
    }
    if (position < this.rereadTo) this.#options.onUnsettled(position);
    if (held !== "held") this.strands.push(strand, record, at, at + 1);
  }

  /**
   * Positions without a record were removed by retention or are damaged: they get their outcome
   * when all before them have theirs.
   */
  #passGap(to: Position): void {
    const passed = Math.min(to, Math.max(this.readTo, this.frontier));
    this.settledUnread -= passed - this.readTo;
    this.damagedUnread += Math.max(0, passed - Math.max(this.readTo, this.#options.log.first));
    const expired = Math.max(0, Math.min(to, this.#options.log.first) - passed);
    const damaged = to - passed - expired;
    if (to > passed) this.gaps.push({ from: passed, to, expired, damaged, counted: false });
    this.readTo = to;
  }

  /** Retention has taken what was not read yet. Returns how many events of it were not settled. */
  skipUnread(first: Position): number {
    const unread = first - this.readTo;
    if (unread <= 0) return 0;
    const settled = Math.min(unread, this.settledUnread);
    this.settledUnread -= settled;
    this.gaps.push({ from: this.readTo, to: first, expired: unread, damaged: 0, counted: true });
    this.readTo = first;
    return unread - settled;
  }

  /**
   * Nothing before `to` is to be sent any more; all of it that was read is settled. Returns how
   * many events had not been read.
   */
  passUnread(to: Position): number {
    const unread = Math.max(0, to - this.readTo);
    this.readTo += unread;
    this.frontier = Math.max(this.frontier, to);
    return unread;
  }

  /** After that: what lies between is not read. */
  async seek(): Promise<void> {
    while (this.#reading !== undefined) await this.#reading.catch(() => undefined);
    if (this.strands.events === 0) await this.#readAhead.skipTo(this.readTo);
    this.recycle();
  }

  /**
   * At the start: retention has taken events before `first`, `settled` of which had their outcome.
   * Returns how many had not.
   */
  startAt(first: Position, settled: number): number {
    const from = this.readTo;
    const known = Math.min(first - from, settled, this.settledUnread);
    this.settledUnread -= known;
    this.parked.removeBefore(first);
    this.strands.skipTo(first);
    this.readTo = first;
    this.frontier = Math.max(this.frontier, first);
    return first - from - known;
  }
}
