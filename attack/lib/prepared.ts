/** What a relay finds on its disk at the start, made without the work of getting it there. */

import { DeadLetters, openLog } from "@waybill/log";
import { nodeRuntime } from "@waybill/node";

const HEADS_PER_RECORD = 1_000;
const AT_MS = 1_700_000_000_000;

export interface PreparedDeadLetters {
  readonly count: number;
  readonly reasonOf: (index: number) => string;
  readonly eventOf: (index: number) => string;
}

/** Dead letters of `attack/<destination>`, as a lane keeps those of large batches. */
export async function prepareDeadLetters(
  dataDirectory: string,
  destination: string,
  { count, reasonOf, eventOf }: PreparedDeadLetters,
): Promise<void> {
  const runtime = nodeRuntime();
  const directory = `${dataDirectory}/attack/dead/${destination}`;
  const deadLetters = await DeadLetters.open(directory, 0, runtime);
  const comma = Buffer.from(",");
  for (let first = 0; first < count; first += HEADS_PER_RECORD) {
    const indexes = Array.from({ length: Math.min(HEADS_PER_RECORD, count - first) }, (_, at) => first + at);
    const heads = indexes.map((position) => {
      const reason = reasonOf(position);
      return { position, source: "web", receivedAtMs: AT_MS, rejectedAtMs: AT_MS + position, reason };
    });
    const events = indexes.map((index) => Buffer.from(eventOf(index)));
    let end = -1;
    await deadLetters.log.append({
      source: "web",
      receivedAtMs: AT_MS,
      metadata: JSON.stringify({ letters: heads, metadata: "" }),
      body: events.flatMap((event, index) => (index === 0 ? [event] : [comma, event])),
      ends: Uint32Array.from(events, ({ length }) => (end += 1 + length)),
    });
  }
  await deadLetters.close();
}

const RECORD_BYTES = 1024 * 1024;

/** A log of `attack` of so many bytes, of events of 1 KiB. */
export async function prepareLog(dataDirectory: string, bytes: number): Promise<number> {
  const log = await openLog({ directory: `${dataDirectory}/attack/log` }, nodeRuntime());
  const pad = "x".repeat(850);
  let index = 0;
  for (let written = 0; written < bytes; written += RECORD_BYTES) {
    const ends: number[] = [];
    const body: Buffer[] = [];
    let size = 0;
    while (size < RECORD_BYTES) {
      index += 1;
      const text = `${size === 0 ? "" : ","}{"type":"track","event":"Prepared","userId":"user-${index}","messageId":"prepared-${index}","properties":{"pad":"${pad}"}}`;
      const event = Buffer.from(text);
      body.push(event);
      size += event.length;
      ends.push(size);
    }
    await log.append({ source: "web", receivedAtMs: AT_MS + index, metadata: "", body, ends: Uint32Array.from(ends) });
  }
  await log.close();
  return index;
}
