/**
 * A vendor some way off: every answer comes a while after its request, for each request by itself,
 * whatever else is in flight. It looks at the marks of events and at nothing else, so that it takes
 * little of the cores that it shares with what is measured. Arguments: the vendor, the milliseconds
 * of the way there and back.
 *
 * Message out: { port }. Messages in, each answered: { report: true } with an ArrivalsReport,
 * { mode } with {} (`refuse` closes the port until another mode is set), { delaysUntilMs } with {}.
 * A request with a poisonous event is answered with 500.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { Arrivals, type Arrived } from "../lib/arrivals.ts";
import { type BenchVendor, VENDOR_EVENTS } from "../lib/vendor-events.ts";

export type VendorMode = "well" | "500" | "503" | "refuse";

interface Message {
  readonly report?: true;
  readonly mode?: VendorMode;
  readonly delaysUntilMs?: number;
}

const { answer: success } = VENDOR_EVENTS[process.argv[2] as BenchVendor];
const delayMs = Number(process.argv[3]);
const CONNECTIONS_WAITING = 1_024;
const JSON_TYPE = "application/json";
const FAILURE = '{"error":"unavailable"}';
const NOTHING = '{"error":"no marked event"}';

const arrivals = new Arrivals();
let mode: VendorMode = "well";
const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
  const chunks: Buffer[] = [];
  request.on("error", () => undefined);
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => take(request, response, chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
});

process.on("message", (message: Message) => {
  void handle(message).then((answer) => process.send?.(answer));
});
const port = await listen(0);
process.send?.({ port });

function take(request: IncomingMessage, response: ServerResponse, raw: Buffer): void {
  const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
  const failing = mode === "500" || mode === "503" ? Number(mode) : undefined;
  const arrived = arrivals.arrive(body, Date.now(), (poisonous) => failing === undefined && poisonous === 0);
  response.on("close", () => arrivals.answered(arrived, Date.now()));
  const key = request.headers["idempotency-key"];
  const idempotencyKey = typeof key === "string" ? key : undefined;
  const send = (): void => {
    if (response.destroyed) return;
    const { status, body: text } = answerTo(arrived, { failing, bytes: body.length, idempotencyKey });
    arrivals.answered(arrived, Date.now());
    response.writeHead(status, { "content-type": JSON_TYPE, "content-length": Buffer.byteLength(text) }).end(text);
  };
  if (delayMs === 0) send();
  else setTimeout(send, delayMs);
}

interface Asked {
  readonly failing: number | undefined;
  readonly bytes: number;
  readonly idempotencyKey: string | undefined;
}

function answerTo({ events, isTaken }: Arrived, { failing, ...asked }: Asked): { status: number; body: string } {
  if (!isTaken) return { status: failing ?? 500, body: FAILURE };
  return events === 0 ? { status: 400, body: NOTHING } : success({ events, ...asked });
}

async function handle(message: Message): Promise<object> {
  if (message.delaysUntilMs !== undefined) arrivals.delaysUntilMs = message.delaysUntilMs;
  if (message.mode !== undefined) await change(message.mode);
  return message.report === true ? arrivals.report() : {};
}

async function change(next: VendorMode): Promise<void> {
  const before = mode;
  mode = next;
  if (next === "refuse" && before !== "refuse") {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }
  if (next !== "refuse" && before === "refuse") await listen(port);
}

async function listen(wanted: number): Promise<number> {
  server.listen(wanted, "127.0.0.1", CONNECTIONS_WAITING);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
