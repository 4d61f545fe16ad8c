/**
 * Finds the events of a request in its bytes, for vendors whose events are elements of an array, at
 * the top or in a member of an object, or the whole body. The whole JSON is checked; nothing is
 * built. Segment's own framing is in segment/scan.ts: it knows more and is made for speed.
 */
import { JsonScanner, textEquals } from "@waybill/core";
import { ByteWriter, type Edits } from "../byte-writer.ts";

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where the events are: `[…]`, `{"batch":[…]}`, or the body itself. */
export type Frame =
  | { readonly kind: "array" }
  | { readonly kind: "member"; readonly name: string }
  | { readonly kind: "object" };

export interface Framed extends Edits {
  readonly bytes: Uint8Array;
  readonly events: readonly Range[];
}

export interface FrameFault {
  readonly code: "invalid_json" | "wrong_shape" | "too_many";
  readonly message: string;
}

export interface FrameOptions {
  /** Python's clients write NaN bare. */
  readonly allowNonFinite: boolean;
  /** Nothing after this many events is looked at. No limit by default. */
  readonly maxEvents?: number | undefined;
  readonly scanArray?: ScanArray | undefined;
}

/**
 * A faster way to find the elements of an ordinary array, where the platform has one; `undefined`
 * for a body that it leaves to us.
 */
export type ScanArray = (bytes: Uint8Array) => readonly Range[] | undefined;

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const TOO_MANY = -2;
const NONE: readonly number[] = [];
const decoder = new TextDecoder();

/** `bytes` must be UTF-8. */
export function frame(bytes: Uint8Array, kind: Frame, options: FrameOptions): Framed | FrameFault {
  const ordinary = kind.kind === "array" ? options.scanArray?.(bytes) : undefined;
  if (ordinary !== undefined && ordinary.length <= (options.maxEvents ?? Number.POSITIVE_INFINITY))
    return { bytes, events: ordinary, nonFinite: NONE, cuts: NONE };
  const scanner = new JsonScanner(bytes, options);
  const start = scanner.space(0);
  const { maxEvents = Number.POSITIVE_INFINITY } = options;
  const expected = kind.kind === "array" ? OPEN_BRACKET : OPEN_BRACE;
  const events: Range[] = [];
  let listed = false;
  let end: number;
  if (bytes[start] !== expected || kind.kind === "object") {
    end = scanner.value(start);
    if (bytes[start] === expected && end >= 0) events.push({ start, end });
    listed = true;
  } else if (kind.kind === "array") {
    end = elements(scanner, bytes, start, { events, maxEvents });
    listed = true;
  } else
    end = walkMembers(scanner, bytes, start, (keyStart, keyEnd, at) => {
      if (bytes[at] !== OPEN_BRACKET || !textEquals(bytes, keyStart, keyEnd, kind.name)) return scanner.value(at);
      // A repeated member: the last one counts, as in every parser.
      events.length = 0;
      listed = true;
      return elements(scanner, bytes, at, { events, maxEvents });
    });
  if (end === TOO_MANY) return { code: "too_many", message: `more than ${maxEvents} events; nothing of it was stored` };
  const fault = endFault(scanner, bytes, end);
  if (fault !== undefined) return fault;
  if (bytes[start] !== expected)
    return {
      code: "wrong_shape",
      message: `The body is JSON, but not an ${kind.kind === "array" ? "array" : "object"}.`,
    };
  if (!listed && kind.kind === "member") return { code: "wrong_shape", message: `${kind.name} is not an array` };
  return { bytes, events, nonFinite: scanner.nonFinite, cuts: [] };
}

/** What is wrong with a body whose value ends at `end`, -1 for one that is not JSON. */
export function endFault(scanner: JsonScanner, bytes: Uint8Array, end: number): FrameFault | undefined {
  if (end >= 0) {
    const after = scanner.space(end);
    if (after === bytes.length) return undefined;
    scanner.reject(after);
  }
  const { offset, reason } = scanner.fault ?? { offset: 0, reason: "not JSON" };
  return { code: "invalid_json", message: `The body is not JSON: ${reason} at byte ${offset}.` };
}

