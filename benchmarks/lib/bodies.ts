/** Requests as load generators send them: made once, only the ids are written anew. */

const ID_DIGITS = 12;
const ID_TEMPLATE = "01a1fbe8-3ed8-7000-8000-000000000000";
const USER_TEMPLATE = "user-000000000000";
/** Of an event of Segment's, beside what fills it up. */
const BYTES_WITHOUT_NOTE = 208;
const HEX = "0123456789abcdef";

export interface Template {
  /** A whole HTTP request. */
  readonly bytes: Buffer;
  /** Where the last twelve digits of each event's id are. */
  readonly idOffsets: readonly number[];
  /** The same of each event's user, where each has one of its own. */
  readonly userOffsets: readonly number[];
  readonly bodyBytes: number;
}

export type BenchProtocol = "segment" | "launchdarkly";
/**
 * Whose events, and where they have ids: LaunchDarkly's have those of their payload or none. All
 * are of one user, but for `segment-many-users`.
 */
export type BenchBodies = BenchProtocol | "segment-without-ids" | "segment-many-users" | "launchdarkly-with-payload-id";

export function protocolOf(bodies: BenchBodies): BenchProtocol {
  return bodies.startsWith("launchdarkly") ? "launchdarkly" : "segment";
}

/**
 * A request with `events` events: one of about 230 bytes, or many of about 300; or all of about
 * `eventBytes`, which are at least 210.
 */
export function createTemplate(events: number, bodies: BenchBodies = "segment", eventBytes?: number): Template {
  const protocol = protocolOf(bodies);
  const noteBytes = eventBytes === undefined ? (events === 1 ? 20 : 128) : eventBytes - BYTES_WITHOUT_NOTE;
  const note = "x".repeat(noteBytes);
  const id = bodies === "segment-without-ids" ? "" : `"messageId":"${ID_TEMPLATE}",`;
  const user = bodies === "segment-many-users" ? USER_TEMPLATE : "user-000001";
  const event =
    protocol === "segment"
      ? `{"type":"track",${id}"timestamp":"2026-11-21T00:00:00.000Z","userId":"${user}",` +
        `"event":"Order Completed","properties":{"total":42,"currency":"EUR","note":"${note}"}}`
      : `{"kind":"custom","creationDate":1795219200000,"key":"order-completed","context":{"kind":"user","key":"user-000001"},` +
        `"data":{${id}"total":42,"currency":"EUR","note":"${note}"}}`;
  const list = `[${new Array<string>(events).fill(event).join(",")}]`;
  const body = protocol === "segment" ? `{"batch":${list}}` : list;
  const path = protocol === "segment" ? "/v1/batch" : "/bulk";
  const authorization = protocol === "segment" ? `Basic ${Buffer.from("bench:").toString("base64")}` : "bench-sdk";
  const head =
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${authorization}\r\n` +
    `${protocol === "segment" ? "" : "X-LaunchDarkly-Event-Schema: 4\r\n"}` +
    `${bodies === "launchdarkly-with-payload-id" ? `X-LaunchDarkly-Payload-ID: ${ID_TEMPLATE}\r\n` : ""}` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  const bytes = Buffer.from(head + body, "latin1");
  const [idOffsets, userOffsets] = [digitsOf(bytes, ID_TEMPLATE), digitsOf(bytes, USER_TEMPLATE)];
  return { bytes, idOffsets, userOffsets, bodyBytes: body.length };
}

/** Where the last twelve digits are wherever `template` is. */
function digitsOf(bytes: Buffer, template: string): readonly number[] {
  const offsets: number[] = [];
  for (let at = bytes.indexOf(template); at >= 0; at = bytes.indexOf(template, at + 1))
    offsets.push(at + template.length - ID_DIGITS);
  return offsets;
}

/** Writes the ids `first`, `first + 1`, … into the events. */
export function writeIds(bytes: Buffer, idOffsets: readonly number[], first: number): void {
  for (let index = 0; index < idOffsets.length; index++) {
    let value = first + index;
    const start = idOffsets[index] as number;
    for (let digit = ID_DIGITS - 1; digit >= 0; digit--) {
      bytes[start + digit] = HEX.charCodeAt(value % 16);
      value = Math.floor(value / 16);
    }
  }
}
