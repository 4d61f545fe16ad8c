/**
 * Reads events and profile updates of a Mixpanel request in their bytes, and writes them as they
 * are stored: without the token, which is for the way in alone, and with what the vendor needs and
 * the client left out, once, so that every later attempt sends the same bytes.
 */
import { JsonScanner, textEquals } from "@waybill/core";
import { ByteWriter } from "../byte-writer.ts";
import { arrayOf } from "../inbound/event-ids.ts";
import { elements, endFault, FieldReader, type Range, type StoredEvents, walkMembers } from "../inbound/frame.ts";
import { ID_MAX_BYTES } from "../inbound/inbound.ts";

/** What the items of a request are, by its path. */
export type ItemKind = "event" | "engage" | "groups";

export interface Items {
  readonly ranges: readonly Range[];
  readonly nonFinite: ArrayLike<number>;
}

export interface ItemsFault {
  readonly kind: "invalid" | "too_large";
  readonly message: string;
}

/** One item that can be stored. */
export interface Item {
  readonly range: Range;
  /** Where the additions go: before the brace that closes its properties, or itself. */
  readonly closeAt: number;
  readonly additions: string;
  readonly token: string | undefined;
  /** By which a duplicate is known, "" for none: what the vendor goes by, together. */
  readonly id: string;
}

export interface ItemReaderOptions {
  readonly makeId: () => string;
  readonly now: () => number;
  /** The sender's, to be located by; `undefined` for none. */
  readonly address: string | undefined;
}

const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const NEWLINE = 0x0a;
const TOO_MANY = -2;
/** A longer token is not one. */
const TOKEN_MAX_BYTES = 4_096;
/** As long as the vendor takes ids, with every character escaped. */
const USER_MAX_BYTES: number = 6 * 255 + 2;
const PROPERTY_NAMES = ["token", "$insert_id", "time", "distinct_id", "ip", "$user_id", "$device_id"] as const;
const PROFILE_NAMES = ["$token", "$distinct_id", "$group_key", "$group_id", "$ip"] as const;
type Name = (typeof PROPERTY_NAMES)[number] | (typeof PROFILE_NAMES)[number];
const decoder = new TextDecoder();

/** The items of a body: an array, one object, or an object a line. */
export function itemsOf(bytes: Uint8Array, maxEvents: number): Items | ItemsFault {
  const scanner = new JsonScanner(bytes, { allowNonFinite: true });
  const start = scanner.space(0);
  const events: Range[] = [];
  let end: number;
  if (bytes[start] === OPEN_BRACKET) end = elements(scanner, bytes, start, { events, maxEvents });
  else if (bytes[start] === OPEN_BRACE) end = lines(scanner, bytes, start, { events, maxEvents });
  else {
    end = scanner.value(start);
    const fault = endFault(scanner, bytes, end);
    return { kind: "invalid", message: fault?.message ?? "The data is JSON, but neither an object nor an array." };
  }
  if (end === TOO_MANY)
    return { kind: "too_large", message: `The request has more than ${maxEvents} events; none was stored.` };
  const fault = endFault(scanner, bytes, end);
  return fault === undefined
    ? { ranges: events, nonFinite: scanner.nonFinite }
    : { kind: "invalid", message: fault.message };
}

/** After the last of several objects, each on lines of its own. */
function lines(
  scanner: JsonScanner,
  bytes: Uint8Array,
  at: number,
  { events, maxEvents }: { readonly events: Range[]; readonly maxEvents: number },
): number {
  for (let start = at; ; ) {
    if (events.length >= maxEvents) return TOO_MANY;
    const end = scanner.value(start);
    if (end < 0) return -1;
    events.push({ start, end });
    const next = scanner.space(end);
    if (next === bytes.length) return next;
    const newline = bytes.indexOf(NEWLINE, end);
    if (bytes[next] !== OPEN_BRACE || newline === -1 || newline > next) return scanner.reject(next);
    start = next;
  }
}

