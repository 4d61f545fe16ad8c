/**
 * What became of each event of a lane: which ones were delivered, dropped, rejected or expired,
 * where the ledger only counts them.
 *
 * Fates are runs over positions: so many events with the same outcome. The newest runs, the tail,
 * are in the lane's state beside its cursor and are written with it in one piece. When the tail has
 * more than `TAIL_MAX_RUNS` runs it becomes a block in a small log of the lane's own, durable
 * before the state moves on:
 *
 *   settle
 *     -> [crash: the batch is sent again, as ever]
 *   block synced
 *     -> [crash: the state still has the cursor before these events; they are settled again, and
 *        the newer block counts]
 *   state with the new cursor and an empty tail
 *
 * So every position below the cursor is in the tail or in a block. One that is not, because its
 * block was damaged or could not be written, is `unknown`: a lost block must not become a lie.
 *
 * A block is a record of that log: its metadata has the positions that it covers and how many
 * events had each fate up to its end, so that the ledger can be checked after older blocks are
 * gone. Its body is a list of runs (count as a varint, fate as a byte) or, where that is longer,
 * one byte per event.
 */
import type { DropReason, Outcome } from "@waybill/core";
import type { Log, Position, RetentionLimits } from "../types.ts";
import { AheadFates } from "./ahead-fates.ts";
import {
  add,
  type BlockHead,
  countsOf,
  DELIVERED_CODE,
  decodeSparse,
  droppedCode,
  EXPIRED,
  encodeMap,
  encodeRuns,
  encodeSparse,
  type Fate,
  type FateCounts,
  type FateTail,
  fateCode,
  fateOf,
  isSparse,
  LOST,
  NOT_ADDRESSED,
  OPEN,
  PARKED,
  runAt,
  type SparseEncoding,
  totalOf,
  viewOf,
} from "./fate-blocks.ts";
import { BlockLog, type BlockPart } from "./fate-log.ts";
import type { FatesOptions } from "./fates-options.ts";
import { openLaneLog } from "./lane-runtime.ts";
import { SettledRuns } from "./settled-runs.ts";

/**
 * 60 runs have at most 1.2 KiB as text: they fit the slot of the lane's state beside strands and
 * everything else.
 */
const TAIL_MAX_RUNS = 60;
/**
 * What may wait in memory for a disk without room: 2 MiB of runs. Older fates are then given up and
 * become `unknown`.
 */
const WAITING_MAX_RUNS = 100_000;
const SEGMENT_BYTES = 8 * 1024 * 1024;

/** Runs from a position on. */
interface Runs {
  readonly from: Position;
  /** After the last event. */
  end: Position;
  /** Count and code of each, in turn. */
  readonly list: number[];
}

/** No block has it. */
const UNKNOWN_CODE = -1;

