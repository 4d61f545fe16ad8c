/** Requests as load generators send them: made once, only the ids are written anew. */

const ID_DIGITS = 12;
const ID_TEMPLATE = "01a1fbe8-3ed8-7000-8000-000000000000";
const HEX = "0123456789abcdef";

export interface Template {
  /** A whole HTTP request. */
  readonly bytes: Buffer;
  /** Where the last twelve digits of each event's id stand. */
  readonly idOffsets: readonly number[];
  readonly bodyBytes: number;
}

/** A `POST /v1/batch` of `events` events: one of about 230 bytes, or many of about 300. */
export function createTemplate(events: number): Template {
  const note = "x".repeat(events === 1 ? 20 : 128);
  const event =
    `{"type":"track","messageId":"${ID_TEMPLATE}","timestamp":"2026-11-21T00:00:00.000Z","userId":"user-000001",` +
    `"event":"Order Completed","properties":{"total":42,"currency":"EUR","note":"${note}"}}`;
  const body = `{"batch":[${new Array<string>(events).fill(event).join(",")}]}`;
  const head =
    `POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic ${Buffer.from("bench:").toString("base64")}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  const bytes = Buffer.from(head + body, "latin1");
  const idOffsets: number[] = [];
  for (let at = bytes.indexOf(ID_TEMPLATE); at >= 0; at = bytes.indexOf(ID_TEMPLATE, at + 1))
    idOffsets.push(at + ID_TEMPLATE.length - ID_DIGITS);
  return { bytes, idOffsets, bodyBytes: body.length };
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
