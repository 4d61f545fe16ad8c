/**
 * Reads in the bytes of stored events whose they are. Builds nothing: for each event that is read
 * ahead this is on the way to its destination.
 *
 * Where a member is twice, the last one counts, as it does for `JSON.parse`. Names and ids that are
 * written with escapes count as those without.
 */
import { JsonScanner, textEquals } from "@waybill/core";
import { textOf } from "../values.ts";
import { hashOfBytes, orderHash } from "./order-hash.ts";
import { FIRST_MEMBER, type PlaceNode, type ReadyTable } from "./order-table.ts";

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const LETTER_N = 0x6e;
/** A number of so many digits is written in one way only. */
const DIGITS_MAX = 15;
const decoder = new TextDecoder();

export class OrderReader {
  readonly #bytes: Uint8Array;
  readonly #scanner: JsonScanner;
  readonly #table: ReadyTable;
  /** Where the values of the event at hand are, by slot; -1 for those that it has not. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;

  constructor(bytes: Uint8Array, table: ReadyTable) {
    this.#bytes = bytes;
    this.#table = table;
    this.#scanner = new JsonScanner(bytes, { allowNonFinite: false });
    this.#starts = new Int32Array(table.slots);
    this.#ends = new Int32Array(table.slots);
  }

  /**
   * Finds the places of the event from `start` to `end`. False: it is not an object, or damaged.
   */
  read(start: number, end: number): boolean {
    const at = this.#scanner.space(start);
    if (at >= end || this.#bytes[at] !== OPEN_BRACE) return false;
    const starts = this.#starts;
    for (let slot = 0; slot < starts.length; slot++) starts[slot] = -1;
    const after = this.#object(at, this.#table.root);
    // What seems to reach into the events after it is damaged too.
    return after >= 0 && after <= end && this.#scanner.space(after) >= end;
  }

  /** The places of the event at `index`, which a `MemberScan` has found. */
  take(found: Int32Array, index: number): void {
    const slots = this.#starts.length;
    for (let slot = 0, at = 2 * slots * index; slot < slots; slot++, at += 2) {
      this.#starts[slot] = found[at] as number;
      this.#ends[slot] = found[at + 1] as number;
    }
  }

  /** Whether the value in this slot is one of these texts. */
  isOneOf(slot: number, texts: readonly string[]): boolean {
    const at = this.#starts[slot] as number;
    if (at < 0 || this.#bytes[at] !== QUOTE) return false;
    const end = (this.#ends[slot] as number) - 1;
    for (const text of texts) if (textEquals(this.#bytes, at + 1, end, text)) return true;
    return false;
  }

  /** The order hash of the first id in these slots that has another than `but`; 0 for none. */
  hash(slots: readonly number[], but: number): number {
    for (const slot of slots) {
      const at = this.#starts[slot] as number;
      const hash = at < 0 ? 0 : this.#hashAt(at, this.#ends[slot] as number);
      if (hash !== 0 && hash !== but) return hash;
    }
    return 0;
  }

  /** The first id in these slots. */
  text(slots: readonly number[]): string | undefined {
    for (const slot of slots) {
      const at = this.#starts[slot] as number;
      const text = at < 0 ? "" : this.#textAt(at, this.#ends[slot] as number);
      if (text !== "") return text;
    }
    return undefined;
  }

  #hashAt(at: number, end: number): number {
    const bytes = this.#bytes;
    if (bytes[at] === QUOTE) {
      const last = end - 1;
      const start = this.#afterPrefix(at + 1, last);
      if (start === last) return 0;
      // One with an escape is decoded first.
      const hash = hashOfBytes(bytes, start, last, BACKSLASH);
      if (hash !== 0) return hash;
    } else if (isShortNumber(bytes, at, end)) return hashOfBytes(bytes, at, end);
    const text = this.#textAt(at, end);
    return text === "" ? 0 : orderHash(text);
  }

  #afterPrefix(start: number, end: number): number {
    const { prefix } = this.#table;
    if (prefix === "" || end - start < prefix.length) return start;
    for (let index = 0; index < prefix.length; index++)
      if (this.#bytes[start + index] !== prefix.charCodeAt(index)) return start;
    return start + prefix.length;
  }

  /** "" for what is not an id. */
  #textAt(at: number, end: number): string {
    const first = this.#bytes[at];
    if (first === OPEN_BRACE || first === OPEN_BRACKET || first === LETTER_N) return "";
    const { prefix } = this.#table;
    const text = textOf(JSON.parse(decoder.decode(this.#bytes.subarray(at, end)))) ?? "";
    return prefix !== "" && text.startsWith(prefix) ? text.slice(prefix.length) : text;
  }

  /** The hot loop: after the object at `at`, -1 when it is not JSON. */
  #object(at: number, node: PlaceNode): number {
    const bytes = this.#bytes;
    const scanner = this.#scanner;
    const byFirstByte = node.byFirstByte;
    let offset = scanner.space(at + 1);
    if (bytes[offset] === CLOSE_BRACE) return offset + 1;
    let first = firstMemberOf(node);
    for (;;) {
      const keyAt = offset;
      const valueAt = scanner.key(keyAt);
      if (valueAt < 0) return -1;
      const children = byFirstByte[bytes[keyAt + 1] as number];
      const child = first ?? (children === undefined ? undefined : this.#childAt(children, keyAt, valueAt));
      first = undefined;
      offset = child === undefined ? scanner.value(valueAt) : this.#place(valueAt, child);
      if (offset < 0) return -1;
      let next = bytes[offset];
      if (next !== COMMA && next !== CLOSE_BRACE) {
        offset = scanner.space(offset);
        next = bytes[offset];
      }
      offset += 1;
      if (next === CLOSE_BRACE) return offset;
      if (next !== COMMA) return -1;
      if (bytes[offset] !== QUOTE) offset = scanner.space(offset);
    }
  }

  /** Which of these the key at `keyAt` is; its value begins at `valueAt`. */
  #childAt(children: readonly PlaceNode[], keyAt: number, valueAt: number): PlaceNode | undefined {
    const bytes = this.#bytes;
    let keyEnd = valueAt - 1;
    // Only white space and the colon are between.
    while (bytes[keyEnd] !== QUOTE) keyEnd--;
    for (const child of children) if (textEquals(bytes, keyAt + 1, keyEnd, child.name)) return child;
    return undefined;
  }

  /** Notes the value at `at`, and what is in it; after it, -1 when it is not JSON. */
  #place(at: number, node: PlaceNode): number {
    const starts = this.#starts;
    // What the same member had before is gone.
    for (const slot of node.within) starts[slot] = -1;
    const end = node.children.length === 0 ? this.#scanner.value(at) : this.#within(at, node);
    if (node.slot >= 0) {
      starts[node.slot] = at;
      this.#ends[node.slot] = end;
    }
    return end;
  }

  #within(at: number, node: PlaceNode): number {
    const first = this.#bytes[at];
    if (first === OPEN_BRACE) return this.#object(at, node);
    return first === OPEN_BRACKET ? this.#array(at, node) : this.#scanner.value(at);
  }

  #array(at: number, node: PlaceNode): number {
    const bytes = this.#bytes;
    const scanner = this.#scanner;
    let offset = scanner.space(at + 1);
    if (bytes[offset] === CLOSE_BRACKET) return offset + 1;
    for (let index = 0; ; index++) {
      const child = index < node.children.length ? elementOf(node, index) : undefined;
      const end = child === undefined ? scanner.value(offset) : this.#place(offset, child);
      if (end < 0) return -1;
      offset = scanner.space(end);
      if (bytes[offset] === CLOSE_BRACKET) return offset + 1;
      if (bytes[offset] !== COMMA) return -1;
      offset = scanner.space(offset + 1);
    }
  }
}

function firstMemberOf({ children }: PlaceNode): PlaceNode | undefined {
  const [only] = children;
  return only?.name === FIRST_MEMBER ? only : undefined;
}

function elementOf({ children }: PlaceNode, index: number): PlaceNode | undefined {
  return children.find(({ name }) => name === String(index));
}

/** Whether it is a number that is its own text: digits alone. */
function isShortNumber(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > DIGITS_MAX) return false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte < DIGIT_0 || byte > DIGIT_9) return false;
  }
  return true;
}