/** After the array at `at`, -1 when it is not JSON, {@link TOO_MANY} at the limit. */
export function elements(
  scanner: JsonScanner,
  bytes: Uint8Array,
  at: number,
  { events, maxEvents }: { readonly events: Range[]; readonly maxEvents: number },
): number {
  let offset = scanner.space(at + 1);
  if (bytes[offset] === CLOSE_BRACKET) return offset + 1;
  for (;;) {
    if (events.length >= maxEvents) return TOO_MANY;
    const end = scanner.value(offset);
    if (end < 0) return -1;
    events.push({ start: offset, end });
    offset = scanner.space(end);
    if (bytes[offset] === CLOSE_BRACKET) return offset + 1;
    if (bytes[offset] !== COMMA) return scanner.reject(offset);
    offset = scanner.space(offset + 1);
  }
}

/**
 * After the object at `at`, or what is below zero as soon as `value` returns it. `value` gets the
 * inside of a key's quotes and where its value begins, and returns the offset after that; `isCut`
 * then says whether the member is left out, which goes to `cuts`.
 */
export function walkMembers(
  scanner: JsonScanner,
  bytes: Uint8Array,
  at: number,
  value: (keyStart: number, keyEnd: number, valueAt: number) => number,
  cut?: {
    readonly cuts: number[];
    readonly isCut: (keyStart: number, keyEnd: number, value: Range) => boolean;
  },
): number {
  let offset = scanner.space(at + 1);
  let keptEnd = -1;
  if (bytes[offset] === CLOSE_BRACE) return offset + 1;
  for (;;) {
    const keyAt = offset;
    const valueAt = scanner.key(keyAt);
    if (valueAt < 0) return -1;
    let keyEnd = valueAt - 1;
    // Only white space and the colon are between.
    while (bytes[keyEnd] !== QUOTE) keyEnd--;
    const valueEnd = value(keyAt + 1, keyEnd, valueAt);
    if (valueEnd < 0) return valueEnd;
    offset = scanner.space(valueEnd);
    const next = bytes[offset];
    if (next === COMMA) offset = scanner.space(offset + 1);
    else if (next !== CLOSE_BRACE) return scanner.reject(offset);
    if (cut?.isCut(keyAt + 1, keyEnd, { start: valueAt, end: valueEnd }) !== true) keptEnd = valueEnd;
    // With what is between it and the member before that stays, or else up to the next one.
    else if (keptEnd >= 0) cut.cuts.push(keptEnd, valueEnd);
    else cut.cuts.push(keyAt, next === COMMA ? offset : valueEnd);
    if (next === CLOSE_BRACE) return offset + 1;
  }
}

