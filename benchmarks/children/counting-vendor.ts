/**
 * A fast destination for Segment's events that knows each of them by its number.
 * Message out: { port }. Messages in: { hold } no request is answered until it is `false`;
 * { expect } answers with { missing, duplicates, lastAtMs } once it has all of them, or the time
 * is over. `lastAtMs` is when the last event came that it did not have, epoch ms with fraction.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface CountingOrder {
  readonly hold?: boolean;
  readonly expect?: {
    /** Numbers of events: from, and up to but not including. */
    readonly ranges: readonly (readonly [number, number])[];
    readonly withinMs: number;
  };
}

export interface CountingReport {
  readonly missing: number;
  /** Events that came more than once, of all there ever were. */
  readonly duplicates: number;
  readonly lastAtMs: number;
}

const ANSWER = '{"success":true}';
const HEADERS = { "content-type": "application/json", "content-length": ANSWER.length };
const MARK = Buffer.from('"messageId":"');
/** The last twelve digits of an id are its number. */
const DIGITS_AT = MARK.length + 24;
const DIGITS = 12;
const SEEN = 1;
const EXPECTED = 2;

/** By number. */
let events = new Uint8Array(1024 * 1024);
let duplicates = 0;
let missing = 0;
let lastAtMs = 0;
let isHolding = false;
let held: ServerResponse[] = [];
let answer: (() => void) | undefined;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    if (isHolding) held.push(response);
    else response.writeHead(200, HEADERS).end(ANSWER);
    countAll(Buffer.concat(chunks));
    if (missing === 0) answer?.();
  });
});
server.listen(0, "127.0.0.1", 1024, () => process.send?.({ port: (server.address() as AddressInfo).port }));

process.on("message", ({ hold, expect }: CountingOrder) => {
  if (hold !== undefined) {
    isHolding = hold;
    if (!hold) for (const response of held.splice(0)) response.writeHead(200, HEADERS).end(ANSWER);
    process.send?.({});
  }
  if (expect === undefined) return;
  for (const [from, to] of expect.ranges) for (let number = from; number < to; number++) expectOne(number);
  const late = setTimeout(() => answer?.(), expect.withinMs);
  answer = () => {
    clearTimeout(late);
    answer = undefined;
    process.send?.({ missing, duplicates, lastAtMs } satisfies CountingReport);
  };
  if (missing === 0) answer();
});

function countAll(body: Buffer): void {
  let isNew = false;
  for (let at = body.indexOf(MARK); at >= 0; at = body.indexOf(MARK, at + DIGITS_AT + DIGITS))
    if (countOne(Number.parseInt(body.toString("latin1", at + DIGITS_AT, at + DIGITS_AT + DIGITS), 16))) isNew = true;
  if (isNew) lastAtMs = performance.timeOrigin + performance.now();
}

function countOne(number: number): boolean {
  const flags = flagsOf(number);
  if ((flags & SEEN) !== 0) {
    duplicates += 1;
    return false;
  }
  events[number] = flags | SEEN;
  if ((flags & EXPECTED) !== 0) missing -= 1;
  return true;
}

function expectOne(number: number): void {
  const flags = flagsOf(number);
  events[number] = flags | EXPECTED;
  if (flags === 0) missing += 1;
}

function flagsOf(number: number): number {
  while (number >= events.length) {
    const larger = new Uint8Array(2 * events.length);
    larger.set(events);
    events = larger;
  }
  return events[number] as number;
}
