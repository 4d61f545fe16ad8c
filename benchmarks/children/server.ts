/**
 * Servers to measure against, on bare `node:http`. Argument: the kind.
 * - discard: reads and throws away
 * - durable FILE: collects bodies, appends each wave with one writev + fdatasync, then answers
 * - destination: counts events by their ids, answers as Segment does
 * - distinct: counts different ids and those that came again; answers `{ report: true }` with `{ events, duplicates }`
 * Message out: { port }. The destination answers `{ expect }` with `{ events, atMs }` once it has counted that many since the last reset,
 * and `{ reset: true }` with `{}`.
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
      let behind = 0;
      while (at >= 0) {
        events += 1;
        behind = at + mark.length;
        at = text.indexOf(mark, behind);
      }
      // A mark may be cut by the end of the chunk.
      carried = text.subarray(Math.max(behind, text.length - mark.length + 1));
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