/** Finds members of objects that are known to be JSON, without building them. One for a body. */
export class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #scanner: JsonScanner;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#scanner = new JsonScanner(bytes, { allowNonFinite: true });
  }

  isObject({ start }: Range): boolean {
    return this.#bytes[start] === OPEN_BRACE;
  }

  /**
   * The values of the members of these names, the last ones of each; `undefined` for those that are
   * absent. No values when it is not an object.
   */
  read(object: Range, names: readonly string[]): (Range | undefined)[] {
    const found = new Array<Range | undefined>(names.length).fill(undefined);
    if (!this.isObject(object)) return found;
    walkMembers(this.#scanner, this.#bytes, object.start, (keyStart, keyEnd, at) => {
      const end = this.#scanner.value(at);
      for (let index = 0; index < names.length; index++)
        if (textEquals(this.#bytes, keyStart, keyEnd, names[index] as string)) found[index] = { start: at, end };
      return end;
    });
    return found;
  }

  /**
   * A text of at most `maxBytes` as it is written, quotes included; `undefined` for anything else.
   */
  text(range: Range | undefined, maxBytes: number): string | undefined {
    if (range === undefined || this.#bytes[range.start] !== QUOTE || range.end - range.start > maxBytes)
      return undefined;
    return JSON.parse(decoder.decode(this.#bytes.subarray(range.start, range.end))) as string;
  }

  /** Whether it is a text with something in it. */
  isText(range: Range | undefined): boolean {
    return range !== undefined && this.#bytes[range.start] === QUOTE && range.end - range.start > 2;
  }

  /** Whether it is the text `word`. */
  equals(range: Range | undefined, word: string): boolean {
    if (range === undefined || this.#bytes[range.start] !== QUOTE) return false;
    return textEquals(this.#bytes, range.start + 1, range.end - 1, word);
  }

  isNumber(range: Range | undefined): boolean {
    const first = range === undefined ? undefined : this.#bytes[range.start];
    return first !== undefined && (first === 0x2d || (first >= 0x30 && first <= 0x39));
  }

  /**
   * How many members or elements it has, repeated names counted each time; 0 for what is neither
   * object nor array.
   */
  size(range: Range | undefined): number {
    if (range === undefined) return 0;
    let count = 0;
    const value = (at: number): number => {
      count += 1;
      return this.#scanner.value(at);
    };
    if (this.isObject(range)) walkMembers(this.#scanner, this.#bytes, range.start, (_start, _end, at) => value(at));
    else if (this.#bytes[range.start] === OPEN_BRACKET) {
      const events: Range[] = [];
      elements(this.#scanner, this.#bytes, range.start, { events, maxEvents: Number.POSITIVE_INFINITY });
      count = events.length;
    }
    return count;
  }
}

/** An event's text, with its edits made. */
export function eventText(framed: Framed, { start, end }: Range): string {
  const { bytes, nonFinite, cuts } = framed;
  if (nonFinite.length === 0 && cuts.length === 0) return decoder.decode(bytes.subarray(start, end));
  const writer = new ByteWriter(end - start);
  writer.copyEdited(bytes, start, end, framed);
  return decoder.decode(writer.take());
}

/** Events as a record of the log has them: separated by commas, with the offset after each. */
export interface StoredEvents {
  readonly body: readonly Uint8Array[];
  readonly ends: Uint32Array;
}

/**
 * Some events as they are stored. All of them, unchanged, are one view of the request's bytes; else
 * they are copied into one piece.
 */
export function storedEvents(framed: Framed, kept: readonly Range[]): StoredEvents {
  const { bytes, events, nonFinite, cuts } = framed;
  const first = kept[0];
  const last = kept.at(-1);
  if (first === undefined || last === undefined) return { body: [], ends: new Uint32Array(0) };
  if (kept.length === events.length && nonFinite.length === 0 && cuts.length === 0) {
    const ends = new Uint32Array(kept.length);
    for (let index = 0; index < kept.length; index++) {
      let { end } = kept[index] as Range;
      // Up to the comma: white space counts to the event before it.
      if (index < kept.length - 1) while (bytes[end] !== COMMA) end++;
      ends[index] = end - first.start;
    }
    return { body: [bytes.subarray(first.start, last.end)], ends };
  }
  const writer = new ByteWriter(last.end - first.start);
  const ends = new Uint32Array(kept.length);
  for (let index = 0; index < kept.length; index++) {
    const { start, end } = kept[index] as Range;
    if (index > 0) writer.byte(COMMA);
    writer.copyEdited(bytes, start, end, framed);
    ends[index] = writer.length;
  }
  return { body: [writer.take()], ends };
}

/** One event as it is stored. */
export function storedAlone(event: Uint8Array): StoredEvents {
  return { body: [event], ends: Uint32Array.of(event.length) };
}

/** Those of stored events that are kept, in one piece. */
export function storedSome({ body, ends }: StoredEvents, keep: readonly boolean[]): StoredEvents {
  const length = ends.at(-1) ?? 0;
  const whole = new ByteWriter(length);
  for (const piece of body) whole.copy(piece, 0, piece.length);
  const bytes = whole.take();
  const writer = new ByteWriter(length);
  const keptEnds: number[] = [];
  for (const [index, end] of ends.entries()) {
    if (!keep[index]) continue;
    if (keptEnds.length > 0) writer.byte(COMMA);
    writer.copy(bytes, index === 0 ? 0 : (ends[index - 1] as number) + 1, end);
    keptEnds.push(writer.length);
  }
  return { body: [writer.take()], ends: Uint32Array.from(keptEnds) };
}
