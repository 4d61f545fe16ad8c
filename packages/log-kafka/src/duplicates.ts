/**
 * Which events of a partition are copies of earlier ones, decided by the log alone.
 *
 * The rule: an event is a duplicate when the last event before it in its partition that has the
 * same id was appended at most `windowMs` earlier by the broker's clock, and is one of the
 * `maxIds` events before it. That last one may be a duplicate itself. So what lies before the
 * window of an event does not matter to it, and who begins to read one window earlier decides as
 * everybody else.
 *
 * Exact as long as the clocks of the brokers differ by less than {@link CLOCKS_DIFFER_MS} and the
 * log still has one window before what is to be decided: an event whose first copy is removed is
 * known as a duplicate only to those who had read it.
 *
 * What is remembered: the last place of each id, in two generations. The older one is dropped as a
 * whole once nothing in it can matter, so at most about twice `maxIds` ids are held, 32 to 64 bytes
 * each, and no more than came in two windows.
 */
import type { LogRecord, Position } from "@waybill/log";
import type { StoredRecord } from "./record-value.ts";

/** Words of the hash of an id. */
const ID_HASH_WORDS = 4;
/** A change of leader may put a partition's clock back by so much. */
export const CLOCKS_DIFFER_MS: number = 5 * 60_000;

export interface DuplicateRule {
  readonly windowMs: number;
  readonly maxIds: number;
  /**
   * Four words for each event of a record, the same for the same id of the same source; a first
   * word of 0 for an event without an id of its own. Must depend on the record's content
   * alone; where it throws there are no ids. May be overwritten by the next call.
   */
  readonly idsOf: (record: StoredRecord) => Uint32Array;
}

const NO_IDS = new Uint32Array(0);
const WORDS = ID_HASH_WORDS + 2;
const RECORD_WORD = ID_HASH_WORDS;
const PLACE_WORD = ID_HASH_WORDS + 1;
const SLOTS_MIN = 16;
/** A power of two: a table that grows keeps everybody waiting, so there are many small ones. */
const TABLES = 64;

interface RecordPlace {
  readonly record: number;
  readonly place: number;
}

/** Hashes, each with the record it was in last and its place there. */
class IdTable {
  /** A first word of 0 is an empty slot. */
  #slots = new Uint32Array(SLOTS_MIN * WORDS);
  used = 0;

  /** Where the hash is; -1 minus where it belongs when it is not there. */
  #find(words: Uint32Array, at: number): number {
    const slots = this.#slots;
    const mask = slots.length / WORDS - 1;
    let slot = (words[at] as number) & mask;
    for (;;) {
      const from = slot * WORDS;
      if (slots[from] === 0) return -1 - from;
      if (
        slots[from] === words[at] &&
        slots[from + 1] === words[at + 1] &&
        slots[from + 2] === words[at + 2] &&
        slots[from + 3] === words[at + 3]
      )
        return from;
      slot = (slot + 1) & mask;
    }
  }

  /** What is in the slot where a hash belongs: 0 is nothing, and then the hash is not there. */
  peek(words: Uint32Array, at: number): number {
    const slots = this.#slots;
    return slots[((words[at] as number) & (slots.length / WORDS - 1)) * WORDS] as number;
  }

  get(words: Uint32Array, at: number): RecordPlace | undefined {
    const from = this.#find(words, at);
    return from < 0 ? undefined : this.#placeAt(from);
  }

  /** Returns what was there before. */
  set(words: Uint32Array, at: number, record: number, place: number): RecordPlace | undefined {
    const found = this.#find(words, at);
    const before = found < 0 ? undefined : this.#placeAt(found);
    const from = found < 0 ? -1 - found : found;
    this.#slots[from + RECORD_WORD] = record;
    this.#slots[from + PLACE_WORD] = place;
    if (found >= 0) return before;
    for (let word = 0; word < ID_HASH_WORDS; word++) this.#slots[from + word] = words[at + word] as number;
    this.used += 1;
    if (4 * this.used > 3 * (this.#slots.length / WORDS)) this.#grow();
    return undefined;
  }

  #placeAt(from: number): RecordPlace {
    return { record: this.#slots[from + RECORD_WORD] as number, place: this.#slots[from + PLACE_WORD] as number };
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(2 * old.length);
    for (let from = 0; from < old.length; from += WORDS) {
      if (old[from] === 0) continue;
      const to = -1 - this.#find(old, from);
      for (let word = 0; word < WORDS; word++) this.#slots[to + word] = old[from + word] as number;
    }
  }
}

/** An id's last event. */
interface Last {
  readonly ordinal: number;
  readonly atMs: number;
}

/** Ids and the records they came in, each at its last place. */
class Generation {
  readonly #tables = Array.from({ length: TABLES }, () => new IdTable());
  /** By record: its first event's ordinal, and when it was appended. */
  readonly firsts: number[] = [];
  readonly atMs: number[] = [];
  newestAtMs: number = Number.NEGATIVE_INFINITY;

  get ids(): number {
    return this.#tables.reduce((sum, { used }) => sum + used, 0);
  }

  addRecord(first: number, atMs: number): void {
    this.firsts.push(first);
    this.atMs.push(atMs);
    this.newestAtMs = Math.max(this.newestAtMs, atMs);
  }

  /** The slot is chosen by the first word of a hash, the table by the last. */
  #tableOf(words: Uint32Array, at: number): IdTable {
    return this.#tables[(words[at + ID_HASH_WORDS - 1] as number) & (TABLES - 1)] as IdTable;
  }

  /** 0 where none of the first `count` hashes is there. */
  peek(words: Uint32Array, count: number): number {
    let found = 0;
    for (let at = 0; at < count * ID_HASH_WORDS; at += ID_HASH_WORDS) found |= this.#tableOf(words, at).peek(words, at);
    return found;
  }

  lastOf(words: Uint32Array, at: number): Last | undefined {
    return this.#lastAt(this.#tableOf(words, at).get(words, at));
  }

  /** Of the record that was added last, the event at `place`. Returns the one before it. */
  note(words: Uint32Array, at: number, place: number): Last | undefined {
    return this.#lastAt(this.#tableOf(words, at).set(words, at, this.firsts.length - 1, place));
  }

  #lastAt(last: RecordPlace | undefined): Last | undefined {
    if (last === undefined) return undefined;
    return { ordinal: (this.firsts[last.record] as number) + last.place, atMs: this.atMs[last.record] as number };
  }
}

