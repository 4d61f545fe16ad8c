/**
 * Sends requests over raw sockets as fast as they are answered, one at a time on each connection.
 * Message in: LoadOrder; out: LoadReport.
 */
import { connect, type Socket } from "node:net";
import { type BenchBodies, createTemplate, type Template, writeIds } from "../lib/bodies.ts";
import { percentile } from "../lib/statistics.ts";

export interface LoadOrder {
  readonly port: number;
  readonly connections: number;
  readonly events: number;
  readonly requests: number;
  /** The first event's number; ids go up from there. */
  readonly firstId: number;
  /** Spaces requests evenly over all connections; as fast as possible when absent. */
  readonly requestsPerSecond?: number;
  /** Report every latency. */
  readonly samples?: boolean;
  /** Default: Segment's. */
  readonly bodies?: BenchBodies;
  /** Default: what the bodies have. */
  readonly eventBytes?: number;
}

export interface LoadReport {
  readonly seconds: number;
  readonly answered: number;
  /** Answers other than 200. */
  readonly failed: number;
  /** The first event's number of each request that got one. */
  readonly failedFirstIds: readonly number[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** When the first request was sent, epoch ms with fraction. */
  readonly startedAtMs: number;
  readonly latenciesMs?: readonly number[];
}

process.on("message", (order: LoadOrder) => {
  void run(order).then((report) => process.send?.(report));
});

async function run(order: LoadOrder): Promise<LoadReport> {
  const template = createTemplate(order.events, order.bodies, order.eventBytes);
  const latencies = new Float64Array(order.requests);
  let sent = 0;
  let answered = 0;
  const failedFirstIds: number[] = [];
  const startedAt = performance.now();
  const startedAtMs = performance.timeOrigin + startedAt;
  const take = (): number | undefined => (sent < order.requests ? sent++ : undefined);
  const done = (latencyMs: number, ok: boolean, firstId: number): void => {
    latencies[answered++] = latencyMs;
    if (!ok) failedFirstIds.push(firstId);
  };
  await Promise.all(
    Array.from({ length: order.connections }, () =>
      drive(order, { ...template, bytes: Buffer.from(template.bytes) }, take, done, startedAt),
    ),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  const sorted = latencies.subarray(0, answered).sort();
  return {
    seconds,
    answered,
    failed: failedFirstIds.length,
    failedFirstIds,
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
    startedAtMs,
    ...(order.samples === true ? { latenciesMs: [...sorted] } : {}),
  };
}

function drive(
  { port, events, firstId, requestsPerSecond }: LoadOrder,
  request: Template,
  take: () => number | undefined,
  done: (latencyMs: number, ok: boolean, firstId: number) => void,
  startedAt: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    let sentAt = 0;
    let sentId = 0;
    let answer: Buffer = Buffer.alloc(0);
    const write = (number: number): void => {
      sentId = firstId + number * events;
      writeIds(request.bytes, request.idOffsets, sentId);
      writeIds(request.bytes, request.userOffsets, sentId);
      sentAt = performance.now();
      socket.write(request.bytes);
    };
    const next = (): void => {
      const number = take();
      if (number === undefined) {
        socket.end();
        resolve();
        return;
      }
      if (requestsPerSecond === undefined) return write(number);
      const dueAt = startedAt + (number * 1_000) / requestsPerSecond;
      const waitMs = dueAt - performance.now();
      if (waitMs <= 0) write(number);
      else setTimeout(() => write(number), waitMs);
    };
    socket.on("connect", next);
    socket.on("error", reject);
    socket.on("data", (chunk) => {
      answer = answer.length === 0 ? chunk : Buffer.concat([answer, chunk]);
      const end = answerEnd(answer);
      if (end === undefined) return;
      // "HTTP/1.1 200", or 202
      const ok = answer[9] === 0x32 && answer[10] === 0x30 && (answer[11] === 0x30 || answer[11] === 0x32);
      answer = answer.subarray(end);
      done(performance.now() - sentAt, ok, sentId);
      next();
    });
  });
}

/** Where the answer ends, once it is all there. */
function answerEnd(bytes: Buffer): number | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const length = /content-length: (\d+)/i.exec(bytes.toString("latin1", 0, headEnd));
  const end = headEnd + 4 + Number(length?.[1] ?? 0);
  return bytes.length >= end ? end : undefined;
}
