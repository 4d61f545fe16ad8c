/**
 * Reads a Segment body in its bytes: checks all of it, finds the events and the few fields a relay needs, builds nothing.
 *
 * Where a key stands twice, the last one counts, as it does for `JSON.parse`. Keys written with escapes are found too.
 */
import { JsonScanner } from "@waybill/core";
import type { EventType } from "../canonical/events.ts";
import { EVENT_TYPES } from "../canonical/events.ts";
import type { RefusalCode, RefusedEvent, SegmentRoute } from "./routes.ts";

export interface SegmentLimits {
  /** Bytes of a body with a single event. */
  readonly singleMaxBytes: number;
  /** Bytes of a body with a batch. */
  readonly batchMaxBytes: number;
  readonly eventMaxBytes: number;
  readonly maxEvents: number;
  /** The vendor's own answers where ours are more helpful: 400 for all that is too large, 200 for a batch of too many events. */
  readonly strict: boolean;
  /** Whether bytes are UTF-8; the platform's own check is the fastest. */
  readonly isUtf8: (bytes: Uint8Array) => boolean;
  /** A faster way for ordinary batches, where the platform has one; `undefined` for a body that it leaves to us. */
  readonly scanBatch?: (bytes: Uint8Array) => BatchScan | undefined;
}

/** What was found in a batch without anything unusual: every event has an id and a known type. Values are those of the last key of that name. */
export interface BatchScan {
  readonly events: readonly FoundEvent[];
  readonly writeKey: Range | undefined;
  readonly sentAt: Range | undefined;
  readonly context: Range | undefined;
  readonly integrations: Range | undefined;
}

/** Generous: real clients send batches of more than 1 MB (section 4), and the relay's door has its own limit on bodies. */
export const DEFAULT_LIMITS: Omit<SegmentLimits, "isUtf8"> = {
  singleMaxBytes: Number.POSITIVE_INFINITY,
  batchMaxBytes: Number.POSITIVE_INFINITY,
  eventMaxBytes: 512 * 1024,
  maxEvents: Number.POSITIVE_INFINITY,
  strict: false,
};
/** As documented (section 4). */
export const STRICT_LIMITS: Omit<SegmentLimits, "isUtf8"> = {
  singleMaxBytes: 32 * 1024,
  batchMaxBytes: 500_000,
  eventMaxBytes: 32 * 1024,
  maxEvents: 2_500,
  strict: true,
};

export interface Refusal {
  readonly status: number;
  readonly code: RefusalCode;
  readonly message: string;
}

/** Byte range; `start` is -1 when there is none. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** One event found in the body. */
export interface FoundEvent extends Range {
  /** Inside the quotes; -1 when the event has no id that counts. */
  readonly idStart: number;
  readonly idEnd: number;
  /** A `messageId` that is no id (null, a number, empty): an id of ours takes its place. */
  readonly badId: Range | undefined;
  readonly needsType: boolean;
}

export interface SegmentScan {
  readonly bytes: Uint8Array;
  readonly events: readonly FoundEvent[];
  /** The type for events that name none. */
  readonly type: EventType | undefined;
  readonly refused: readonly RefusedEvent[];
  /** The key in the body, decoded. */
  readonly writeKey: string | undefined;
  readonly sentAt: string | undefined;
  readonly context: Range | undefined;
  readonly integrations: Range | undefined;
  /** For a single event the ranges of its members if one of them is the write key, which must not travel on. */
  readonly members: readonly Range[] | undefined;
  /** Start and end of each bare NaN and infinity, in order. */
  readonly nonFinite: readonly number[];
}

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_M = 0x6d;
const LETTER_T = 0x74;

export function scanSegment(
  bytes: Uint8Array,
  route: SegmentRoute,
  limits: SegmentLimits,
): SegmentScan | { readonly refusal: Refusal } {
  const maxBytes = route.kind === "batch" ? limits.batchMaxBytes : limits.singleMaxBytes;
  if (bytes.length > maxBytes)
    return refusal(
      limits.strict ? 400 : 413,
      "body_too_large",
      `The body has ${bytes.length} bytes; at most ${maxBytes} are taken.`,
    );
  if (!limits.isUtf8(bytes)) return refusal(400, "invalid_utf8", "The body is not UTF-8.");
  const batch = route.kind === "batch" ? limits.scanBatch?.(bytes) : undefined;
  if (batch !== undefined && withinLimits(batch, limits)) return ordinaryScan(bytes, batch);
  return new Framer(bytes, route, limits).run();
}

