/**
 * From canonical events to a vendor's own: what every vendor's table shares.
 *
 * A table has an entry per type of event; `undefined` from it means that the vendor cannot express
 * this event. The application may decide otherwise per name ({@link EventMap}).
 */
import { messageOf, own, type Translate, type Translated } from "@waybill/core";
import { isoOf, textOf } from "../values.ts";
import type { EventType, Properties } from "./events.ts";
import { stableUuid } from "./stable-uuid.ts";

/** An event as it was captured, with the context that its request carries for all. */
export interface CanonicalEvent {
  readonly type: EventType;
  readonly messageId: string;
  readonly timestamp?: string;
  readonly userId?: string;
  readonly anonymousId?: string;
  readonly event?: string;
  readonly name?: string;
  readonly category?: string;
  readonly groupId?: string;
  readonly previousId?: string;
  readonly properties: Properties;
  readonly traits: Properties;
  readonly context: Properties;
  readonly integrations: Properties;
}

/**
 * What becomes of an event, by the name of a track event, or by `$identify`, `$group`, `$page`,
 * `$screen`, `$alias` for the other types: another name, `false` to leave it out, or a function
 * that gives the vendor's own event (`undefined`: leave it out). A function must be pure: it is
 * called again for each attempt.
 */
export type EventMap<T> = Readonly<Record<string, string | false | ((event: CanonicalEvent) => T | undefined)>>;

export interface VendorTable<T> {
  /** The vendor's name in an event's `integrations`. */
  readonly vendor: string;
  readonly events?: EventMap<T> | undefined;
  /** `name` is that of a track event, possibly mapped to another. */
  readonly encode: Readonly<Partial<Record<EventType, (event: CanonicalEvent, name: string) => T | undefined>>>;
  readonly write: (encoded: T, event: CanonicalEvent) => { readonly text: string; readonly metadata: string };
}

/**
 * Reads an event as a canonical one, whatever wire format its metadata names. `undefined`: it has
 * no canonical meaning. What it throws rejects the event.
 */
export type ReadCanonical = (text: string, metadata: string) => Properties | undefined;

/** Without `read` all events are canonical. */
export function createTranslate<T>(
  { vendor, events, encode, write }: VendorTable<T>,
  read: ReadCanonical = (text) => parse(text) ?? {},
): Translate {
  const sharedOf = createShared();
  return (chunk, metadata, key): Translated => {
    const text = typeof chunk === "string" ? chunk : decoder.decode(chunk);
    const canonical = read(text, metadata);
    if (canonical === undefined) return { dropped: "unsupported" };
    if (metadata.length > SHARED_MAX_CHARACTERS)
      return { rejected: `the context that its request carries for all has ${metadata.length} characters` };
    const event = withShared(canonical, sharedOf(metadata), key);
    if (typeof event.type !== "string") return { rejected: "not a canonical event" };
    if (!addressed(event.integrations, vendor)) return { dropped: "filtered" };
    const name = event.type === "track" ? (event.event ?? "") : `$${event.type}`;
    const mapped = events !== undefined && Object.hasOwn(events, name) ? events[name] : undefined;
    if (mapped === false) return { dropped: "filtered" };
    try {
      if (typeof mapped === "function") {
        const vendorEvent = mapped(event);
        return vendorEvent === undefined ? { dropped: "filtered" } : write(vendorEvent, event);
      }
      // The type is the sender's own: also "constructor" is one.
      const encodeType = Object.hasOwn(encode, event.type) ? encode[event.type] : undefined;
      const encoded = encodeType?.(event, mapped ?? event.event ?? "");
      return encoded === undefined ? { dropped: "unsupported" } : write(encoded, event);
    } catch (error) {
      return { rejected: `the mapping of "${name}" threw: ${messageOf(error)}` };
    }
  };
}

const decoder = new TextDecoder();
/**
 * It becomes part of each event, and no vendor of ours takes events of 64 KB. Without a limit a
 * body would have translations far larger than itself.
 */
const SHARED_MAX_CHARACTERS = 64 * 1024;

type Shared = Pick<CanonicalEvent, "context" | "integrations">;

/** What a request carries for all its events, which come one after another: read once. */
function createShared(): (metadata: string) => Shared {
  let lastMetadata = "";
  let last: Shared = { context: {}, integrations: {} };
  return (metadata) => {
    if (metadata === lastMetadata) return last;
    const shared = metadata.startsWith("{") ? (parse(metadata) ?? {}) : {};
    last = { context: objectOf(shared["context"]), integrations: objectOf(shared["integrations"]) };
    lastMetadata = metadata;
    return last;
  };
}

/**
 * With the context that its request carries for all, and every field of the type that tables
 * expect: what has another is left out.
 */
function withShared(event: Properties, shared: Shared, key: string): CanonicalEvent {
  const { messageId, timestamp } = event;
  return {
    ...event,
    ...textsOf(event),
    messageId: textOf(messageId) ?? stableUuid(key),
    timestamp: typeof timestamp === "string" ? timestamp : isoOf(timestamp),
    properties: objectOf(event["properties"]),
    traits: objectOf(event["traits"]),
    context: { ...shared.context, ...objectOf(event["context"]) },
    integrations: { ...shared.integrations, ...objectOf(event["integrations"]) },
  } as unknown as CanonicalEvent;
}

const TEXTS = ["userId", "anonymousId", "event", "name", "category", "groupId", "previousId"] as const;

function textsOf(event: Properties): Partial<Record<(typeof TEXTS)[number], string | undefined>> {
  const texts: Partial<Record<(typeof TEXTS)[number], string | undefined>> = {};
  for (const name of TEXTS) if (own(event, name) !== undefined) texts[name] = textOf(own(event, name));
  return texts;
}

function parse(text: string): Properties | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Properties) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Segment's rule: `{ All: false, Letter: true }` is for Letter alone, `{ Letter: false }` for all
 * but Letter.
 */
function addressed(integrations: Properties, vendor: string): boolean {
  const chosen = own(integrations, vendor);
  return chosen === undefined ? integrations["All"] !== false : chosen !== false;
}

function objectOf(value: unknown): Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Properties) : {};
}

/** The text at a path of nested objects; `undefined` when there is none or it is empty. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = path.reduce<unknown>((at, key) => objectOf(at)[key], value);
  return typeof found === "string" && found !== "" ? found : undefined;
}

/** A copy without members that are undefined. */
export function compact<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}

/** No vendor takes longer ones. A normalised text can be 18 times as long. */
const SLUG_MAX_CHARACTERS = 1_000;

/**
 * "Order Completed" with separator "_" is "order_completed"; "" when nothing of the name can be
 * kept, or it is far too long.
 */
export function slug(name: string, separator: string): string {
  if (name.length > SLUG_MAX_CHARACTERS) return "";
  return name
    .normalize("NFKD")
    .replaceAll(/([a-z\d])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .replaceAll(/[\u0300-\u036f]/g, "")
    .split(/[^a-z\d]+/)
    .filter((word) => word !== "")
    .join(separator);
}