/** Reads records in order, from any place on, and finds the duplicates among them. */
export class DuplicateFinder {
  readonly #rule: DuplicateRule;
  #newer = new Generation();
  #older = new Generation();
  /** Events so far. Only differences matter. */
  #count = 0;

  constructor(rule: DuplicateRule) {
    this.#rule = rule;
  }

  /** How many ids are held: one of both generations counts twice. */
  get held(): number {
    return this.#newer.ids + this.#older.ids;
  }

  /** The indexes of the duplicates in the next record. */
  take(record: StoredRecord, appendedAtMs: number): readonly number[] {
    const { windowMs, maxIds } = this.#rule;
    this.#turn(appendedAtMs);
    const words = this.#idsOf(record);
    this.#newer.addRecord(this.#count, appendedAtMs);
    // Slots are far from each other in memory. Here the processor waits for many of them at once;
    // below, where each is compared before the next one is known, for one after another.
    const found = this.#newer.peek(words, record.count) | this.#older.peek(words, record.count);
    const duplicates: number[] = [];
    for (let index = 0; index < record.count; index++) {
      const at = index * ID_HASH_WORDS;
      if ((words[at] ?? 0) === 0) continue;
      const last = this.#newer.note(words, at, index) ?? (found === 0 ? undefined : this.#older.lastOf(words, at));
      const ordinal = this.#count + index;
      if (last !== undefined && ordinal - last.ordinal <= maxIds && appendedAtMs - last.atMs <= windowMs)
        duplicates.push(index);
    }
    this.#count += record.count;
    return duplicates;
  }

  #idsOf(record: StoredRecord): Uint32Array {
    try {
      return this.#rule.idsOf(record);
    } catch {
      return NO_IDS;
    }
  }

  /** The older generation is dropped when nothing in it can matter, and the newer one is large. */
  #turn(atMs: number): void {
    const { windowMs, maxIds } = this.#rule;
    const first = this.#newer.firsts[0];
    if (first === undefined) return;
    const newerEvents = this.#count - first;
    const reachMs = windowMs + CLOCKS_DIFFER_MS;
    const isOver = newerEvents >= maxIds || atMs - this.#older.newestAtMs > reachMs;
    const isLarge = newerEvents >= maxIds / 2 || atMs - (this.#newer.atMs[0] as number) > reachMs / 2;
    if (!isOver || !isLarge) return;
    this.#older = this.#newer;
    this.#newer = new Generation();
  }
}

/** Positions of duplicates, in order: 8 bytes each. */
export class Decisions {
  #positions: Position[] = [];

  get size(): number {
    return this.#positions.length;
  }

  add(record: Pick<LogRecord, "first">, indexes: readonly number[]): void {
    for (const index of indexes) this.#positions.push(record.first + index);
  }

  /** All of `earlier` are before all that are there. */
  prepend(earlier: Decisions): void {
    this.#positions = earlier.#positions.concat(this.#positions);
  }

  shift(positions: number): void {
    this.#positions = this.#positions.map((position) => position + positions);
  }

  dropBefore(position: Position): void {
    this.#positions.splice(0, this.#countBefore(position));
  }

  /** The indexes of a record's duplicates; `undefined` for none. */
  of({ first, count }: Pick<LogRecord, "first" | "count">): readonly number[] | undefined {
    const from = this.#countBefore(first);
    if (from === this.#positions.length || (this.#positions[from] as number) >= first + count) return undefined;
    const to = this.#countBefore(first + count);
    return this.#positions.slice(from, to).map((position) => position - first);
  }

  #countBefore(position: Position): number {
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#positions[middle] as number) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
