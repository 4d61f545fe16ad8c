/**
 * Reads a Segment body in its bytes: checks all of it, finds the events and the few fields a relay
 * needs, builds nothing.
 *
 * Where a key is twice, the last one counts, as it does for `JSON.parse`. Keys written with
 * escapes are found too.
 */
import { JsonScanner, textEquals } from "@waybill/core";
import { EVENT_TYPES } from "../canonical/events.ts";
import type { RefusalCode, RefusedEvent, SegmentRoute } from "./routes.ts";
import type { BatchScan, FoundEvent, Range, Refusal, SegmentLimits, SegmentScan } from "./scan-types.ts";

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_M = 0x6d;
const LETTER_T = 0x74;
const LETTER_W = 0x77;
/** The members that matter, by their first letter: no two have the same. */
const NAMES = ["batch", "writeKey", "sentAt", "context", "integrations", "messageId", "type"] as const;
type Name = (typeof NAMES)[number];
const NAME_BY_LETTER: readonly (Name | undefined)[] = Array.from({ length: 256 }, (_, letter) =>
  NAMES.find((name) => name.charCodeAt(0) === letter),
);
/** Refused events that are named to the sender; of the rest it receives the number. */
const REFUSED_NAMED_MAX = 100;
/** A sentAt is a time: a longer text is none, and is not read. */
const TIME_MAX_BYTES = 256;
/** No key is longer, however it is escaped. */
const KEY_MAX_BYTES = 4_096;
const NONE: ReadonlyMap<RefusalCode, number> = new Map();

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
    refusedMore: [],
    refusedByCode: NONE,
    writeKey: keyAt(bytes, batch.writeKey),
    sentAt: textAt(bytes, batch.sentAt, TIME_MAX_BYTES),
    context: objectAt(bytes, batch.context),
    integrations: objectAt(bytes, batch.integrations),
    cuts: [],
    nonFinite: [],
  };
}

/**
 * The string at a range that includes its quotes; `undefined` for any other value, and for a longer
 * one.
 */
function textAt(bytes: Uint8Array, range: Range | undefined, maxBytes: number): string | undefined {
  if (range === undefined || bytes[range.start] !== QUOTE || range.end - range.start > maxBytes) return undefined;
  const { start, end } = range;
  return JSON.parse(new TextDecoder().decode(bytes.subarray(start, end))) as string;
}

/** A text; of one that is too long for a key its beginning, which is none either. */
function keyAt(bytes: Uint8Array, range: Range | undefined): string | undefined {
  if (range === undefined || bytes[range.start] !== QUOTE || range.end - range.start <= KEY_MAX_BYTES)
    return textAt(bytes, range, KEY_MAX_BYTES);
  return new TextDecoder().decode(bytes.subarray(range.start, range.start + KEY_MAX_BYTES));
}

