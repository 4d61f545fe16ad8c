/**
 * One contender of the client scenario. Arguments: contender, port, events. Message out: Measured.
 */
import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { Analytics } from "@segment/analytics-node";
import { createClient } from "waybill";
import { percentile } from "../lib/statistics.ts";
import type { Contender, Measured } from "../scenarios/client.ts";

const [contender, port, count] = process.argv.slice(2) as [Contender, string, string];
const events = Number(count);
const url = `http://127.0.0.1:${port}`;
const YIELD_EVERY = 100;
const FLOOR_BATCH = 500;
const agent = new Agent({ keepAlive: true });
const NOTE = "x".repeat(90);

const run: Readonly<Record<Contender, () => Promise<Partial<Measured>>>> = {
  waybill: runWaybill,
  latency: runLatency,
  floor: runFloor,
  stringify: runStringify,
  segment: runSegment,
};

const before = process.cpuUsage();
let startedAt = performance.now();
const more = await run[contender]();
const seconds = (performance.now() - startedAt) / 1_000;
const { user, system } = process.cpuUsage(before);
const measured: Measured = {
  seconds,
  cpuSeconds: (user + system) / 1e6,
  peakRssMb: process.resourceUsage().maxRSS / 1_024,
  ...more,
};
process.send?.(measured);

function eventOf(index: number): { userId: string; event: string; properties: Record<string, unknown> } {
  return {
    userId: `user-${index % 5_000}`,
    event: "Order Completed",
    properties: { orderId: index, total: 42.5, currency: "EUR", items: ["notebook", "ink"], note: NOTE },
  };
}

function yieldToLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function runWaybill(): Promise<Partial<Measured>> {
  const client = createClient({ relay: { url, writeKey: "bench" } });
  for (let index = 0; index < events; index++) {
    client.track(eventOf(index));
    if (index % YIELD_EVERY === YIELD_EVERY - 1) await yieldToLoop();
  }
  const { delivered } = await client.close({ deadlineMs: 60_000 });
  if (delivered !== events) throw new Error(`delivered ${delivered} of ${events}`);
  return {};
}

/** The same with a clock around every call. */
async function runLatency(): Promise<Partial<Measured>> {
  const client = createClient({ relay: { url, writeKey: "bench" } });
  const micros = new Float64Array(events);
  for (let index = 0; index < events; index++) {
    const event = eventOf(index);
    const calledAt = performance.now();
    client.track(event);
    micros[index] = (performance.now() - calledAt) * 1_000;
    if (index % YIELD_EVERY === YIELD_EVERY - 1) await yieldToLoop();
  }
  await client.close({ deadlineMs: 60_000 });
  const sorted = micros.sort();
  return { p50Micros: percentile(sorted, 50), p99Micros: percentile(sorted, 99) };
}

function post(body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `${url}/v1/batch`,
      {
        agent,
        method: "POST",
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      },
      (response) => {
        response.resume();
        response.on("end", resolve);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function runFloor(): Promise<Partial<Measured>> {
  const bodies: string[] = [];
  for (let first = 0; first < events; first += FLOOR_BATCH) {
    const texts: string[] = [];
    for (let index = first; index < Math.min(events, first + FLOOR_BATCH); index++)
      texts.push(JSON.stringify({ type: "track", messageId: randomUUID(), timestamp: new Date(), ...eventOf(index) }));
    bodies.push(`{"batch":[${texts.join(",")}]}`);
  }
  startedAt = performance.now();
  for (const body of bodies) await post(body);
  return {};
}

async function runStringify(): Promise<Partial<Measured>> {
  for (let first = 0; first < events; first += FLOOR_BATCH) {
    const texts: string[] = [];
    for (let index = first; index < Math.min(events, first + FLOOR_BATCH); index++)
      texts.push(JSON.stringify({ type: "track", messageId: randomUUID(), timestamp: new Date(), ...eventOf(index) }));
    await post(`{"batch":[${texts.join(",")}]}`);
  }
  return {};
}

async function runSegment(): Promise<Partial<Measured>> {
  const analytics = new Analytics({ writeKey: "bench", host: url });
  for (let index = 0; index < events; index++) {
    analytics.track(eventOf(index));
    if (index % YIELD_EVERY === YIELD_EVERY - 1) await yieldToLoop();
  }
  await analytics.closeAndFlush();
  return {};
}