/** Reads one item after another, and remembers where their tokens are. */
export class ItemReader {
  /** Each is left out of what is stored. */
  readonly cuts: number[] = [];
  readonly #bytes: Uint8Array;
  readonly #kind: ItemKind;
  readonly #options: ItemReaderOptions;
  readonly #scanner: JsonScanner;
  readonly #fields: FieldReader;
  // Of the item at hand:
  readonly #found = new Map<Name, Range>();
  #event: Range | undefined;
  #closeAt = -1;
  #members = 0;
  #cutMembers = 0;

  constructor(bytes: Uint8Array, kind: ItemKind, options: ItemReaderOptions) {
    this.#bytes = bytes;
    this.#kind = kind;
    this.#options = options;
    this.#scanner = new JsonScanner(bytes, { allowNonFinite: true });
    this.#fields = new FieldReader(bytes);
  }

  /**
   * `undefined` when it is not an event with a name and properties, or an update without a profile.
   */
  read(range: Range): Item | undefined {
    if (!this.#fields.isObject(range)) return undefined;
    this.#event = undefined;
    this.#closeAt = -1;
    this.#found.clear();
    if (this.#kind === "event") walkMembers(this.#scanner, this.#bytes, range.start, this.#eventMember);
    else this.#readObject(range.start, PROFILE_NAMES);
    if (this.#closeAt === -1 || !this.#isWhole()) return undefined;
    const separator = this.#members > this.#cutMembers ? "," : "";
    const additions = this.#kind === "event" ? this.#eventAdditions() : this.#profileAdditions();
    return {
      range,
      closeAt: this.#closeAt,
      additions: additions === "" ? "" : separator + additions.slice(1),
      token: this.#token(this.#found.get(this.#kind === "event" ? "token" : "$token")),
      id: this.#kind === "event" ? this.#id() : "",
    };
  }

  /** "" for one that is not a text: nobody has it. */
  #token(range: Range | undefined): string | undefined {
    return range === undefined ? undefined : (this.#fields.text(range, TOKEN_MAX_BYTES) ?? "");
  }

  readonly #eventMember = (keyStart: number, keyEnd: number, at: number): number => {
    const bytes = this.#bytes;
    if (bytes[at] === OPEN_BRACE && textEquals(bytes, keyStart, keyEnd, "properties"))
      return this.#readObject(at, PROPERTY_NAMES);
    const end = this.#scanner.value(at);
    if (textEquals(bytes, keyStart, keyEnd, "event")) this.#event = { start: at, end };
    else if (textEquals(bytes, keyStart, keyEnd, "properties")) this.#closeAt = -1;
    return end;
  };

  /** A repeated member: the last one counts, as in every parser. */
  #readObject(at: number, names: readonly Name[]): number {
    const bytes = this.#bytes;
    this.#found.clear();
    this.#members = 0;
    this.#cutMembers = 0;
    const end = walkMembers(
      this.#scanner,
      bytes,
      at,
      (keyStart, keyEnd, valueAt) => {
        this.#members += 1;
        const valueEnd = this.#scanner.value(valueAt);
        const name = nameOf(bytes, keyStart, keyEnd, names);
        if (name !== undefined) this.#found.set(name, { start: valueAt, end: valueEnd });
        return valueEnd;
      },
      {
        cuts: this.cuts,
        isCut: (keyStart, keyEnd) => {
          const isToken = textEquals(bytes, keyStart, keyEnd, names[0] as Name);
          if (isToken) this.#cutMembers += 1;
          return isToken;
        },
      },
    );
    this.#closeAt = end - 1;
    return end;
  }

  #isWhole(): boolean {
    const isId = (name: Name): boolean => this.#isText(name) || this.#fields.isNumber(this.#found.get(name));
    if (this.#kind === "event") return this.#fields.isText(this.#event);
    return this.#kind === "engage" ? isId("$distinct_id") : isId("$group_key") && isId("$group_id");
  }

  /** What the vendor needs of an event and this one lacks; each begins with a comma. */
  #eventAdditions(): string {
    const has = (name: Name): boolean => this.#found.has(name);
    const { makeId, now, address } = this.#options;
    let additions = "";
    if (!has("$insert_id")) additions += `,"$insert_id":${JSON.stringify(makeId())}`;
    if (!has("time")) additions += `,"time":${now()}`;
    if (!has("distinct_id")) additions += `,"distinct_id":${this.#distinctId()}`;
    if (!has("ip")) additions += `,"ip":${address === undefined ? 0 : JSON.stringify(address)}`;
    return additions;
  }

