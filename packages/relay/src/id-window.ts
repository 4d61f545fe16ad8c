/**
 * Remembers which message ids were stored, for a window of time, in memory of fixed size.
 *
 * Two generations of a hash table, each for half of `maxIds`; when the newer one is full or half the window old, the older one is emptied
 * and takes its place. So an id is remembered for at least half the window, or for the last `maxIds / 2` ids when they come faster;
 * memory is 16 bytes a slot, two slots an id: 32 bytes times `maxIds`.
 *
 * An id is kept as a 128-bit hash, seeded per process: two ids of one window fall together by chance less often than
 * once in 10^26 for a million ids. A first word of zero marks an empty slot, one of all ones a removed one.
 */
import { assert } from "@waybill/core";

const WORDS_PER_SLOT = 4;
const REMOVED = 0xffff_ffff;

interface Generation {
  readonly slots: Uint32Array;
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
  /** The hash of the id at hand. */
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

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
    assert(options.seed.length === WORDS_PER_SLOT, "the seed has four words");
    this.#seed = options.seed;
    const make = (): Generation => ({
      slots: new Uint32Array(slotCount * WORDS_PER_SLOT),
      used: 0,
      startedAtMs: options.nowMs,
    });
    this.#newer = make();
    this.#older = make();
  }

  /** Adds the id that stands in `bytes` from `start` to `end` for source `scope`; `false` when it was there. */
  add(bytes: Uint8Array, start: number, end: number, scope: number, nowMs: number): boolean {
    this.#turn(nowMs);
    this.#hash(bytes, start, end, scope);
    if (this.#older.used > 0 && this.#find(this.#older) >= 0) return false;
    const slot = this.#find(this.#newer);
    if (slot >= 0) return false;
    const at = -1 - slot;
    const { slots } = this.#newer;
    slots[at] = this.#a;
    slots[at + 1] = this.#b;
    slots[at + 2] = this.#c;
    slots[at + 3] = this.#d;
    this.#newer.used += 1;
    return true;
  }

  /** Forgets an id that was added but could not be stored. */
  remove(bytes: Uint8Array, start: number, end: number, scope: number): void {
    this.#hash(bytes, start, end, scope);
    for (const generation of [this.#newer, this.#older]) {
      const slot = this.#find(generation);
      if (slot >= 0) generation.slots.fill(REMOVED, slot, slot + WORDS_PER_SLOT);
    }
  }

  #turn(nowMs: number): void {
    const full = this.#newer.used >= this.#idsPerGeneration;
    const old = nowMs - this.#newer.startedAtMs > this.#windowMs / 2;
    if (!full && !old) return;
    const emptied = this.#older;
    this.#older = this.#newer;
    if (emptied.used > 0) emptied.slots.fill(0);
    emptied.used = 0;
    emptied.startedAtMs = nowMs;
    this.#newer = emptied;
  }

  /** The slot that holds the hash at hand, or -1 minus the empty slot where it belongs. */
  #find({ slots }: Generation): number {
    let index = (this.#a & this.#mask) >>> 0;
    for (;;) {
      const at = index * WORDS_PER_SLOT;
      const word = slots[at] as number;
      if (word === this.#a && slots[at + 1] === this.#b && slots[at + 2] === this.#c && slots[at + 3] === this.#d)
        return at;
      if (word === 0) return -1 - at;
      index = (index + 1) & this.#mask;
    }
  }

  /** Four words that each depend on every byte (the mixing steps of MurmurHash3, public domain). */
  #hash(bytes: Uint8Array, start: number, end: number, scope: number): void {
    let a = (this.#seed[0] as number) ^ scope;
    let b = this.#seed[1] as number;
    let c = this.#seed[2] as number;
    let d = (this.#seed[3] as number) ^ (end - start);
    let at = start;
    while (at < end) {
      // Bytes behind the end read as zeros; the length above tells such ids apart.
      const left = end - at;
      let word = bytes[at] as number;
      if (left > 1) word |= (bytes[at + 1] as number) << 8;
      if (left > 2) word |= (bytes[at + 2] as number) << 16;
      if (left > 3) word |= (bytes[at + 3] as number) << 24;
      a = Math.imul(a ^ word, 0xcc9e2d51);
      a = (a << 15) | (a >>> 17);
      b = Math.imul(b ^ word, 0x1b873593);
      b = ((b << 13) | (b >>> 19)) + a;
      c = Math.imul(c ^ word, 0x85ebca6b);
      c = ((c << 16) | (c >>> 16)) + b;
      d = Math.imul(d ^ word, 0xc2b2ae35);
      d = ((d << 11) | (d >>> 21)) + c;
      at += 4;
    }
    a = mix(a + d);
    b = mix(b + a);
    c = mix(c + b);
    d = mix(d + c);
    // A first word of zero marks an empty slot, one of all ones a removed one.
    this.#a = (a === 0 || a === REMOVED ? 1 : a) >>> 0;
    this.#b = b >>> 0;
    this.#c = c >>> 0;
    this.#d = d >>> 0;
  }
}

function mix(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
