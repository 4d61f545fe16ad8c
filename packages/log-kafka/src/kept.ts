/**
 * What is known of the part of a partition that was read: places, duplicates, and where all that
 * begins. It begins at {@link Kept.from}: everything from there to the head was counted. When
 * somebody wants to read before, what lies between is counted as well, from the far end on; when
 * the broker removes records, it begins at the first one that is left.
 */
import type { Clock } from "@waybill/core";
import type { LogRecord, Position } from "@waybill/log";
import { BrokerError, type Offset } from "./broker.ts";
import { type Checkpoint, Count, type PartitionRecord, type Positions } from "./counting.ts";
import { CLOCKS_DIFFER_MS, Decisions, DuplicateFinder, type DuplicateRule } from "./duplicates.ts";
import { type Mark, markOf, Places } from "./places.ts";
import { type Read, type ReadRecord, type Source, waitMs } from "./source.ts";

/** Read at once while counting. */
const READ_BYTES = 1024 * 1024;
/** A broker that answers nothing where there was something is asked again so often. */
const EMPTY_MAX = 8;

export interface KeptOptions {
  readonly source: Source;
  readonly clock: Clock;
  readonly positions: Positions;
  readonly markEveryBytes: number;
  readonly duplicates: DuplicateRule | undefined;
  /** The place after all that was read. */
  readonly head: () => Checkpoint;
  /** Events before that position are gone. */
  readonly onRemoved: (first: Position) => void;
}

interface Passed {
  readonly from: Start;
  readonly places: Places;
  readonly decisions: Decisions;
  readonly finder: DuplicateFinder | undefined;
}

/** `atMs` is unknown where there is no record yet. */
type Start = Checkpoint & Partial<Mark>;

/** Where to begin so that what is decided from `target` on is right. */
interface LookBack {
  readonly begin: Offset;
  /** Events before the target that are enough, and where to begin when they are fewer. */
  readonly events: number;
  readonly otherwise: Offset;
}

export class Kept {
  readonly #options: KeptOptions;
  #places: Places;
  #decisions = new Decisions();
  #from: Start;
  #decidedFrom: Checkpoint;
  #firstOffset: Offset;
  #busy: Promise<unknown> = Promise.resolve();
  /** What is removed now, or will be next. */
  #removingTo: Offset = 0;

  constructor(options: KeptOptions, anchor: Checkpoint, firstOffset: Offset) {
    this.#options = options;
    this.#places = new Places(options.markEveryBytes);
    this.#from = anchor;
    this.#decidedFrom = anchor;
    this.#firstOffset = firstOffset;
  }

  get from(): Start {
    return this.#from;
  }

  /** Of the first record that the broker keeps, as far as is known. */
  get firstOffset(): Offset {
    return this.#firstOffset;
  }

  /** Whether {@link from} is where the first record is that the broker keeps. */
  get isComplete(): boolean {
    return this.#from.offset <= this.#firstOffset;
  }

  /** Parts that are removed as a whole, oldest first. */
  get parts(): readonly Mark[] {
    const { marks } = this.#places;
    const { atMs, ...from } = this.#from;
    return atMs === undefined || marks[0]?.offset === from.offset ? marks : [{ ...from, atMs }, ...marks];
  }

