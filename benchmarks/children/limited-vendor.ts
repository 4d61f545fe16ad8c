/**
 * A vendor that takes only so much, in Segment's protocol. Arguments: the limit's kind, its value,
 * the time that an answer takes in ms. Refuses with 429 and `Retry-After: 1`.
 * - rate: requests per second, with a burst of a second
 * - changing: the same; twice as many from the middle of the run, see `{ limit }`
 * - concurrency: requests at once
 * - latency: requests at once; more take longer in proportion, and none is refused
 * Message out: { port }. Messages in: { limit } changes the value; { report: true }; each is
 * answered, the last with { events, seconds }: different events, and what was accepted and refused
 * in each second since the first request.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type LimitKind = "rate" | "concurrency" | "latency" | "changing";

export interface LimitedReport {
  readonly events: number;
  readonly seconds: readonly { readonly accepted: number; readonly refused: number }[];
}

interface Message {
  readonly limit?: number;
  readonly report?: true;
}

const OK = '{"success":true}';
const REFUSED = '{"success":false}';
const SECOND_MS = 1_000;
const MESSAGE_ID = /"messageId":"([\da-f-]{36})"/g;

const kind = process.argv[2] as LimitKind;
let limit = Number(process.argv[3]);
const latencyMs = Number(process.argv[4]);
const seen = new Set<string>();
const seconds: { accepted: number; refused: number }[] = [];
let startedAt: number | undefined;
let inFlight = 0;
let tokens = limit;
let refilledAt = performance.now();

const server = createServer((request, response) => void answer(request, response));
server.listen(0, "127.0.0.1", 1024, () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("message", (message: Message) => {
  if (message.limit !== undefined) limit = message.limit;
  const report: LimitedReport = { events: seen.size, seconds };
  process.send?.(message.report === true ? report : {});
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const taken = takes();
  note(taken);
  if (!taken) {
    response.writeHead(429, { "retry-after": "1", "content-length": REFUSED.length }).end(REFUSED);
    return;
  }
  inFlight += 1;
  const queued = kind === "latency" ? Math.max(1, inFlight / limit) : 1;
  setTimeout(() => {
    inFlight -= 1;
    for (const [, id] of Buffer.concat(chunks).toString("latin1").matchAll(MESSAGE_ID)) seen.add(id as string);
    response.writeHead(200, { "content-length": OK.length }).end(OK);
  }, latencyMs * queued);
}

function takes(): boolean {
  if (kind === "latency") return true;
  if (kind === "concurrency") return inFlight < limit;
  const now = performance.now();
  tokens = Math.min(limit, tokens + ((now - refilledAt) * limit) / SECOND_MS);
  refilledAt = now;
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

function note(taken: boolean): void {
  const now = performance.now();
  startedAt ??= now;
  const index = Math.floor((now - startedAt) / SECOND_MS);
  while (seconds.length <= index) seconds.push({ accepted: 0, refused: 0 });
  const second = seconds[index];
  if (second !== undefined) second[taken ? "accepted" : "refused"] += 1;
}
