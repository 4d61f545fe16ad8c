/**
 * One event of a request in its bytes: what is wrong with it, its id, and how it is stored. Section
 * 3 of the protocol.
 */
import { JsonScanner, textEquals } from "@waybill/core";
import { ByteWriter, type Replacement } from "../byte-writer.ts";
import { type EventId, eventIdOf, eventIdsBy, NO_ID } from "../inbound/event-ids.ts";
import {
  FieldReader,
  type Framed,
  type Range,
  type StoredEvents,
  storedEvents,
  walkMembers,
} from "../inbound/frame.ts";
import { ID_MAX_BYTES } from "../inbound/inbound.ts";
import { isPlaceholder } from "./canonical.ts";
import type { EventFaults } from "./faults.ts";

/** An event as it is stored: its bytes but for what is put in. */
export interface ReadEvent {
  /** By which a duplicate is known; "" for none. */
  readonly id: string;
  /** An id of ours, as a new member. */
  readonly addedId?: string;
  /** Texts in the place of values, in order. */
  readonly replaced: readonly Replacement[];
}

export interface EventRules {
  readonly minIdLength: number;
  readonly makeId: () => string;
  readonly faults: EventFaults;
  /** Of the sender, for events that ask the first receiver for it. */
  readonly address: string | undefined;
}

const NAMES = [
  "event_type",
  "user_id",
  "device_id",
  "time",
  "insert_id",
  "ip",
  "event_properties",
  "user_properties",
  "group_properties",
  "groups",
] as const;
const OBJECTS_FROM = NAMES.indexOf("event_properties");
const INSERT_ID = NAMES.indexOf("insert_id");
/** Section 3: the address that the request came from. At the vendor it would be the relay's. */
const REMOTE = "$remote";
const UNCHANGED: readonly Replacement[] = [];
const DEPTH_MAX = 40;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const LETTER_N = 0x6e;
const CAPITAL_N = 0x4e;
const CAPITAL_I = 0x49;
/**
 * Which names begin with a byte: most members have none of them. A backslash may begin any of them.
 */
const PLACES: readonly (readonly number[] | undefined)[] = Array.from({ length: 256 }, (_, byte) => {
  const places = NAMES.flatMap((name, place) => (byte === BACKSLASH || name.charCodeAt(0) === byte ? [place] : []));
  return places.length === 0 ? undefined : places;
});
/** Room for an id that is put in. */
const ADDED_BYTES = 64;

/**
 * A device's id is part of it: the vendor takes the same `insert_id` on another device for another
 * event.
 */
function scopedId(insertId: string, deviceId: string | undefined): string {
  return deviceId === undefined ? insertId : `${deviceId}\n${insertId}`;
}

/**
 * The ids of stored events, as {@link EventReader} gave them when they came. None of a body that is
 * not JSON.
 */
export function storedIds(body: Uint8Array): readonly EventId[] {
  return eventIdsBy(body, (fields, event) => {
    const [insertId, deviceId] = fields.read(event, ["insert_id", "device_id"]);
    const id = fields.text(insertId, ID_MAX_BYTES) ?? "";
    return id === "" ? NO_ID : eventIdOf(scopedId(id, fields.text(deviceId, ID_MAX_BYTES)));
  });
}

/** Reads the events of a body, which is known to be JSON. */
export class EventReader {
  readonly #bytes: Uint8Array;
  readonly #fields: FieldReader;
  readonly #scanner: JsonScanner;
  readonly #rules: EventRules;
  /** Of the event at hand, in the order of {@link NAMES}. */
  #found: (Range | undefined)[] = [];

  constructor(bytes: Uint8Array, fields: FieldReader, rules: EventRules) {
    this.#bytes = bytes;
    this.#fields = fields;
    this.#scanner = new JsonScanner(bytes, { allowNonFinite: true });
    this.#rules = rules;
  }

  /** Its faults are noted under its place in the request. */
  read(range: Range, index: number): ReadEvent {
    const { minIdLength, makeId, faults, address } = this.#rules;
    const bytes = this.#bytes;
    const fields = this.#fields;
    if (!fields.isObject(range)) {
      faults.add("invalid", "event", index);
      return { id: "", replaced: UNCHANGED };
    }
    const found = new Array<Range | undefined>(NAMES.length).fill(undefined);
    this.#found = found;
    walkMembers(this.#scanner, bytes, range.start, this.#member);
    const [type, user, device, time, insert, ip] = found.map((value) => (isNull(bytes, value) ? undefined : value));
    if (type === undefined || fields.equals(type, "")) faults.add("missing", "event_type", index);
    else if (bytes[type.start] !== QUOTE) faults.add("invalid", "event_type", index);
    if (time !== undefined && !isInteger(bytes, time)) faults.add("invalid", "time", index);
    for (let place = OBJECTS_FROM; place < NAMES.length; place++)
      if (!isFlatObject(bytes, found[place])) faults.add("invalid", NAMES[place] as string, index);
    const deviceId = fields.text(device, ID_MAX_BYTES);
    addIdFaults([user, device], [fields.text(user, ID_MAX_BYTES), deviceId], { index, minIdLength, faults });
    const isRemote = address !== undefined && ip !== undefined && fields.equals(ip, REMOTE);
    const replaced = isRemote ? [{ ...ip, text: JSON.stringify(address) }] : UNCHANGED;
    const insertId = fields.text(insert, ID_MAX_BYTES);
    if (insertId !== undefined && insertId !== "") return { id: scopedId(insertId, deviceId), replaced };
    // A number is the sender's own id all the same, and so is a text that is too long to be
    // remembered.
    if (insert !== undefined && !fields.equals(insert, "") && isScalar(bytes, insert)) return { id: "", replaced };
    const made = makeId();
    const at = found.at(INSERT_ID);
    if (at === undefined) return { id: "", addedId: made, replaced };
    const both = [...replaced, { ...at, text: JSON.stringify(made) }];
    return { id: "", replaced: both.toSorted((one, other) => one.start - other.start) };
  }

  readonly #member = (keyStart: number, keyEnd: number, at: number): number => {
    const bytes = this.#bytes;
    const end = this.#scanner.value(at);
    const places = PLACES[bytes[keyStart] as number];
    if (places === undefined) return end;
    for (const place of places)
      if (textEquals(bytes, keyStart, keyEnd, NAMES[place] as string)) this.#found[place] = { start: at, end };
    return end;
  };
}

