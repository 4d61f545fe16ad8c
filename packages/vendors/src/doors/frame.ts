/**
 * Finds the events of a request in its bytes, for vendors whose events are elements of an array, at the top or in a member of an object, or the whole body. The
 * whole JSON is checked; nothing is built. Segment's own framing is in segment/scan.ts: it knows more and is made for speed.
 */
import { JsonScanner } from "@waybill/core";

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where the events stand: `[…]`, `{"batch":[…]}`, or the body itself. */
export type Frame =
  | { readonly kind: "array" }
  | { readonly kind: "member"; readonly name: string }
  | { readonly kind: "object" };

export interface Framed {
  readonly bytes: Uint8Array;
  readonly events: readonly Range[];
  /** Start and end of each bare NaN and infinity, in order. */
  readonly nonFinite: readonly number[];
}

export interface FrameFault {
  readonly code: "invalid_json" | "wrong_shape";
  readonly message: string;
}

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const decoder = new TextDecoder();

/** `bytes` must be UTF-8. `allowNonFinite`: Python's clients write NaN bare. */
export function frame(
  bytes: Uint8Array,
  kind: Frame,
  options: { readonly allowNonFinite: boolean },
): Framed | FrameFault {
  const scanner = new JsonScanner(bytes, options);
  const start = scanner.space(0);
  const invalid = (): FrameFault => {
    const { offset, reason } = scanner.fault ?? { offset: 0, reason: "not JSON" };
    return { code: "invalid_json", message: `The body is not JSON: ${reason} at byte ${offset}.` };
  };
  const expected = kind.kind === "array" ? OPEN_BRACKET : OPEN_BRACE;
  const events: Range[] = [];
  let listed = false;
  let end: number;
  if (bytes[start] !== expected || kind.kind === "object") {
    end = scanner.value(start);
    if (bytes[start] === expected && end >= 0) events.push({ start, end });
    listed = true;
  } else if (kind.kind === "array") {
    end = elements(scanner, bytes, start, events);
    listed = true;
  } else
    end = members(scanner, bytes, start, (key, at) => {
      if (key !== kind.name || bytes[at] !== OPEN_BRACKET) return scanner.value(at);
      // A repeated member: the last one counts, as in every parser.
      events.length = 0;
      listed = true;
      return elements(scanner, bytes, at, events);
    });
  if (end < 0) return invalid();
  const behind = scanner.space(end);
  if (behind !== bytes.length) {
    scanner.reject(behind);
    return invalid();
  }
  if (bytes[start] !== expected)
    return {
      code: "wrong_shape",
      message: `The body is JSON, but not an ${kind.kind === "array" ? "array" : "object"}.`,
    };
  if (!listed && kind.kind === "member") return { code: "wrong_shape", message: `${kind.name} is not an array` };
  return { bytes, events, nonFinite: scanner.nonFinite };
}

function elements(scanner: JsonScanner, bytes: Uint8Array, at: number, events: Range[]): number {
  let offset = scanner.space(at + 1);
  if (bytes[offset] === CLOSE_BRACKET) return offset + 1;
  for (;;) {
    const end = scanner.value(offset);
    if (end < 0) return -1;
    events.push({ start: offset, end });
    offset = scanner.space(end);
    if (bytes[offset] === CLOSE_BRACKET) return offset + 1;
    if (bytes[offset] !== COMMA) return scanner.reject(offset);
    offset = scanner.space(offset + 1);
  }
}

function members(
  scanner: JsonScanner,
  bytes: Uint8Array,
  at: number,
  member: (key: string, valueAt: number) => number,
): number {
  let offset = scanner.space(at + 1);
  if (bytes[offset] === CLOSE_BRACE) return offset + 1;
  for (;;) {
    const valueAt = scanner.key(offset);
    if (valueAt < 0) return -1;
    const keyEnd = scanner.string(offset);
    const key = JSON.parse(decoder.decode(bytes.subarray(offset, keyEnd))) as string;
    offset = scanner.space(member(key, valueAt));
    if (scanner.fault !== undefined) return -1;
    if (bytes[offset] === CLOSE_BRACE) return offset + 1;
    if (bytes[offset] !== COMMA) return scanner.reject(offset);
    offset = scanner.space(offset + 1);
  }
}

const NULL = new TextEncoder().encode("null");
const COMMA_BYTES = Uint8Array.of(COMMA);

/** An event's bytes, with bare NaN and infinities as null. */
function eventBytes({ bytes, nonFinite }: Framed, { start, end }: Range): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let from = start;
  for (let index = 0; index < nonFinite.length; index += 2) {
    const tokenStart = nonFinite[index] as number;
    if (tokenStart < start || tokenStart >= end) continue;
    pieces.push(bytes.subarray(from, tokenStart), NULL);
    from = nonFinite[index + 1] as number;
  }
  pieces.push(bytes.subarray(from, end));
  return pieces;
}

export function eventText(framed: Framed, range: Range): string {
  return eventBytes(framed, range)
    .map((piece) => decoder.decode(piece))
    .join("");
}

/** Events as a record of the log has them: separated by commas, with the offset behind each. */
export interface StoredForm {
  readonly body: readonly Uint8Array[];
  readonly ends: Uint32Array;
}

/** The stored form of some events. All of them, unchanged, are one view of the request's bytes. */
export function storedForm(framed: Framed, kept: readonly Range[]): StoredForm {
  const { bytes, events, nonFinite } = framed;
  const first = kept[0];
  const last = kept.at(-1);
  if (first === undefined || last === undefined) return { body: [], ends: new Uint32Array(0) };
  if (kept.length === events.length && nonFinite.length === 0) {
    const ends = Uint32Array.from(kept, ({ end }, index) => {
      if (index === kept.length - 1) return end - first.start;
      let comma = end;
      // Up to the comma: white space counts to the event before it.
      while (bytes[comma] !== COMMA) comma++;
      return comma - first.start;
    });
    return { body: [bytes.subarray(first.start, last.end)], ends };
  }
  return joined(kept.map((range) => eventBytes(framed, range)));
}

/** The stored form of texts or pieces. */
export function joined(events: readonly (readonly Uint8Array[])[]): StoredForm {
  const body: Uint8Array[] = [];
  const ends: number[] = [];
  let bytes = 0;
  for (const pieces of events) {
    if (body.length > 0) {
      body.push(COMMA_BYTES);
      bytes += 1;
    }
    for (const piece of pieces) {
      body.push(piece);
      bytes += piece.length;
    }
    ends.push(bytes);
  }
  return { body, ends: Uint32Array.from(ends) };
}