function withinLimits({ events }: BatchScan, { maxEvents, eventMaxBytes }: SegmentLimits): boolean {
  return events.length <= maxEvents && events.every(({ start, end }) => end - start <= eventMaxBytes);
}

function ordinaryScan(bytes: Uint8Array, batch: BatchScan): SegmentScan {
  return {
    bytes,
    events: batch.events,
    type: undefined,
    refused: [],
    writeKey: batch.writeKey === undefined ? undefined : textAt(bytes, batch.writeKey.start, batch.writeKey.end),
    sentAt: batch.sentAt === undefined ? undefined : textAt(bytes, batch.sentAt.start, batch.sentAt.end),
    context: objectAt(bytes, batch.context),
    integrations: objectAt(bytes, batch.integrations),
    members: undefined,
    nonFinite: [],
  };
}

/** The string at a range that includes its quotes; `undefined` for any other value. */
function textAt(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (bytes[start] !== QUOTE) return undefined;
  return JSON.parse(new TextDecoder().decode(bytes.subarray(start, end))) as string;
}

function objectAt(bytes: Uint8Array, range: Range | undefined): Range | undefined {
  return range !== undefined && bytes[range.start] === OPEN_BRACE ? range : undefined;
}

function refusal(status: number, code: RefusalCode, message: string): { readonly refusal: Refusal } {
  return { refusal: { status, code, message } };
}

class Framer {
  readonly #bytes: Uint8Array;
  readonly #route: SegmentRoute;
  readonly #limits: SegmentLimits;
  readonly #scanner: JsonScanner;
  /** Whether a backslash stands anywhere: without one no key is written with escapes. */
  readonly #mayEscape: boolean;
  readonly #events: FoundEvent[] = [];
  readonly #refused: RefusedEvent[] = [];
  #refusal: Refusal | undefined;
  #batchSeen = false;
  #writeKey: string | undefined;
  #sentAt: string | undefined;
  #context: Range | undefined;
  #integrations: Range | undefined;
  #items = 0;
  // Of the object at hand:
  #idStart = -1;
  #idEnd = -1;
  #badId: Range | undefined;
  #typeSeen: "none" | "known" | "unknown" = "none";

  constructor(bytes: Uint8Array, route: SegmentRoute, limits: SegmentLimits) {
    this.#bytes = bytes;
    this.#route = route;
    this.#limits = limits;
    this.#scanner = new JsonScanner(bytes, { allowNonFinite: true });
    this.#mayEscape = bytes.includes(BACKSLASH);
  }