/**
 * One id is needed. What is not a text is for the vendor to judge: its documents speak of texts
 * alone.
 */
function addIdFaults(
  [user, device]: readonly (Range | undefined)[],
  [userId, deviceId]: readonly (string | undefined)[],
  { index, minIdLength, faults }: Pick<EventRules, "minIdLength" | "faults"> & { readonly index: number },
): void {
  if (user === undefined && device === undefined) return faults.add("missing", "user_id", index);
  const ids = [
    { field: "user_id", range: user, text: userId },
    { field: "device_id", range: device, text: deviceId },
  ].filter(({ range }) => range !== undefined);
  const refused = ids.filter(({ text }) => text !== undefined && isPlaceholder(text));
  for (const { field } of refused) faults.add("invalid", field, index);
  if (refused.length > 0 || ids.some(({ text }) => text === undefined || text.length >= minIdLength)) return;
  for (const { field } of ids) faults.add("short", field, index);
}

/** Events with what is put in: one view of the request's bytes when that is nothing. */
export function eventsAsRead(framed: Framed, read: readonly ReadEvent[]): StoredEvents {
  const { bytes, events } = framed;
  const [first] = events;
  const last = events.at(-1);
  const isUnchanged = read.every(({ addedId, replaced }) => addedId === undefined && replaced.length === 0);
  if (first === undefined || last === undefined || isUnchanged) return storedEvents(framed, events);
  const writer = new ByteWriter(last.end - first.start + ADDED_BYTES * events.length);
  const ends = Uint32Array.from(events, ({ start, end }, index) => {
    const { addedId, replaced } = read[index] as ReadEvent;
    if (index > 0) writer.byte(COMMA);
    let at = start;
    if (addedId !== undefined) {
      // An event has a type, so a member follows.
      writer.text(`{"insert_id":"${addedId}",`);
      at += 1;
    }
    for (const one of replaced) {
      writer.copyEdited(bytes, at, one.start, framed);
      writer.text(one.text);
      at = one.end;
    }
    writer.copyEdited(bytes, at, end, framed);
    return writer.length;
  });
  return { body: [writer.take()], ends };
}

/** `null`, or a bare NaN or Infinity, which is stored as one. */
function isNull(bytes: Uint8Array, range: Range | undefined): boolean {
  if (range === undefined) return false;
  const first = bytes[bytes[range.start] === MINUS ? range.start + 1 : range.start];
  return first === LETTER_N || first === CAPITAL_N || first === CAPITAL_I;
}

function isScalar(bytes: Uint8Array, { start }: Range): boolean {
  return bytes[start] !== OPEN_BRACE && bytes[start] !== OPEN_BRACKET;
}

/** Digits alone, which may have a minus in front. */
function isInteger(bytes: Uint8Array, { start, end }: Range): boolean {
  let at = bytes[start] === MINUS ? start + 1 : start;
  if (at === end) return false;
  for (; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte < DIGIT_0 || byte > DIGIT_9) return false;
  }
  return true;
}

/** Absent, `null`, or an object that is not nested too deep. */
function isFlatObject(bytes: Uint8Array, range: Range | undefined): boolean {
  if (range === undefined || isNull(bytes, range)) return true;
  return bytes[range.start] === OPEN_BRACE && (!hasManyBrackets(bytes, range) || !isTooDeep(bytes, range));
}

/**
 * Whether there are enough brackets for the depth, texts included: nearly always there are not, and
 * this is fast.
 */
function hasManyBrackets(bytes: Uint8Array, { start, end }: Range): boolean {
  const text = bytes.subarray(start, end);
  let count = 0;
  for (const bracket of [OPEN_BRACE, OPEN_BRACKET])
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      count += 1;
      if (count > DEPTH_MAX) return true;
    }
  return false;
}

/** The text is known to be JSON. */
function isTooDeep(bytes: Uint8Array, { start, end }: Range): boolean {
  let depth = 0;
  let isText = false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (isText) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) isText = false;
    } else if (byte === QUOTE) isText = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
      if (depth > DEPTH_MAX) return true;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1;
  }
  return false;
}
