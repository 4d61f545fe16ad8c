/**
 * Servers to measure against, on bare `node:http`. Argument: the kind.
 * - discard: reads and throws away
 * - durable FILE: collects bodies, appends each wave with one writev + fdatasync, then answers
 * - destination: counts events by their ids, answers as Segment does
 * - arrivals: notes when each event came; answers
 *   `{ arrivals: { count, firstId, startedAtMs, eventsPerMs } }` with `{ events, p50Ms, p99Ms }`
 *   from the time it was due, once it has that many
 * - hang: reads and never answers; slow: answers after two seconds; refuse: answers 401
 * - distinct: counts different ids and those that came again; answers `{ report: true }` with
 *   `{ events, duplicates }`
 * Message out: { port }. The destination answers `{ expect }` with `{ events, atMs }` once it has
 * counted that many since the last reset, and `{ reset: true }` with `{}`.
 */
import { fdatasync, openSync, writev } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const ANSWER = '{"success":true}';
const HEADERS = { "content-type": "application/json", "content-length": ANSWER.length };

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const kind = process.argv[2];
const handler: Handler = handlerOf();
const server = createServer(handler);
server.listen(0, "127.0.0.1", 1024, () => process.send?.({ port: (server.address() as AddressInfo).port }));

function handlerOf(): Handler {
  if (kind === "durable") return durable(process.argv[3] as string);
  if (kind === "destination") return destination();
  if (kind === "arrivals") return arrivals();
  if (kind === "hang") return (request) => request.resume();
  if (kind === "slow") return (request, response) => later(request, response);
  if (kind === "refuse") return (request, response) => refuse(request, response);
  return kind === "distinct" ? distinct() : discard;
}

function discard(request: IncomingMessage, response: ServerResponse): void {
  request.on("data", () => undefined);
  request.on("end", () => response.writeHead(200, HEADERS).end(ANSWER));
}

/** The least that "2xx means durable" can cost on this machine. */
function durable(file: string): Handler {
  const descriptor = openSync(file, "w");
  let waiting: { readonly chunks: Buffer[]; readonly response: ServerResponse }[] = [];
  let busy = false;
  const commit = (): void => {
    const wave = waiting;
    waiting = [];
    if (wave.length === 0) {
      busy = false;
      return;
    }
    busy = true;
    const chunks = wave.flatMap((one) => one.chunks);
    writev(descriptor, chunks, (writeError) => {
      if (writeError !== null) throw writeError;
      fdatasync(descriptor, (syncError) => {
        if (syncError !== null) throw syncError;
        for (const { response } of wave) response.writeHead(200, HEADERS).end(ANSWER);
        commit();
      });
    });
  };
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      waiting.push({ chunks, response });
      if (!busy) commit();
    });
  };
}

function destination(): Handler {
  const mark = Buffer.from('"messageId":');
  let events = 0;
  let expected = Number.POSITIVE_INFINITY;
  const check = (): void => {
    if (events < expected) return;
    expected = Number.POSITIVE_INFINITY;
    process.send?.({ events, atMs: performance.timeOrigin + performance.now() });
  };
  process.on("message", (message: { readonly expect?: number; readonly reset?: boolean }) => {
    if (message.reset === true) {
      events = 0;
      process.send?.({});
    }
    if (message.expect !== undefined) {
      expected = message.expect;
      check();
    }
  });
  return (request, response) => {
    let carried: Buffer = Buffer.alloc(0);
    request.on("data", (chunk: Buffer) => {
      const text = carried.length === 0 ? chunk : Buffer.concat([carried, chunk]);
      let at = text.indexOf(mark);
      let after = 0;
      while (at >= 0) {
        events += 1;
        after = at + mark.length;
        at = text.indexOf(mark, after);
      }
      // A mark may be cut by the end of the chunk.
      carried = text.subarray(Math.max(after, text.length - mark.length + 1));
    });
    request.on("end", () => {
      response.writeHead(200, HEADERS).end(ANSWER);
      check();
    });
  };
}

function distinct(): Handler {
  const seen = new Set<string>();
  let duplicates = 0;
  process.on("message", () => process.send?.({ events: seen.size, duplicates }));
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { batch } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly batch: { messageId: string }[] };
      for (const { messageId } of batch) {
        if (seen.has(messageId)) duplicates += 1;
        seen.add(messageId);
      }
      response.writeHead(200, HEADERS).end(ANSWER);
    });
  };
}

const SLOW_MS = 2_000;

function later(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  request.on("end", () => setTimeout(() => response.writeHead(200, HEADERS).end(ANSWER), SLOW_MS));
}

function refuse(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  request.on("end", () => response.writeHead(401, HEADERS).end(ANSWER));
}

interface ArrivalsWanted {
  readonly count: number;
  readonly firstId: number;
  readonly startedAtMs: number;
  /** Events that were due per millisecond; 0: only count. */
  readonly eventsPerMs: number;
}

/** The last twelve hex digits of an id are its number. */
const NUMBERED_ID = /"messageId":"[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-8[\da-f]{3}-([\da-f]{12})"/g;

function arrivals(): Handler {
  const atMs = new Map<number, number>();
  let wanted: ArrivalsWanted | undefined;
  const check = (): void => {
    if (wanted === undefined) return;
    const { count, firstId, startedAtMs, eventsPerMs } = wanted;
    const latencies: number[] = [];
    let last = 0;
    for (let id = firstId; id < firstId + count; id++) {
      const arrivedAtMs = atMs.get(id);
      if (arrivedAtMs === undefined) return;
      last = Math.max(last, arrivedAtMs);
      if (eventsPerMs > 0) latencies.push(arrivedAtMs - (startedAtMs + (id - firstId) / eventsPerMs));
    }
    wanted = undefined;
    latencies.sort((a, b) => a - b);
    const at = (share: number): number => latencies[Math.floor((latencies.length - 1) * share)] ?? 0;
    process.send?.({ events: count, lastAtMs: last, p50Ms: at(0.5), p99Ms: at(0.99) });
  };
  process.on("message", (message: { readonly arrivals?: ArrivalsWanted }) => {
    wanted = message.arrivals;
    check();
  });
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const nowMs = performance.timeOrigin + performance.now();
      const text = Buffer.concat(chunks).toString("latin1");
      for (const [, digits] of text.matchAll(NUMBERED_ID)) atMs.set(Number.parseInt(digits as string, 16), nowMs);
      response.writeHead(200, HEADERS).end(ANSWER);
      if (wanted !== undefined && atMs.size >= wanted.count) check();
    });
  };
}
