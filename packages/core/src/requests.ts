/**
 * What HTTP takes, checked before a transport sees it, so that every transport refuses the same
 * requests and names the fault.
 *
 * Two kinds of fault, distinguished by where they are found. What comes from an event goes through
 * {@link headerFromEvent} and {@link pathSegmentFromEvent} when a request is built: they throw, and
 * that event is rejected. What {@link requestFault} still finds comes from the configuration or a
 * rotated key: no event is to blame, and the destination waits for somebody to correct it.
 */
import { WaybillError } from "./errors.ts";
import type { HttpRequest, Transport } from "./runtime.ts";

/** RFC 9110 5.6.2. */
const TOKEN = /^[\w!#$%&'*+\-.^`|~]+$/;
/** RFC 9110 5.5: visible characters, spaces and tabs, and the bytes above ASCII. */
const NOT_IN_A_VALUE = /[^\t\u0020-\u007e\u0080-\u00ff]/;
/** They describe how the message is framed, which only the transport knows. */
const OF_THE_TRANSPORT: ReadonlySet<string> = new Set([
  "content-length",
  "expect",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
/** Servers take 8 KiB of header or of path, some of them for all headers together. */
const FROM_EVENT_MAX_CHARACTERS = 4_096;
/** Resolves a path alone, as a browser does against its page. */
const ANY_BASE = "http://base.invalid";

/**
 * Why HTTP refuses the request, by name and never by value; `undefined` when it does not.
 * `knownUrl` was looked at before.
 */
export function requestFault({ url, headers }: HttpRequest, knownUrl?: string): string | undefined {
  for (const name of Object.keys(headers)) {
    const value: unknown = headers[name];
    if (!TOKEN.test(name)) return "the name of a header has a character that HTTP does not allow";
    if (OF_THE_TRANSPORT.has(name.toLowerCase()))
      return `the header ${name} may not be set: it is made with each request`;
    if (!isHeaderValue(value)) return `the value of the header ${name} has a character that HTTP does not allow`;
  }
  return url === knownUrl || isUrl(url) ? undefined : "the URL is not valid";
}

/**
 * `transport` that sees only what HTTP takes; anything else is refused before it, and always will
 * be.
 */
export function checkedTransport(transport: Transport): Transport {
  /** The last URL that was found to be one: mostly it is always the same. */
  let knownUrl: string | undefined;
  return (request, signal) => {
    const refused = requestFault(request, knownUrl);
    if (refused !== undefined) {
      const message = `the request cannot be sent: ${refused}; correct the configuration or the key`;
      return Promise.reject(new WaybillError("WAYBILL_TRANSPORT", message, { reason: "invalid_request" }));
    }
    knownUrl = request.url;
    return transport(request, signal);
  };
}

/**
 * A header's value that comes from an event. **Errors**: `WAYBILL_EVENT`, which rejects the event.
 */
export function headerFromEvent(name: string, value: unknown): string {
  if (!TOKEN.test(name)) throw fault("the event names a header that HTTP does not allow");
  if (!isHeaderValue(value))
    throw fault(`the event's value for the header ${name} has a character that HTTP does not allow`);
  if (value.length > FROM_EVENT_MAX_CHARACTERS)
    throw fault(
      `the event's value for the header ${name} has ${value.length} characters; at most ${FROM_EVENT_MAX_CHARACTERS} fit`,
    );
  return value;
}

/**
 * One segment of a path, encoded, that comes from an event: it cannot lead to another path.
 * **Errors**: `WAYBILL_EVENT`, which rejects the event.
 */
export function pathSegmentFromEvent(what: string, value: unknown): string {
  if (typeof value !== "string" || value === "" || value === "." || value === "..")
    throw fault(`the event's ${what} cannot be part of a path`);
  if (value.length > FROM_EVENT_MAX_CHARACTERS)
    throw fault(
      `the event's ${what} has ${value.length} characters; at most ${FROM_EVENT_MAX_CHARACTERS} fit into a path`,
    );
  try {
    return encodeURIComponent(value);
  } catch {
    throw fault(`the event's ${what} is not well-formed Unicode`);
  }
}

/**
 * Whether it is the status of a final answer. 1xx never is one; beyond 599 it is nothing that HTTP
 * knows.
 */
export function isHttpStatus(status: unknown): boolean {
  return Number.isInteger(status) && (status as number) >= 200 && (status as number) < 600;
}

/** Whether HTTP takes it as the value of a header. */
export function isHeaderValue(value: unknown): value is string {
  return typeof value === "string" && !NOT_IN_A_VALUE.test(value);
}

export function isHttpUrl(value: unknown): value is string {
  return typeof value === "string" && /^https?:/.test(value) && URL.canParse(value);
}

function isUrl(url: string): boolean {
  try {
    return new URL(url, ANY_BASE).href !== "";
  } catch {
    return false;
  }
}

function fault(message: string): WaybillError {
  return new WaybillError("WAYBILL_EVENT", message);
}