/** Which of the members that matter it is, by what is between the key's quotes. */
function nameAt(bytes: Uint8Array, start: number, end: number): Name | undefined {
  const first = bytes[start] as number;
  if (first === BACKSLASH) return NAMES.find((name) => textEquals(bytes, start, end, name));
  const name = NAME_BY_LETTER[first];
  return name !== undefined && textEquals(bytes, start, end, name) ? name : undefined;
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
  readonly #events: FoundEvent[] = [];
  readonly #refused: RefusedEvent[] = [];
  readonly #refusedByCode = new Map<RefusalCode, number>();
  readonly #cuts: number[] = [];
  /** Index and number of each run of those that are not named. */
  readonly #refusedMore: number[] = [];
  #refusal: Refusal | undefined;
  /** Why nothing more was looked at. */
  #stopped: Refusal | undefined;
  #batchSeen = false;
  #writeKey: Range | undefined;
  #sentAt: Range | undefined;
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
  }

  run(): SegmentScan | { readonly refusal: Refusal } {
    const scanner = this.#scanner;
    const start = scanner.space(0);
    if (this.#bytes[start] !== OPEN_BRACE) {
      const end = scanner.value(start);
      if (end < 0 || !this.#endsAt(end)) return this.#invalid();
      return refusal(400, "not_an_object", "The body is JSON, but not an object.");
    }
    const end = this.#object(start);
    if (this.#stopped !== undefined) return { refusal: this.#stopped };
    if (end < 0 || !this.#endsAt(end)) return this.#invalid();
    if (this.#refusal !== undefined) return { refusal: this.#refusal };
    if (this.#route.kind === "event") this.#addEvent(start, end, 0);
    else if (!this.#batchSeen) return refusal(400, "batch_missing", 'The body has no "batch".');
    return this.#result();
  }

  /** Whether there is only white space from `offset` on. */
  #endsAt(offset: number): boolean {
    const after = this.#scanner.space(offset);
    if (after !== this.#bytes.length) this.#scanner.reject(after);
    return after === this.#bytes.length;
  }

  #result(): SegmentScan {
    return {
      bytes: this.#bytes,
      events: this.#events,
      type: this.#route.kind === "event" ? this.#route.type : undefined,
      refused: this.#refused,
      refusedMore: this.#refusedMore,
      refusedByCode: this.#refusedByCode,
      writeKey: keyAt(this.#bytes, this.#writeKey),
      sentAt: textAt(this.#bytes, this.#sentAt, TIME_MAX_BYTES),
      context: this.#route.kind === "batch" ? objectAt(this.#bytes, this.#context) : undefined,
      integrations: this.#route.kind === "batch" ? objectAt(this.#bytes, this.#integrations) : undefined,
      cuts: this.#cuts,
      nonFinite: this.#scanner.nonFinite,
    };
  }

  #invalid(): { readonly refusal: Refusal } {
    const { offset, reason } = this.#scanner.fault ?? { offset: 0, reason: "not JSON" };
    return refusal(400, "invalid_json", `The body is not JSON: ${reason} at byte ${offset}.`);
  }

  /** Walks the object that is the whole body. */
  #object(at: number): number {
    const bytes = this.#bytes;
    const scanner = this.#scanner;
    const isEvent = this.#route.kind === "event";
    let offset = scanner.space(at + 1);
    let keptEnd = -1;
    if (bytes[offset] === CLOSE_BRACE) return offset + 1;
    for (;;) {
      const keyAt = offset;
      const valueAt = scanner.key(keyAt);
      if (valueAt < 0) return -1;
      const keyEnd = this.#keyEnd(keyAt, valueAt);
      const name = nameAt(bytes, keyAt + 1, keyEnd);
      const valueEnd = name === "batch" && !isEvent ? this.#batch(valueAt) : scanner.value(valueAt);
      if (valueEnd < 0) return -1;
      if (name !== undefined) this.#noteTop(name, valueAt, valueEnd);
      offset = scanner.space(valueEnd);
      const next = bytes[offset];
      if (next === COMMA) offset = scanner.space(offset + 1);
      else if (next !== CLOSE_BRACE) return scanner.reject(offset);
      if (isEvent && name === "writeKey")
        this.#cut({ keyAt, valueEnd, keptEnd, nextAt: next === COMMA ? offset : valueEnd });
      else keptEnd = valueEnd;
      if (next === CLOSE_BRACE) return offset + 1;
    }
  }

  /**
   * Leaves a member out: with what is between it and the member before that stays, or else up
   * to the next one.
   */
  #cut(member: {
    readonly keyAt: number;
    readonly valueEnd: number;
    readonly keptEnd: number;
    readonly nextAt: number;
  }): void {
    if (member.keptEnd < 0) this.#cuts.push(member.keyAt, member.nextAt);
    else this.#cuts.push(member.keptEnd, member.valueEnd);
  }

  #noteTop(name: Name, start: number, end: number): void {
    if (name === "writeKey") this.#writeKey = { start, end };
    else if (name === "sentAt") this.#sentAt = { start, end };
    else if (name === "context") this.#context = { start, end };
    else if (name === "integrations") this.#integrations = { start, end };
    else if (this.#route.kind === "event") this.#noteMember(name, start, end);
  }

  #batch(at: number): number {
    const bytes = this.#bytes;
    const scanner = this.#scanner;
    this.#batchSeen = true;
    // The last of several batches counts.
    this.#refusal = undefined;
    if (this.#items > 0) this.#forgetItems();
    if (bytes[at] !== OPEN_BRACKET) {
      const after = scanner.value(at);
      if (after >= 0) this.#refusal = { status: 400, code: "batch_not_array", message: '"batch" is not an array.' };
      return after;
    }
    let offset = scanner.space(at + 1);
    if (bytes[offset] === CLOSE_BRACKET) return offset + 1;
    const { maxEvents, strict } = this.#limits;
    for (;;) {
      if (this.#items >= maxEvents && !strict) return this.#tooMany(maxEvents);
      offset = this.#item(offset, this.#items++);
      if (offset < 0) return -1;
      offset = scanner.space(offset);
      const next = bytes[offset];
      if (next === CLOSE_BRACKET) return offset + 1;
      if (next !== COMMA) return scanner.reject(offset);
      offset = scanner.space(offset + 1);
    }
  }

  #forgetItems(): void {
    this.#events.length = 0;
    this.#refused.length = 0;
    this.#refusedByCode.clear();
    this.#refusedMore.length = 0;
    this.#cuts.length = 0;
    this.#items = 0;
  }

  /** Nothing after the limit is looked at. */
  #tooMany(maxEvents: number): number {
    this.#stopped = {
      status: 413,
      code: "too_many_events",
      message: `A batch takes at most ${maxEvents} events; nothing of it was stored.`,
    };
    return -1;
  }

  /** The hot loop: one item of a batch, member by member. */
  #item(at: number, index: number): number {
    const bytes = this.#bytes;
    const scanner = this.#scanner;
    if (bytes[at] !== OPEN_BRACE) {
      const after = scanner.value(at);
      if (after >= 0) this.#refuse(index, "event_not_object", "The item is not an object.");
      return after;
    }
    this.#idStart = -1;
    this.#idEnd = -1;
    this.#badId = undefined;
    this.#typeSeen = "none";
    let offset = scanner.space(at + 1);
    let keptEnd = -1;
    if (bytes[offset] === CLOSE_BRACE) {
      this.#addEvent(at, offset + 1, index);
      return offset + 1;
    }
    for (;;) {
      const keyAt = offset;
      const valueAt = scanner.key(keyAt);
      if (valueAt < 0) return -1;
      const valueEnd = scanner.value(valueAt);
      if (valueEnd < 0) return -1;
      // Only three keys matter here; their first letter may be written as an escape.
      const first = bytes[keyAt + 1];
      let isWriteKey = false;
      if (first === LETTER_M || first === LETTER_T || first === LETTER_W || first === BACKSLASH) {
        const keyEnd = this.#keyEnd(keyAt, valueAt);
        const name = nameAt(bytes, keyAt + 1, keyEnd);
        if (name !== undefined) this.#noteMember(name, valueAt, valueEnd);
        isWriteKey = name === "writeKey";
      }
      offset = valueEnd;
      let next = bytes[offset];
      if (next !== COMMA && next !== CLOSE_BRACE) {
        offset = scanner.space(offset);
        next = bytes[offset];
      }
      if (next === COMMA) {
        offset += 1;
        if (bytes[offset] !== QUOTE) offset = scanner.space(offset);
      } else if (next !== CLOSE_BRACE) return scanner.reject(offset);
      if (isWriteKey) this.#cut({ keyAt, valueEnd, keptEnd, nextAt: next === COMMA ? offset : valueEnd });
      else keptEnd = valueEnd;
      if (next === CLOSE_BRACE) break;
    }
    this.#addEvent(at, offset + 1, index);
    return offset + 1;
  }

  /**
   * The closing quote of the key at `keyAt` whose value begins at `valueAt`: only white space and
   * the colon are between.
   */
  #keyEnd(keyAt: number, valueAt: number): number {
    const bytes = this.#bytes;
    let at = valueAt - 1;
    while (at > keyAt && bytes[at] !== QUOTE) at--;
    return at;
  }

  #noteMember(name: Name, at: number, after: number): void {
    if (name === "messageId") this.#noteId(at, after);
    else if (name === "type") this.#noteType(at, after);
  }

  #noteId(at: number, after: number): void {
    const isId = this.#bytes[at] === QUOTE && after - at > 2;
    this.#idStart = isId ? at + 1 : -1;
    this.#idEnd = after - 1;
    this.#badId = isId ? undefined : { start: at, end: after };
  }

  #noteType(at: number, after: number): void {
    // `null` says as little as no type at all.
    if (this.#bytes[at] !== QUOTE) this.#typeSeen = "unknown";
    else this.#typeSeen = this.#isKnownType(at + 1, after - 1) ? "known" : "unknown";
  }

  #isKnownType(start: number, end: number): boolean {
    for (const type of EVENT_TYPES) if (textEquals(this.#bytes, start, end, type)) return true;
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
    this.#refusedByCode.set(code, (this.#refusedByCode.get(code) ?? 0) + 1);
    if (this.#refused.length < REFUSED_NAMED_MAX) {
      this.#refused.push({ index, code, message });
      return;
    }
    const runs = this.#refusedMore;
    const last = runs.length - 2;
    if (last >= 0 && (runs[last] as number) + (runs[last + 1] as number) === index)
      runs[last + 1] = (runs[last + 1] as number) + 1;
    else runs.push(index, 1);
  }
}