  /** The records of the next value. */
  note(records: readonly PartitionRecord[], finder: DuplicateFinder | undefined): void {
    const [record] = records;
    if (record === undefined) return;
    const mark = markOf(record);
    if (this.#from.atMs === undefined) {
      // Where nothing was before: a record of a companion topic tells its own position.
      this.#from = { ...mark, offset: this.#from.offset };
      if (this.#decidedFrom.offset === this.#from.offset) this.#decidedFrom = this.#from;
    }
    this.#places.note(mark);
    if (finder === undefined) return;
    for (const one of records) this.#decisions.add(one, finder.take(one, mark.atMs));
  }

  duplicatesOf(record: LogRecord): readonly number[] | undefined {
    return this.#decisions.of(record);
  }

  /** The last known place at or before a position that is kept. */
  placeFor(position: Position): Checkpoint {
    const head = this.#options.head();
    if (position >= head.position) return head;
    const place = this.#places.before(position);
    return place === undefined || place.offset < this.#from.offset ? this.#from : place;
  }

  /** Before a record; `undefined` when it is not one that is remembered. */
  placeAt(offset: Offset): Checkpoint | undefined {
    const place = this.#places.beforeOffset(offset);
    return place?.offset === offset ? place : undefined;
  }

  placeBeforeOffset(offset: Offset): Checkpoint {
    const head = this.#options.head();
    if (offset >= head.offset) return head;
    const place = this.#places.beforeOffset(offset);
    return place === undefined || place.offset < this.#from.offset ? this.#from : place;
  }

  /** Counts from `target` on what was not counted yet. Resolves to what finds duplicates next. */
  async open(target: Offset): Promise<DuplicateFinder | undefined> {
    return this.#alone(() => this.#include(target, this.#from));
  }

  /**
   * Where values tell their positions, what is before need not be read to know where it begins; its
   * bytes are not counted then.
   */
  async beginAtFirst(): Promise<void> {
    const { source } = this.#options;
    const { byte } = this.#from;
    for (let offset = this.#firstOffset; offset < this.#from.offset; ) {
      const at = offset;
      const { records } = await source.retrying("opening", () => source.fetch(at, 1));
      const [value] = records;
      const [record] = value?.records ?? [];
      if (value === undefined) return;
      offset = value.offset + 1;
      if (record === undefined || value.offset >= this.#from.offset) continue;
      this.#from = { offset: this.#firstOffset, position: record.first, byte, atMs: value.appendedAtMs };
      this.#decidedFrom = this.#from;
    }
  }

  /**
   * The place of the first record that the broker keeps: reads all from there to {@link from}, and
   * remembers nothing of it.
   */
  async countFirst(): Promise<Checkpoint> {
    return (await this.#pass(this.#firstOffset, this.#from, undefined)).from;
  }

  /** Everything from an offset on is counted and decided then, as far as it is there. */
  async extend(target: Offset): Promise<void> {
    await this.#alone(async () => {
      if (target < this.#decidedFrom.offset) await this.#include(target, this.#decidedFrom);
    });
  }

  /** The same, by position. */
  async ensure(position: Position): Promise<void> {
    if (position >= this.#decidedFrom.position) return;
    await this.#alone(async () => {
      while (position < this.#decidedFrom.position) {
        // Each record has an event at least.
        const missing = Math.max(1, this.#from.position - position);
        const target = position >= this.#from.position ? this.placeFor(position).offset : this.#from.offset - missing;
        if (target < this.#from.offset && this.isComplete && this.#decidedFrom.offset === this.#from.offset) return;
        await this.#include(Math.max(target, this.#firstOffset), this.#decidedFrom);
      }
    });
  }

  /** The broker keeps nothing before `offset` any more. */
  async removed(offset: Offset): Promise<void> {
    if (offset <= this.#firstOffset) return;
    if (offset <= this.#removingTo) {
      await this.#busy;
      return;
    }
    this.#removingTo = offset;
    try {
      await this.#alone(() => this.#remove(offset));
    } finally {
      if (this.#removingTo === offset) this.#removingTo = 0;
    }
  }

  async #remove(offset: Offset): Promise<void> {
    if (offset > this.#from.offset) {
      const before = this.#from.position;
      this.#beginAt(await this.#placeAt(offset));
      if (this.#from.position > before) this.#options.onRemoved(this.#from.position);
    }
    this.#firstOffset = Math.max(this.#firstOffset, offset);
  }

  #beginAt(from: Start): void {
    this.#from = from;
    this.#places.dropBefore(from.offset);
    if (this.#decidedFrom.offset >= from.offset) return;
    this.#decidedFrom = from;
    this.#decisions.dropBefore(from.position);
  }

  /** The place at an offset that is kept: counted from the next one that is known. */
  async #placeAt(offset: Offset): Promise<Start> {
    const known = this.#places.atOrAfter(offset) ?? this.#options.head();
    if (known.offset <= offset) return known;
    return (await this.#pass(offset, known, undefined)).from;
  }

  /** One after another: they change the same things. */
  #alone<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(run);
    this.#busy = result.catch(() => undefined);
    return result;
  }

  async #include(target: Offset, to: Checkpoint): Promise<DuplicateFinder | undefined> {
    const { from, places, decisions, finder } = await this.#pass(target, to, this.#options.duplicates);
    if (from.offset < this.#from.offset || this.#from.offset === to.offset) {
      this.#from = from;
      this.#places.prepend(places);
    }
    this.#decisions.prepend(decisions);
    this.#decidedFrom = from;
    return finder;
  }

  /** Reads from `target` up to `to`, whose position is known, and before for the duplicates. */
  async #pass(target: Offset, to: Checkpoint, rule: DuplicateRule | undefined): Promise<Passed> {
    let begin: Offset | undefined;
    for (;;) {
      const start = Math.min(to.offset, Math.max(target, this.#firstOffset));
      const back = await this.#lookBack(start, rule);
      const pass = new Pass(this.#options, { target: start, to, until: this.#from, rule });
      try {
        await pass.run(begin ?? back.begin);
        if (pass.eventsBefore >= back.events || (begin ?? back.begin) <= back.otherwise) return pass.end();
        begin = back.otherwise;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        // Retention was faster. What is left begins later.
        begin = undefined;
        const { source } = this.#options;
        const first = await source.retrying("looking for the first record", () => source.offsetAt("first"));
        if (first <= this.#firstOffset) throw source.refusal("counting", error);
        this.#firstOffset = first;
      }
    }
  }

  async #lookBack(target: Offset, rule: DuplicateRule | undefined): Promise<LookBack> {
    if (rule === undefined) return { begin: target, events: 0, otherwise: target };
    const { source } = this.#options;
    const atMs = (await this.timeAt(target)) - rule.windowMs - CLOCKS_DIFFER_MS;
    const found = await source.retrying("looking for a time", () => source.offsetAt({ atMs: Math.max(0, atMs) }));
    const otherwise = Math.max(this.#firstOffset, Math.min(target, found));
    // Each record that counts has an event at least.
    return { begin: Math.max(otherwise, target - rule.maxIds), events: rule.maxIds, otherwise };
  }

  /** By the broker's clock: when the record there was appended, or where there is none the last. */
  async timeAt(offset: Offset): Promise<number> {
    const { source, clock } = this.#options;
    for (const at of [offset, Math.max(this.#firstOffset, offset - 1)]) {
      const { records } = await source.retrying("looking for a time", () => source.fetch(at, 1));
      if (records[0] !== undefined) return records[0].appendedAtMs;
    }
    return clock.now();
  }
}

interface PassOptions {
  readonly target: Offset;
  readonly to: Checkpoint;
  /** Places from there on are known. */
  readonly until: Checkpoint;
  readonly rule: DuplicateRule | undefined;
}

/** One reading up to a known place: what it finds is moved there at the end. */
class Pass {
  readonly #options: KeptOptions;
  readonly #pass: PassOptions;
  readonly #places: Places;
  readonly #decisions = new Decisions();
  readonly #finder: DuplicateFinder | undefined;
  #count: Count;
  #from: Start | undefined;
  eventsBefore = 0;

  constructor(options: KeptOptions, pass: PassOptions) {
    this.#options = options;
    this.#pass = pass;
    this.#places = new Places(options.markEveryBytes);
    this.#finder = pass.rule === undefined ? undefined : new DuplicateFinder(pass.rule);
    this.#count = new Count(options.positions, pass.to);
  }

  /** **Errors**: {@link BrokerError} `offset_out_of_range`; those of `Source.retrying`. */
  async run(begin: Offset): Promise<void> {
    const { source, positions } = this.#options;
    const { offset: end } = this.#pass.to;
    this.#count = new Count(positions, { offset: begin, position: 0, byte: 0 });
    let empty = 0;
    while (this.#count.place.offset < end) {
      const { offset } = this.#count.place;
      const read: Read = await source.retrying("counting", () => source.fetch(offset, READ_BYTES));
      if (this.#takeAll(read.records)) return;
      empty = read.records.length > 0 ? 0 : empty + 1;
      // Offsets may have gaps, and a new leader may not know yet how far its followers are.
      if (empty > EMPTY_MAX && read.end >= end) return;
      if (empty > 0) await source.wait(waitMs(empty));
    }
  }

  /** Whether the end was reached. */
  #takeAll(records: readonly ReadRecord[]): boolean {
    for (const one of records) {
      if (one.offset >= this.#pass.to.offset) return true;
      this.#take(one);
    }
    return false;
  }

  #take(one: ReadRecord): void {
    const records = this.#count.take(one);
    const [first] = records;
    if (first === undefined) return;
    const isBefore = one.offset < this.#pass.target;
    for (const record of records) {
      const duplicates = this.#finder?.take(record, record.appendedAtMs);
      if (isBefore) this.eventsBefore += record.count;
      else if (duplicates !== undefined) this.#decisions.add(record, duplicates);
    }
    if (isBefore) return;
    const mark = markOf(first);
    this.#from ??= { ...mark, offset: this.#pass.target };
    if (one.offset < this.#pass.until.offset) this.#places.note(mark);
  }

  end(): Passed {
    const { to, target } = this.#pass;
    const { position, byte } = this.#count.place;
    const positions = this.#options.positions === "written" ? 0 : to.position - position;
    const bytes = to.byte - byte;
    this.#places.shift(positions, bytes);
    this.#decisions.shift(positions);
    const found = this.#from;
    const from: Start =
      found === undefined
        ? { ...to, offset: Math.min(target, to.offset) }
        : { ...found, position: found.position + positions, byte: found.byte + bytes };
    return { from, places: this.#places, decisions: this.#decisions, finder: this.#finder };
  }
}