  run(): SegmentScan | { readonly refusal: Refusal } {
    const scanner = this.#scanner;
    const start = scanner.space(0);
    if (this.#bytes[start] !== OPEN_BRACE) {
      const end = scanner.value(start);
      if (end < 0 || !this.#endsAt(end)) return this.#invalid();
      return refusal(400, "not_an_object", "The body is JSON, but not an object.");
    }
    const members: Range[] = [];
    let hasWriteKey = false;
    const end = this.#object(start, (keyStart, keyEnd, at) => {
      const behind = this.#topMember(keyStart, keyEnd, at);
      const isWriteKey = this.#keyIs(keyStart, keyEnd, "writeKey");
      hasWriteKey ||= isWriteKey;
      if (!isWriteKey) members.push({ start: keyStart - 1, end: behind });
      return behind;
    });
    if (end < 0 || !this.#endsAt(end)) return this.#invalid();
    if (this.#refusal !== undefined) return { refusal: this.#refusal };
    if (this.#route.kind === "event") this.#addEvent(start, end, 0);
    else if (!this.#batchSeen) return refusal(400, "batch_missing", 'The body has no "batch".');
    return this.#result(hasWriteKey && this.#route.kind === "event" ? members : undefined);
  }

  /** Whether only white space stands from `offset` on. */
  #endsAt(offset: number): boolean {
    const behind = this.#scanner.space(offset);
    if (behind !== this.#bytes.length) this.#scanner.reject(behind);
    return behind === this.#bytes.length;
  }

  #result(members: readonly Range[] | undefined): SegmentScan {
    return {
      bytes: this.#bytes,
      events: this.#events,
      type: this.#route.kind === "event" ? this.#route.type : undefined,
      refused: this.#refused,
      writeKey: this.#writeKey,
      sentAt: this.#sentAt,
      context: this.#route.kind === "batch" ? this.#context : undefined,
      integrations: this.#route.kind === "batch" ? this.#integrations : undefined,
      members,
      nonFinite: this.#scanner.nonFinite,
    };
  }

  #invalid(): { readonly refusal: Refusal } {
    const { offset, reason } = this.#scanner.fault ?? { offset: 0, reason: "not JSON" };
    return refusal(400, "invalid_json", `The body is not JSON: ${reason} at byte ${offset}.`);
  }

  /** Walks the object at `at`; `member` gets the inside of the key's quotes and where the value begins, and returns the offset behind it. */
  #object(at: number, member: (keyStart: number, keyEnd: number, valueAt: number) => number): number {
    const bytes = this.#bytes;
    const scanner = this.#scanner;
    let offset = scanner.space(at + 1);
    if (bytes[offset] === CLOSE_BRACE) return offset + 1;
    for (;;) {
      const keyStart = offset + 1;
      const keyBehind = scanner.string(offset);
      if (keyBehind < 0) return -1;
      const valueAt = scanner.key(offset);
      if (valueAt < 0) return -1;
      offset = member(keyStart, keyBehind - 1, valueAt);
      if (offset < 0) return -1;
      offset = scanner.space(offset);
      const next = bytes[offset];
      if (next === CLOSE_BRACE) return offset + 1;
      if (next !== COMMA) return scanner.reject(offset);
      offset = scanner.space(offset + 1);
    }
  }

  #topMember(keyStart: number, keyEnd: number, at: number): number {
    if (this.#route.kind === "batch" && this.#keyIs(keyStart, keyEnd, "batch")) return this.#batch(at);
    const behind = this.#route.kind === "event" ? this.#eventMember(keyStart, keyEnd, at) : this.#scanner.value(at);
    if (behind < 0) return -1;
    if (this.#keyIs(keyStart, keyEnd, "writeKey")) this.#writeKey = this.#text(at, behind);
    else if (this.#keyIs(keyStart, keyEnd, "sentAt")) this.#sentAt = this.#text(at, behind);
    else if (this.#keyIs(keyStart, keyEnd, "context"))
      this.#context = objectAt(this.#bytes, { start: at, end: behind });
    else if (this.#keyIs(keyStart, keyEnd, "integrations"))
      this.#integrations = objectAt(this.#bytes, { start: at, end: behind });
    return behind;
  }

  #batch(at: number): number {
    const bytes = this.#bytes;
    const scanner = this.#scanner;
    this.#batchSeen = true;
    // The last of two batches counts.
    this.#events.length = 0;
    this.#refused.length = 0;
    this.#items = 0;
    if (bytes[at] !== OPEN_BRACKET) {
      const behind = scanner.value(at);
      if (behind >= 0) this.#refusal = { status: 400, code: "batch_not_array", message: '"batch" is not an array.' };
      return behind;
    }
    let offset = scanner.space(at + 1);
    if (bytes[offset] === CLOSE_BRACKET) return offset + 1;
    for (;;) {
      offset = this.#item(offset, this.#items++);
      if (offset < 0) return -1;
      offset = scanner.space(offset);
      const next = bytes[offset];
      if (next === CLOSE_BRACKET) return offset + 1;
      if (next !== COMMA) return scanner.reject(offset);
      offset = scanner.space(offset + 1);
    }
  }

  /** The hot loop: one item of a batch, member by member. */
  #item(at: number, index: number): number {
    const bytes = this.#bytes;
    const scanner = this.#scanner;
    if (bytes[at] !== OPEN_BRACE) {
      const behind = scanner.value(at);
      if (behind >= 0) this.#refuse(index, "event_not_object", "The item is not an object.");
      return behind;
    }
    this.#idStart = -1;
    this.#badId = undefined;
    this.#typeSeen = "none";
    let offset = scanner.space(at + 1);
    if (bytes[offset] === CLOSE_BRACE) {
      this.#addEvent(at, offset + 1, index);
      return offset + 1;
    }
    for (;;) {
      const keyAt = offset;
      const valueAt = scanner.key(keyAt);
      if (valueAt < 0) return -1;
      offset = scanner.value(valueAt);
      if (offset < 0) return -1;
      // Only two keys matter here; an escape may hide either.
      const first = bytes[keyAt + 1];
      if (first === LETTER_M || first === LETTER_T || this.#mayEscape) {
        const keyEnd = this.#keyEnd(keyAt, valueAt);
        this.#noteMember(keyAt + 1, keyEnd, valueAt, offset);
      }
      let next = bytes[offset];
      if (next !== COMMA && next !== CLOSE_BRACE) {
        offset = scanner.space(offset);
        next = bytes[offset];
      }
      if (next === CLOSE_BRACE) break;
      if (next !== COMMA) return scanner.reject(offset);
      offset += 1;
      if (bytes[offset] !== QUOTE) offset = scanner.space(offset);
    }
    this.#addEvent(at, offset + 1, index);
    return offset + 1;
  }

  /** The closing quote of the key at `keyAt` whose value begins at `valueAt`: only white space and the colon are between. */
  #keyEnd(keyAt: number, valueAt: number): number {
    const bytes = this.#bytes;
    let at = valueAt - 1;
    while (at > keyAt && bytes[at] !== QUOTE) at--;
    return at;
  }

  #noteMember(keyStart: number, keyEnd: number, at: number, behind: number): void {
    if (this.#keyIs(keyStart, keyEnd, "messageId")) this.#noteId(at, behind);
    else if (this.#keyIs(keyStart, keyEnd, "type")) this.#noteType(at, behind);
  }

  #eventMember(keyStart: number, keyEnd: number, at: number): number {
    const behind = this.#scanner.value(at);
    if (behind >= 0) this.#noteMember(keyStart, keyEnd, at, behind);
    return behind;
  }

  #noteId(at: number, behind: number): void {
    const isId = this.#bytes[at] === QUOTE && behind - at > 2;
    this.#idStart = isId ? at + 1 : -1;
    this.#idEnd = behind - 1;
    this.#badId = isId ? undefined : { start: at, end: behind };
  }

