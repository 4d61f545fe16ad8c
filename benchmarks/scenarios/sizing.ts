/**
 * What a relay needs: events per second of one core by the size of events and bodies, from the
 * first request to the last delivery; bytes on disk of an event that was accepted and delivered;
 * memory at rest, under that load, and of a lane. The relay has a core to itself, load and
 * destination the others. docs/operating/sizing.md is made of the result.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { LoadOrder, LoadReport } from "../children/load.ts";
import { createTemplate } from "../lib/bodies.ts";
import { Child } from "../lib/child.ts";
import { inDirectory } from "../lib/in-directory.ts";
import { memoryOf } from "../lib/memory.ts";
import { cpuSecondsOf, separate } from "../lib/one-core.ts";
import { RelayProcess } from "../lib/relay-process.ts";
import { publish, say } from "../lib/result.ts";
import { round, summarise } from "../lib/statistics.ts";

const CONNECTIONS = 32;
const DRAIN_MS = 60_000;
const SECOND_MS = 1_000;
const MEGA = 1_000_000;
const KIB_PER_MB = 1_024;
const MANY_LANES = 101;
/** What is measured: a request's events, and the bytes of each. */
const CASES = [
  { events: 1, eventBytes: 300 },
  { events: 1, eventBytes: 1_000 },
  { events: 1, eventBytes: 8_000 },
  { events: 20, eventBytes: 1_000 },
  { events: 20, eventBytes: 8_000 },
  { events: 100, eventBytes: 300 },
  { events: 100, eventBytes: 1_000 },
] as const;

export interface SizingOptions {
  readonly rounds: number;
  /** Sent in each measurement; as many requests as that takes, but not more than `requestsMax`. */
  readonly megabytes: number;
  readonly requestsMax: number;
  readonly publish: boolean;
}

export const FULL: SizingOptions = { rounds: 3, megabytes: 200, requestsMax: 40_000, publish: true };
export const QUICK: SizingOptions = { rounds: 1, megabytes: 2, requestsMax: 500, publish: false };

type Case = (typeof CASES)[number];

interface Measured {
  readonly eventsPerSecond: number;
  readonly cpuMicrosPerEvent: number;
  readonly diskBytesPerEvent: number;
  readonly peakRssMb: number;
  readonly lost: number;
}

export interface SizingCase extends Omit<Measured, "lost"> {
  readonly eventsPerRequest: number;
  readonly eventBytes: number;
  readonly bodyBytes: number;
}

export interface SizingResult {
  readonly scenario: "sizing";
  readonly cases: readonly SizingCase[];
  readonly restRssMb: number;
  readonly kilobytesPerLane: number;
  readonly lost: number;
}

export async function run(options: SizingOptions): Promise<SizingResult> {
  const cases: SizingCase[] = [];
  let lost = 0;
  for (const one of CASES) {
    const measured: Measured[] = [];
    for (let number = 0; number < options.rounds; number++)
      measured.push(await inDirectory((directory) => measure(directory, one, options)));
    const medianOf = (pick: (one: Measured) => number): number => round(summarise(measured.map(pick)).median);
    lost += measured.reduce((sum, next) => sum + next.lost, 0);
    const { events: eventsPerRequest, eventBytes } = one;
    cases.push({
      eventsPerRequest,
      eventBytes,
      bodyBytes: createTemplate(eventsPerRequest, "segment", eventBytes).bodyBytes,
      eventsPerSecond: medianOf((next) => next.eventsPerSecond),
      cpuMicrosPerEvent: medianOf((next) => next.cpuMicrosPerEvent),
      diskBytesPerEvent: medianOf((next) => next.diskBytesPerEvent),
      peakRssMb: medianOf((next) => next.peakRssMb),
    });
    say(`${eventsPerRequest} of ${eventBytes} bytes a request: ${Math.round(cases.at(-1)?.eventsPerSecond ?? 0)} ev/s`);
  }
  const [one, many] = [await restOf(1), await restOf(MANY_LANES)];
  const kilobytesPerLane = round(((many - one) * KIB_PER_MB) / (MANY_LANES - 1));
  const result: SizingResult = { scenario: "sizing", cases, restRssMb: round(one), kilobytesPerLane, lost };
  publish("sizing", result, options.publish);
  return result;
}

export function failed({ lost }: { readonly lost: number }): boolean {
  return lost > 0;
}

async function measure(directory: string, one: Case, options: SizingOptions): Promise<Measured> {
  const destination = new Child("server", ["destination"]);
  const { port } = await destination.receive<{ port: number }>();
  const loader = new Child("load");
  const relay = await RelayProcess.start({ directory, destinations: { fast: `http://127.0.0.1:${port}` } });
  const { pid } = relay.process;
  if (!separate(pid, [loader.process.pid, destination.process.pid])) say("the relay shares its cores");
  const requests = requestsOf(one, options);
  const warmUp = Math.ceil(requests / 6);
  const order = { port: relay.port, connections: CONNECTIONS, events: one.events, eventBytes: one.eventBytes };
  await loader.ask<LoadReport>({ ...order, requests: warmUp, firstId: 1 } satisfies LoadOrder);
  await relay.drained(DRAIN_MS);
  const before = { seconds: cpuSecondsOf(pid), atMs: performance.now() };
  const firstId = 1 + warmUp * one.events;
  const report = await loader.ask<LoadReport>({ ...order, requests, firstId } satisfies LoadOrder);
  await relay.drained(DRAIN_MS);
  const seconds = (performance.now() - before.atMs) / SECOND_MS;
  const cpuSeconds = cpuSecondsOf(pid) - before.seconds;
  const peakRssMb = memoryOf(pid, "VmHWM");
  const { lanes } = await relay.accounts();
  await Promise.all([loader.stop(), relay.stop()]);
  await destination.stop();
  const events = requests * one.events;
  const all = (report.answered - report.failed + warmUp) * one.events;
  return {
    eventsPerSecond: events / seconds,
    cpuMicrosPerEvent: (cpuSeconds * MEGA) / events,
    diskBytesPerEvent: bytesUnder(join(directory, "data", "bench")) / all,
    peakRssMb,
    lost: all - (lanes[0]?.account.delivered ?? 0),
  };
}

function requestsOf({ events, eventBytes }: Case, { megabytes, requestsMax }: SizingOptions): number {
  return Math.min(requestsMax, Math.ceil((megabytes * MEGA) / (events * eventBytes)));
}

/** Resident memory in MB of a relay with so many lanes to which nothing was sent. */
async function restOf(lanes: number): Promise<number> {
  const names = Array.from({ length: lanes }, (_, index) => [`lane-${index}`, "http://127.0.0.1:9"] as const);
  return inDirectory(async (directory) => {
    const relay = await RelayProcess.start({ directory, destinations: Object.fromEntries(names) });
    const rssMb = memoryOf(relay.process.pid, "VmRSS");
    await relay.stop();
    return rssMb;
  });
}

function bytesUnder(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}
