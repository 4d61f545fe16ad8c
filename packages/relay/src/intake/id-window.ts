/**
 * Remembers which message ids were stored, and where, for a window of time, in memory of fixed
 * size.
 *
 * Two generations of a hash table, each for half of `maxIds`; when the newer one is full or half
 * the window old, the older one is emptied and takes its place. So an id is remembered for at least
 * half the window, or for the last `maxIds / 2` ids when they come faster; memory is 24 bytes a
 * slot, two slots an id, and 8 bytes for the request it came with: 56 bytes times `maxIds`.
 *
 * Where an id is stored is known only after the fsync. Until then it holds a ticket of its request
 * and its place among the request's events; what the ticket stands for is written once, when the
 * request's first position is known, whatever the number of its ids.
 *
 * An id is kept as a 128-bit hash with a secret seed: two ids of one window fall together by chance
 * less often than once in 10^26 for a million ids. The first words lie apart from the others, so
 * that looking for an id that is new touches four bytes a generation: how fast memory answers is
 * what a lookup costs. A first word of zero marks an empty slot, one of all ones a removed one.
 */
import { assert } from "@waybill/core";

/** Words of one id's hash. */
export const HASH_WORDS = 4;
const REST_WORDS = HASH_WORDS - 1;
const REMOVED = 0xffff_ffff;
/** Stored, but where is not known (any more). */
const NOWHERE = -1;
/**
 * Places a request may have: an id holds minus two minus (its ticket times this, plus its place).
 */
const PLACES = 2 ** 20;
/** Tickets begin anew then: none lives that long. */
const TICKETS = 2 ** 32;

/** Where an id is in the bytes at hand, without its quotes. */
export interface IdRange {
  readonly idStart: number;
  readonly idEnd: number;
}

/** Hashes of the ids of one source, four words each. */
export interface IdHashes {
  /** Tells the source's ids apart from those of others. */
  readonly scope: number;
  readonly words: Uint32Array;
}

interface Generation {
  readonly tags: Uint32Array;
  readonly rest: Uint32Array;
  /** Position in the log, or ticket and place. */
  readonly positions: Float64Array;
  /**
   * First position of each ticket's request plus one; 0 while that is not known. Each has an id
   * here, so there are no more than ids.
   */
  readonly tickets: Float64Array;
  firstTicket: number;
  used: number;
  startedAtMs: number;
}

export class IdWindow {
  readonly #windowMs: number;
  readonly #idsPerGeneration: number;
  readonly #mask: number;
  readonly #seed: Uint32Array;
  #newer: Generation;
  #older: Generation;
  /** Of the request at hand. */
  #ticket = 0;
  #isTicketUsed = false;