  /**
   * A profile is located by its address; one that has none and comes from the relay would be
   * located there.
   */
  #profileAdditions(): string {
    const { address } = this.#options;
    if (this.#kind === "groups" || address === undefined || this.#found.has("$ip")) return "";
    return `,"$ip":${JSON.stringify(address)}`;
  }

  /** As the vendor derives it from a user and a device; nobody's without either. */
  #distinctId(): string {
    const user = this.#fields.text(this.#found.get("$user_id"), USER_MAX_BYTES);
    if (user !== undefined && user !== "") return JSON.stringify(user);
    const device = this.#fields.text(this.#found.get("$device_id"), USER_MAX_BYTES);
    return JSON.stringify(device === undefined || device === "" ? "" : `$device:${device}`);
  }

  /**
   * The four of which the vendor's duplicates agree. One that gets its time here has had no other
   * copy.
   */
  #id(): string {
    const insertId = this.#found.get("$insert_id");
    const time = this.#found.get("time");
    if (time === undefined || !this.#isText("$insert_id")) return "";
    const parts = [insertId, time, this.#event, this.#found.get("distinct_id")];
    if (parts.reduce((sum, part) => sum + (part === undefined ? 0 : part.end - part.start), 0) > ID_MAX_BYTES)
      return "";
    const texts = parts.map((part) => part && decoder.decode(this.#bytes.subarray(part.start, part.end)));
    return texts.map((text) => text ?? this.#distinctId()).join(" ");
  }

  #isText(name: Name): boolean {
    return this.#fields.isText(this.#found.get(name));
  }
}

function nameOf(bytes: Uint8Array, start: number, end: number, names: readonly Name[]): Name | undefined {
  const first = bytes[start];
  for (const name of names)
    if ((first === name.charCodeAt(0) || first === BACKSLASH) && textEquals(bytes, start, end, name)) return name;
  return undefined;
}

/** Some items of `bytes`, as they are stored. */
export function storedItems(
  bytes: Uint8Array,
  items: readonly Item[],
  edits: { readonly nonFinite: ArrayLike<number>; readonly cuts: ArrayLike<number> },
): StoredEvents {
  const first = items[0];
  const last = items.at(-1);
  if (first === undefined || last === undefined) return { body: [], ends: new Uint32Array(0) };
  const writer = new ByteWriter(last.range.end - first.range.start);
  const ends = Uint32Array.from(items, ({ range, closeAt, additions }, index) => {
    if (index > 0) writer.byte(COMMA);
    writer.copyEdited(bytes, range.start, range.end, edits, { start: closeAt, end: closeAt, text: additions });
    return writer.length;
  });
  return { body: [writer.take()], ends };
}

/** The ids of stored events, as {@link ItemReader} gives them when they come in. */
export function storedItemIds(body: Uint8Array): readonly string[] {
  const array = arrayOf(body);
  const items = itemsOf(array, Number.POSITIVE_INFINITY);
  if ("message" in items) return [];
  const reader = new ItemReader(array, "event", { makeId: () => "", now: () => 0, address: undefined });
  return items.ranges.map((range) => reader.read(range)?.id ?? "");
}