export class Fates {
  readonly #blocks: BlockLog;
  /** What no block has. */
  #tail: Runs;
  /** What is on its way to a block. */
  #leaving: Runs | undefined;
  #flushing: Promise<void> | undefined;
  readonly #counts: Map<number, number>;
  /** Settled after the tail. */
  readonly #ahead = new AheadFates();
  /** Of those that may have been parked at the start, what was not. */
  readonly #settled = new SettledRuns();
  /** What no block of single events has yet. */
  readonly #unwritten: Readonly<Record<SparseEncoding, Map<Position, number>>> = {
    patch: new Map(),
    ahead: this.#ahead.unwritten,
  };
  #leavingPatches: ReadonlyMap<Position, number> = new Map();
  /** The blocks that count, until what contradicts newer ones is durable. */
  #believed: { readonly aheadFrom: Position | undefined; readonly blocksTo: Position } | undefined;
  /** Parked ones that are gone from the log. */
  #lostParked: readonly Position[] = [];
  #lost: number | undefined;
  #isUnsure: boolean;
  #doubtTo: Position = 0;
  /** Up to there, what was not settled before the start. */
  readonly #unsettled = new Set<Position>();
  readonly #tailMaxRuns: number;

  private constructor(log: Log, { from, runs, before, isUnsure = false }: FateTail, tailMaxRuns: number) {
    this.#blocks = new BlockLog(log);
    this.#tailMaxRuns = tailMaxRuns;
    this.#isUnsure = isUnsure;
    this.#counts = countsOf(before);
    this.#tail = { from, end: from, list: [] };
    for (let at = 0; at < runs.length; at += 2) this.#push(runs[at] as number, runs[at + 1] as number);
  }

  /** **Errors**: `WAYBILL_DISK`. */
  static async open(options: FatesOptions): Promise<Fates> {
    const { directory, runtime, tail, segmentMaxBytes = SEGMENT_BYTES, tailMaxRuns = TAIL_MAX_RUNS } = options;
    const { removed, parkedFrom } = options;
    const fates = new Fates(await openLaneLog({ directory, segmentMaxBytes }, runtime), tail, tailMaxRuns);
    await fates.#readAhead(tail);
    if (removed !== undefined && removed.from < removed.to) await fates.#findLost(removed.from, removed.to, tail);
    if (parkedFrom !== undefined) await fates.#findSettled(parkedFrom, tail);
    return fates;
  }

  async #readAhead({ aheadFrom, blocksTo = this.#blocks.log.head }: FateTail): Promise<void> {
    const isWhole = await this.#blocks.each(aheadFrom ?? blocksTo, blocksTo, ({ first, count, form }, body) => {
      if (form === "ahead" || form === "gone") this.#ahead.read({ first, count, form, body }, this.end);
    });
    if (aheadFrom !== undefined && !isWhole) this.#isUnsure = true;
    this.#ahead.blocksFrom = aheadFrom;
    this.#blocks.knownTo = Math.min(blocksTo, this.#blocks.log.head);
    await this.#blocks.eachOther(this.#contradict);
  }

  /** The state does not speak of it: what it has did not happen, and a block after it says so. */
  readonly #contradict = ({ first, form }: BlockHead, body: Uint8Array): void => {
    if (!isSparse(form)) return;
    this.#believed ??= { aheadFrom: this.#ahead.blocksFrom, blocksTo: this.#blocks.knownTo };
    this.#ahead.forgetBlocks();
    const { patch } = this.#unwritten;
    for (const [offset] of form === "patch" ? decodeSparse(body) : [])
      if (!patch.has(first + offset)) patch.set(first + offset, OPEN);
  };

  /** Between parked events there may be others of their users that have their outcome. */
  async #findSettled(from: Position, { blocksTo = Number.POSITIVE_INFINITY }: FateTail): Promise<void> {
    if (from < this.#tail.from) await this.#blocks.coverSettled(this.#settled, { from, to: this.end, blocksTo });
    this.#settled.cover(this.#tail.from, this.#tail.list);
  }

  /** Which of the events that are gone had no outcome. */
  async #findLost(from: Position, to: Position, { blocksTo = Number.POSITIVE_INFINITY }: FateTail): Promise<void> {
    const { list, from: tailFrom } = this.#tail;
    const parked = await this.#blocks.parkedIn({ from, to: Math.min(to, tailFrom), blocksTo });
    for (let position = Math.max(from, tailFrom); position < Math.min(to, this.end); position++)
      if (runAt(list, position - tailFrom) === PARKED) parked.add(position);
    await this.#blocks.withoutPatched(parked, blocksTo);
    this.#lostParked = [...parked];
    const after = Math.max(from, this.end);
    this.#lost = parked.size + Math.max(0, to - after) - this.#ahead.countIn(after, to);
  }

  /** How many of the events that are gone had no outcome; `undefined` where that is not certain. */
  get lost(): number | undefined {
    return this.#isUnsure ? undefined : this.#lost;
  }

  /** After the last event that has its place among the runs. */
  get end(): Position {
    return this.#tail.end;
  }

  /**
   * What belongs into the lane's state. A tail that is too long for it could not be written as a
   * block: its events would be unknown after a crash.
   */
  get tail(): FateTail {
    const { from, end, list } = this.#tail;
    const { blocksFrom } = this.#ahead;
    const isSure = this.#hasWrittenSingles && this.#doubtTo <= this.end;
    const aheadFrom = this.#ahead.isEmpty ? undefined : blocksFrom;
    const blocks = this.#believed ?? { aheadFrom, blocksTo: this.#blocks.knownTo };
    const ahead = {
      ...(blocks.aheadFrom === undefined ? {} : { aheadFrom: blocks.aheadFrom }),
      blocksTo: blocks.blocksTo,
      ...(isSure ? {} : { isUnsure: true }),
    };
    if (this.#leaving !== undefined || list.length > 2 * this.#tailMaxRuns)
      return { from: end, runs: [], before: this.counts(), ...ahead };
    const before = new Map(this.#counts);
    for (let at = 0; at < list.length; at += 2) add(before, list[at + 1] as number, -(list[at] as number));
    // A copy: what is settled meanwhile is not in the ledger beside it.
    return { from, runs: [...list], before: viewOf(before), ...ahead };
  }

  /** Events per fate since the lane began to keep them. */
  counts(): FateCounts {
    return viewOf(this.#counts);
  }

  /** The next event has got its outcome; only final ones are given. */
  settle(outcome: Outcome): void {
    this.#push(1, fateCode(outcome));
  }

  /**
   * An event has got its outcome, or was taken by retention. Before {@link end} it is a parked one,
   * later than those after it; else others before it are not settled, and {@link passTo} gives it
   * its place.
   */
  settleAt(position: Position, outcome: Outcome | "expired"): void {
    const code = outcome === "expired" ? EXPIRED : fateCode(outcome);
    if (position < this.end) this.#patch(position, code);
    else if (code !== DELIVERED_CODE || this.#ahead.has(position)) this.#ahead.note(position, code);
  }

  /** An event that was set aside has its outcome. */
  #patch(position: Position, code: number): void {
    add(this.#counts, code, 1);
    this.#unwritten.patch.set(position, code);
  }

  /** Retention took all from `from` to `to - 1`, which were not read. */
  expireUnread(from: Position, to: Position): void {
    if (from < to) this.#ahead.noteGone(from, to);
  }

  /** Whether it is known that an event was settled before the start. */
  wasSettled(position: Position): boolean {
    return this.#ahead.has(position) || this.#settled.has(position);
  }

  /** It has no outcome: what some other event's missing outcome leaves open does not touch it. */
  noteOpen(position: Position): void {
    if (this.#doubtTo > 0) this.#unsettled.add(position);
  }

  /** All before `to` are settled, but those that are parked. */
  passTo(to: Position, isParked: (position: Position) => boolean, mayBeParked: boolean): void {
    if (!mayBeParked && this.#ahead.isEmpty && this.#doubtTo <= this.end)
      return this.#push(Math.max(0, to - this.end), DELIVERED_CODE);
    while (this.end < to) {
      const position = this.end;
      this.#push(1, isParked(position) ? PARKED : (this.#ahead.get(position) ?? this.#otherwise(position)));
      this.#ahead.passed(position, this.end);
    }
    this.#ended();
  }

  #ended(): void {
    if (this.#ahead.isEmpty) this.#ahead.blocksFrom = undefined;
  }

  /**
   * All before `to` are settled or, where nothing else is known, expired; parked ones before
   * {@link end} too, so that there are `events` in all. `undefined`: where nothing else is known
   * nobody knows, since some may have had their outcome.
   */
  passExpired(to: Position, events: number | undefined): void {
    const otherwise = events === undefined ? LOST : EXPIRED;
    for (const position of this.#lostParked) this.#patch(position, otherwise);
    while (this.end < to && !this.#ahead.isEmpty) {
      const position = this.end;
      this.#push(1, this.#ahead.get(position) ?? otherwise);
      this.#ahead.passed(position, this.end);
    }
    this.#push(Math.max(0, to - this.end), otherwise);
    this.#ended();
    if (events !== undefined) add(this.#counts, EXPIRED, Math.max(0, events - totalOf(this.counts())));
  }

  /**
   * That an event after {@link end} was delivered, or that nobody knows, is written down like other
   * outcomes: what else shows it is about to be removed.
   */
  writeDelivered(position: Position): void {
    if (!this.#ahead.has(position)) this.#ahead.note(position, this.#otherwise(position));
  }

  /** The log has lost its end: positions from here on are given out again. */
  rewind(position: Position): void {
    this.#tail = { from: position, end: position, list: [] };
    this.#ahead.clear();
  }

  /** What became of an event after {@link end} that is settled. */
  aheadAt(position: Position): Fate {
    return fateOf(this.#ahead.get(position) ?? this.#otherwise(position));
  }

  /** Where nothing else is known of a settled event. */
  #otherwise(position: Position): number {
    return position < this.#doubtTo && !this.#unsettled.has(position) ? LOST : DELIVERED_CODE;
  }

  /**
   * At the start: events up to `to` were settled before, and some of their outcomes could not be
   * written down.
   */
  doubt(to: Position): void {
    if (this.#isUnsure) this.#doubtTo = to;
  }

  /** The events up to `position` are not part of this: a replay has gaps. */
  skipTo(position: Position): void {
    this.#push(Math.max(0, position - this.#tail.end), NOT_ADDRESSED);
  }

  expire(events: number): void {
    this.#push(events, EXPIRED);
  }

  /** All up to `position` that have no fate yet. */
  expireTo(position: Position): void {
    this.#push(Math.max(0, position - this.#tail.end), EXPIRED);
  }

  drop(reason: DropReason, events: number): void {
    this.#push(events, droppedCode(reason));
  }

  /** Whether {@link flush} has something to do. */
  get isLong(): boolean {
    return this.#flushing !== undefined || this.#isTailLong || !this.#hasWrittenSingles;
  }

  /** Whether every outcome out of order is in a block. */
  get #hasWrittenSingles(): boolean {
    return this.#unwritten.patch.size === 0 && this.#ahead.isWritten;
  }

  get #isTailLong(): boolean {
    return this.#tail.list.length > 2 * this.#tailMaxRuns;
  }

  /**
   * Before the state with {@link tail} is written: a long tail becomes a block, or any tail where
   * the state has no room for it. **Errors**: those of `BlockLog.append`; all is then kept.
   */
  async flush({ whole = false }: { readonly whole?: boolean } = {}): Promise<void> {
    if (!this.isLong && !(whole && this.#tail.list.length > 0)) return;
    this.#flushing ??= this.#append(whole).finally(() => (this.#flushing = undefined));
    await this.#flushing;
  }

  /**
   * What became of the event at `position`, which must be before {@link end}, and not parked now.
   */
  async at(position: Position): Promise<Fate> {
    const code = await this.#codeAt(position);
    if (code !== PARKED) return fateOf(code);
    const held = this.#unwritten.patch.get(position) ?? this.#leavingPatches.get(position);
    const patched = held ?? (await this.#blocks.find(position, (form) => form === "patch"));
    return patched === undefined || patched === OPEN ? { status: "unknown" } : fateOf(patched);
  }

  async #codeAt(position: Position): Promise<number> {
    for (const runs of [this.#tail, this.#leaving])
      if (runs !== undefined && position >= runs.from) return runAt(runs.list, position - runs.from);
    return (await this.#blocks.find(position, (form) => !isSparse(form))) ?? UNKNOWN_CODE;
  }

  /**
   * Removes the oldest blocks; those of events from `keptFrom` on stay, whatever the limits are.
   */
  retain(limits: RetentionLimits, nowMs: number, keptFrom: Position): Promise<void> {
    return this.#blocks.retain(limits, nowMs, keptFrom);
  }

  close(): Promise<void> {
    return this.#blocks.log.close();
  }

  #push(count: number, code: number): void {
    if (count === 0) return;
    const { list } = this.#tail;
    const last = list.length - 1;
    if (list[last] === code) list[last - 1] = (list[last - 1] as number) + count;
    else list.push(count, code);
    this.#tail.end += count;
    add(this.#counts, code, count);
  }

  async #append(whole: boolean): Promise<void> {
    if (this.#blocks.hasOthers) await this.#blocks.eachOther(this.#contradict);
    if (!this.#hasWrittenSingles) await this.#appendSingles();
    this.#believed = undefined;
    if (this.#isTailLong || (whole && this.#tail.list.length > 0)) await this.#appendTail();
  }

  async #appendSingles(): Promise<void> {
    for (const form of ["patch", "ahead"] as const) if (this.#unwritten[form].size > 0) await this.#appendSparse(form);
    for (const gone = this.#ahead.unwrittenGone; gone[0] !== undefined; gone.shift()) {
      const [{ from, to }] = gone as [(typeof gone)[0]];
      const at = await this.#write({ first: from, count: to - from, form: "gone" }, new Uint8Array(0));
      this.#ahead.blocksFrom ??= at;
    }
  }

  async #appendSparse(form: SparseEncoding): Promise<void> {
    const unwritten = this.#unwritten[form];
    const entries = [...unwritten].sort(([one], [other]) => one - other);
    if (form === "patch") this.#leavingPatches = new Map(entries);
    unwritten.clear();
    const first = (entries[0] as readonly [Position, number])[0];
    const end = (entries.at(-1) as readonly [Position, number])[0] + 1;
    try {
      const at = await this.#write({ first, count: end - first, form }, encodeSparse(first, entries));
      if (form === "ahead") this.#ahead.blocksFrom ??= at;
    } catch (error) {
      for (const [position, code] of entries) if (!unwritten.has(position)) unwritten.set(position, code);
      throw error;
    }
    if (form === "patch") this.#leavingPatches = new Map();
  }

  #write(part: BlockPart, body: Uint8Array): Promise<Position> {
    return this.#blocks.append({ ...part, ...this.counts() }, body);
  }

  async #appendTail(): Promise<void> {
    const leaving = this.#tail;
    const { from, end, list } = leaving;
    const count = end - from;
    const runs = encodeRuns(list);
    const body = runs.length < count ? runs : encodeMap(list, count);
    this.#leaving = leaving;
    this.#tail = { from: end, end, list: [] };
    try {
      await this.#write({ first: from, count, form: body === runs ? "runs" : "map" }, body);
    } catch (error) {
      const since = this.#tail;
      const kept = list.length <= 2 * WAITING_MAX_RUNS;
      if (kept) this.#tail = { from, end: since.end, list: list.concat(since.list) };
      throw error;
    } finally {
      this.#leaving = undefined;
    }
  }
}