  #noteType(at: number, behind: number): void {
    // `null` says as little as no type at all.
    if (this.#bytes[at] !== QUOTE) this.#typeSeen = "unknown";
    else this.#typeSeen = this.#isKnownType(at + 1, behind - 1) ? "known" : "unknown";
  }

  #isKnownType(start: number, end: number): boolean {
    for (const type of EVENT_TYPES) if (this.#keyIs(start, end, type)) return true;
    return false;
  }

  #addEvent(start: number, end: number, index: number): void {
    const { eventMaxBytes, maxEvents } = this.#limits;
    const single = this.#route.kind === "event";
    if (this.#typeSeen === "unknown" || (this.#typeSeen === "none" && !single))
      return this.#refuse(index, "unknown_type", `The event's type is not one of ${EVENT_TYPES.join(", ")}.`);
    if (end - start > eventMaxBytes)
      return this.#refuse(
        index,
        "event_too_large",
        `The event has ${end - start} bytes; at most ${eventMaxBytes} are taken.`,
      );
    if (index >= maxEvents) return this.#refuse(index, "too_many_events", `A batch takes at most ${maxEvents} events.`);
    this.#events.push({
      start,
      end,
      idStart: this.#idStart,
      idEnd: this.#idEnd,
      badId: this.#badId,
      needsType: this.#typeSeen === "none",
    });
  }

  #refuse(index: number, code: RefusalCode, message: string): void {
    this.#refused.push({ index, code, message });
  }

  /** Whether the text between two quotes is `word`. */
  #keyIs(start: number, end: number, word: string): boolean {
    const bytes = this.#bytes;
    if (end - start === word.length) {
      for (let index = 0; index < word.length; index++)
        if (bytes[start + index] !== word.charCodeAt(index)) return false;
      return true;
    }
    // Longer than the word: only with escapes can it be the same.
    if (!this.#mayEscape || end - start < word.length || end - start > 6 * word.length) return false;
    return this.#text(start - 1, end + 1) === word;
  }

  #text(start: number, end: number): string | undefined {
    return textAt(this.#bytes, start, end);
  }
}