  constructor(options: {
    readonly windowMs: number;
    readonly maxIds: number;
    readonly seed: Uint32Array;
    readonly nowMs: number;
  }) {
    this.#windowMs = options.windowMs;
    this.#idsPerGeneration = Math.max(1, options.maxIds >> 1);
    const slotCount = 2 ** Math.ceil(Math.log2(2 * this.#idsPerGeneration));
    this.#mask = slotCount - 1;
    assert(options.seed.length === HASH_WORDS, "the seed has four words");
    this.#seed = options.seed;
    const make = (): Generation => ({
      tags: new Uint32Array(slotCount),
      rest: new Uint32Array(slotCount * REST_WORDS),
      positions: new Float64Array(slotCount),
      tickets: new Float64Array(this.#idsPerGeneration + 1),
      firstTicket: 0,
      used: 0,
      startedAtMs: options.nowMs,
    });
    this.#newer = make();
    this.#older = make();
  }

  /**
   * Touches the places of all hashes. They lie anywhere in a table larger than the caches; asked
   * for one after another without a decision in between, memory answers several at once. Returns
   * what it read, so that it is read.
   */
  prefetch({ words }: IdHashes): number {
    const newer = this.#newer.tags;
    const older = this.#older.tags;
    let seen = 0;
    for (let at = 0; at < words.length; at += HASH_WORDS) {
      const slot = ((words[at] as number) & this.#mask) >>> 0;
      seen ^= (newer[slot] as number) ^ (older[slot] as number);
    }
    return seen;
  }

  /**
   * Adds hash `index` of `hashes`; `false` when it was there. `position` where it is stored, once
   * that is known.
   */
  add(hashes: IdHashes, index: number, nowMs: number, position: number = NOWHERE): boolean {
    this.#turn(nowMs);
    if (this.#older.used > 0 && this.#find(this.#older, hashes, index) >= 0) return false;
    const slot = -1 - this.#find(this.#newer, hashes, index);
    if (slot < 0) return false;
    const { words } = hashes;
    const { tags, rest, positions } = this.#newer;
    const at = index * HASH_WORDS;
    tags[slot] = words[at] as number;
    rest[slot * REST_WORDS] = words[at + 1] as number;
    rest[slot * REST_WORDS + 1] = words[at + 2] as number;
    rest[slot * REST_WORDS + 2] = words[at + 3] as number;
    positions[slot] = position;
    this.#newer.used += 1;
    return true;
  }

  /** Adds the hash of the event at `place` among those of the request at hand that are stored. */
  addAt(hashes: IdHashes, index: number, nowMs: number, place: number): boolean {
    // A turn keeps the number of the ticket at hand.
    const isNew = this.add(hashes, index, nowMs, -2 - (this.#ticket * PLACES + (place % PLACES)));
    if (isNew) this.#isTicketUsed = true;
    return isNew;
  }

  /**
   * Ends the request at hand: the ticket of the ids that were added for it; `undefined` when there
   * is none.
   */
  endRequest(): number | undefined {
    if (!this.#isTicketUsed) return undefined;
    this.#isTicketUsed = false;
    const ticket = this.#ticket;
    this.#ticket = (ticket + 1) % TICKETS;
    return ticket;
  }

  /** Notes where the first event of a request was stored. */
  settle(ticket: number, first: number): void {
    for (const { tickets, firstTicket } of [this.#newer, this.#older]) {
      const at = (ticket - firstTicket + TICKETS) % TICKETS;
      if (at < tickets.length) tickets[at] = first + 1;
    }
  }

  /** Where the id was stored; `undefined` when it is not in the window, or not stored yet. */
  positionOf(hashes: IdHashes, index: number): number | undefined {
    for (const generation of [this.#newer, this.#older]) {
      const slot = this.#find(generation, hashes, index);
      const position = slot < 0 ? undefined : settled(generation, generation.positions[slot] as number);
      if (position !== undefined) return position;
    }
    return undefined;
  }

  /** Forgets an id that was added but could not be stored. */
  remove(hashes: IdHashes, index: number): void {
    for (const generation of [this.#newer, this.#older]) {
      const slot = this.#find(generation, hashes, index);
      if (slot >= 0) generation.tags[slot] = REMOVED;
    }
  }

  #turn(nowMs: number): void {
    const full = this.#newer.used >= this.#idsPerGeneration;
    const old = nowMs - this.#newer.startedAtMs > this.#windowMs / 2;
    if (!full && !old) return;
    const emptied = this.#older;
    this.#older = this.#newer;
    if (emptied.used > 0) {
      emptied.tags.fill(0);
      emptied.tickets.fill(0);
    }
    emptied.firstTicket = this.#ticket;
    emptied.used = 0;
    emptied.startedAtMs = nowMs;
    this.#newer = emptied;
  }

  /** The slot that holds the hash, or -1 minus the empty slot where it belongs. */
  #find({ tags, rest }: Generation, { words }: IdHashes, index: number): number {
    const at = index * HASH_WORDS;
    const tag = words[at] as number;
    let slot = (tag & this.#mask) >>> 0;
    for (;;) {
      const word = tags[slot] as number;
      if (word === 0) return -1 - slot;
      const from = slot * REST_WORDS;
      if (
        word === tag &&
        rest[from] === words[at + 1] &&
        rest[from + 1] === words[at + 2] &&
        rest[from + 2] === words[at + 3]
      )
        return slot;
      slot = (slot + 1) & this.#mask;
    }
  }

  /**
   * Writes the hash of an id that is in `bytes` to place `index` of `hashes`. Four words that each
   * depend on every byte (the mixing steps of MurmurHash3, public domain).
   */
  hash(bytes: Uint8Array, { idStart, idEnd }: IdRange, hashes: IdHashes, index: number): void {
    let a = (this.#seed[0] as number) ^ hashes.scope;
    let b = this.#seed[1] as number;
    let c = this.#seed[2] as number;
    // Bytes past the end read as zeros; the length distinguishes such ids.
    let d = (this.#seed[3] as number) ^ (idEnd - idStart);
    for (let at = idStart; at < idEnd; at += 4) {
      const left = idEnd - at;
      let word = bytes[at] as number;
      if (left > 3)
        word |=
          ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
      else {
        if (left > 1) word |= (bytes[at + 1] as number) << 8;
        if (left > 2) word |= (bytes[at + 2] as number) << 16;
      }
      a = Math.imul(a ^ word, 0xcc9e2d51);
      a = (a << 15) | (a >>> 17);
      b = Math.imul(b ^ word, 0x1b873593);
      b = ((b << 13) | (b >>> 19)) + a;
      c = Math.imul(c ^ word, 0x85ebca6b);
      c = ((c << 16) | (c >>> 16)) + b;
      d = Math.imul(d ^ word, 0xc2b2ae35);
      d = ((d << 11) | (d >>> 21)) + c;
    }
    a = mix(a + d);
    b = mix(b + a);
    c = mix(c + b);
    d = mix(d + c);
    // A first word of zero marks an empty slot, one of all ones a removed one.
    const { words } = hashes;
    const target = index * HASH_WORDS;
    words[target] = a === 0 || a === REMOVED ? 1 : a;
    words[target + 1] = b;
    words[target + 2] = c;
    words[target + 3] = d;
  }
}

function settled({ tickets, firstTicket }: Generation, position: number): number | undefined {
  if (position >= 0) return position;
  if (position === NOWHERE) return undefined;
  const held = -2 - position;
  const first = tickets[(Math.floor(held / PLACES) - firstTicket + TICKETS) % TICKETS] ?? 0;
  return first === 0 ? undefined : first - 1 + (held % PLACES);
}

function mix(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
