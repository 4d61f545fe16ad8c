import { type EventMetadata, schemaOf } from "@waybill/vendors";

/**
 * Events of this schema and later ones are forwarded as they are; older ones are summarised. The
 * original's `SummaryEventsSchemaVersion`.
 */
export const SUMMARY_EVENTS_SCHEMA_VERSION = 3;
/** Which schema the events of a request have. The original's `EventSchemaHeader`. */
export const EVENT_SCHEMA_HEADER = "X-LaunchDarkly-Event-Schema";
/**
 * Application metadata of an SDK, copied when its events are forwarded. The original's
 * `TagsHeader`.
 */
export const TAGS_HEADER = "X-LaunchDarkly-Tags";

/**
 * Headers as Node's `request.headers`, a web `Headers` or any record has them; case-insensitive.
 */
export type EventHeaders = Readonly<Record<string, EventHeader>> | Iterable<readonly [string, string]>;

type EventHeader = string | readonly string[] | undefined;

/** What the headers of a request declare about its events. */
export interface EventPayloadMetadata extends EventMetadata {
  /** 1 if unknown: schema 1 had no header. */
  readonly schemaVersion: number;
  /** "" if none. */
  readonly tags: string;
}

/**
 * Reads {@link EventPayloadMetadata} from a request. A version that is missing, is not a whole
 * decimal number, or is not from 1 to 1,000 counts as 1. Never throws.
 */
export function getEventPayloadMetadata({ headers }: { readonly headers: EventHeaders }): EventPayloadMetadata {
  const read = readHeaders(headers);
  return {
    schemaVersion: schemaOf(read[EVENT_SCHEMA_HEADER.toLowerCase()]),
    tags: read[TAGS_HEADER.toLowerCase()] ?? "",
  };
}

/** Names in lower case; of a header that came several times the first, as Go reads it. */
export function readHeaders(headers: EventHeaders): Readonly<Record<string, string | undefined>> {
  const entries: Iterable<readonly [string, EventHeader]> = isIterable(headers) ? headers : Object.entries(headers);
  return Object.fromEntries(
    Array.from(entries, ([name, value]) => [name.toLowerCase(), typeof value === "object" ? value[0] : value]),
  );
}

function isIterable(headers: EventHeaders): headers is Iterable<readonly [string, string]> {
  return Symbol.iterator in headers;
}
