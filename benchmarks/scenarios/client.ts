/**
 * 200,000 events of about 300 bytes from one process to a local server in another, default options.
 * The producer yields to the event loop after every 100 events, as a server does between requests.
 * Each measurement is a process of its own; rounds alternate.
 */
import { Child } from "../lib/child.ts";
import { publish, say } from "../lib/result.ts";
import { round, summarise } from "../lib/statistics.ts";

export interface ClientBenchOptions {
  readonly rounds: number;
  readonly events: number;
  /** Events for the peer, which is slow. */
  readonly peerEvents: number;
  readonly publish: boolean;
}

export const FULL: ClientBenchOptions = { rounds: 5, events: 200_000, peerEvents: 200_000, publish: true };
export const QUICK: ClientBenchOptions = { rounds: 1, events: 5_000, peerEvents: 150, publish: false };

export type Contender = "waybill" | "floor" | "stringify" | "segment" | "latency";

export interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssMb: number;
  readonly p50Micros?: number;
  readonly p99Micros?: number;
}

interface ClientResult {
  readonly scenario: "client";
  readonly lost: number;
  readonly [field: string]: unknown;
}

export async function run(options: ClientBenchOptions): Promise<ClientResult> {
  const rates: Record<"waybill" | "floor" | "stringify" | "segment", number[]> = {
    waybill: [],
    floor: [],
    stringify: [],
    segment: [],
  };
  const cpu: number[] = [];
  const rss: number[] = [];
  const p50: number[] = [];
  const p99: number[] = [];
  let lost = 0;
  for (let number = 0; number < options.rounds; number++) {
    for (const contender of ["floor", "stringify", "waybill", "segment"] as const) {
      const events = contender === "segment" ? options.peerEvents : options.events;
      const { measured, missing } = await measure(contender, events);
      rates[contender].push(events / measured.seconds);
      if (contender === "waybill") {
        cpu.push((measured.cpuSeconds * 100_000) / events);
        rss.push(measured.peakRssMb);
        lost += missing;
      }
    }
    const { measured } = await measure("latency", options.events);
    p50.push(measured.p50Micros ?? 0);
    p99.push(measured.p99Micros ?? 0);
    say(
      `round ${number + 1}: ${Object.entries(rates)
        .map(([name, values]) => `${name} ${Math.round(values.at(-1) as number)}`)
        .join(
          ", ",
        )} ev/s; track p99 ${(measured.p99Micros ?? 0).toFixed(2)} µs; peak ${Math.round(rss.at(-1) as number)} MB`,
    );
  }
  const waybill = summarise(rates.waybill);
  const stringify = summarise(rates.stringify);
  const peer = summarise(rates.segment);
  const result: ClientResult = {
    scenario: "client",
    eventsPerSecond: round(waybill.median),
    floorEventsPerSecond: round(summarise(rates.floor).median),
    stringifyFloorEventsPerSecond: round(stringify.median),
    peers: { "@segment/analytics-node": { eventsPerSecond: round(peer.median) } },
    lost,
    trackMicros: { p50: round(summarise(p50).median), p99: round(summarise(p99).median) },
    cpuSecondsPer100k: round(summarise(cpu).median),
    peakRssMb: round(summarise(rss).median),
    ofStringifyFloor: round(waybill.median / stringify.median),
    timesPeer: round(waybill.median / peer.median),
    spread: round(waybill.spread),
  };
  publish("client", result, options.publish);
  return result;
}

export function failed({ lost }: ClientResult): boolean {
  return lost > 0;
}

/** Runs one contender; `missing` is how many events the server did not get. */
async function measure(
  contender: Contender,
  events: number,
): Promise<{ readonly measured: Measured; readonly missing: number }> {
  const server = new Child("server", ["destination"]);
  const { port } = await server.receive<{ port: number }>();
  const child = new Child("client-run", [contender, String(port), String(events)]);
  const measured = await child.receive<Measured>();
  await child.stop();
  // Everything was answered before the child reported; the count must be there.
  const counted = await Promise.race([
    server.ask<{ events: number }>({ expect: events }),
    new Promise<{ events: number }>((resolve) => setTimeout(() => resolve({ events: 0 }), 2_000).unref()),
  ]);
  await server.stop();
  return { measured, missing: events - counted.events };
}
