/**
 * Whether a bad destination harms a good one: two healthy destinations alone, and beside one that
 * never answers, one that takes two seconds and one that refuses the credential. Throughput: from
 * the first request until both healthy ones have every event. Delivery time: from the moment an
 * event was due to leave its sender, at a steady rate. Rounds alternate; every measurement has a
 * relay of its own.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadOrder, LoadReport } from "../children/load.ts";
import { Child } from "../lib/child.ts";
import { RelayProcess } from "../lib/relay-process.ts";
import { publish, say } from "../lib/result.ts";
import { round, summarise } from "../lib/statistics.ts";

export interface IsolationOptions {
  readonly rounds: number;
  /** Requests of 100 events, as fast as they are taken. */
  readonly requests: number;
  /** Requests of 10 events at a steady rate. */
  readonly pacedRequests: number;
  readonly publish: boolean;
}

export const FULL: IsolationOptions = { rounds: 5, requests: 5_000, pacedRequests: 4_000, publish: true };
export const QUICK: IsolationOptions = { rounds: 1, requests: 100, pacedRequests: 100, publish: false };

const HEALTHY = ["good1", "good2"] as const;
const BAD = ["hang", "slow", "refuse"] as const;
const CONNECTIONS = 32;
const BURST_EVENTS = 100;
const PACED_EVENTS = 10;
const PACED_PER_SECOND = 500;
const WARM_UP_REQUESTS = 300;
const SECOND_MS = 1_000;

interface Measured {
  readonly eventsPerSecond: number;
  readonly p99Ms: number;
  readonly lost: number;
}

interface IsolationResult {
  readonly scenario: "isolation";
  readonly throughputRatio: number;
  readonly p99Ratio: number;
  readonly lost: number;
  readonly [field: string]: unknown;
}

export async function run(options: IsolationOptions): Promise<IsolationResult> {
  const alone: Measured[] = [];
  const beside: Measured[] = [];
  for (let number = 0; number < options.rounds; number++) {
    // Who goes first changes, so that neither always has the warmer machine.
    const order = number % 2 === 0 ? [false, true] : [true, false];
    for (const withBad of order) (withBad ? beside : alone).push(await measure(options, withBad));
    const [without, together] = [alone.at(-1), beside.at(-1)] as [Measured, Measured];
    say(
      `round ${number + 1}: alone ${Math.round(without.eventsPerSecond)} ev/s, p99 ${without.p99Ms.toFixed(1)} ms; ` +
        `beside bad ones ${Math.round(together.eventsPerSecond)} ev/s, p99 ${together.p99Ms.toFixed(1)} ms`,
    );
  }
  const median = (list: readonly Measured[], pick: (one: Measured) => number): number =>
    summarise(list.map(pick)).median;
  const throughput = [
    median(beside, (one) => one.eventsPerSecond),
    median(alone, (one) => one.eventsPerSecond),
  ] as const;
  const p99 = [median(beside, (one) => one.p99Ms), median(alone, (one) => one.p99Ms)] as const;
  const result: IsolationResult = {
    scenario: "isolation",
    throughputRatio: round(throughput[0] / throughput[1]),
    p99Ratio: round(p99[0] / p99[1]),
    lost: [...alone, ...beside].reduce((total, { lost }) => total + lost, 0),
    with: { eventsPerSecond: round(throughput[0]), p99Ms: round(p99[0]) },
    without: { eventsPerSecond: round(throughput[1]), p99Ms: round(p99[1]) },
  };
  publish("isolation", result, options.publish);
  return result;
}

export function failed({ lost }: IsolationResult): boolean {
  return lost > 0;
}

interface Arrived {
  readonly events: number;
  readonly lastAtMs: number;
  readonly p99Ms: number;
}

async function measure(options: IsolationOptions, withBad: boolean): Promise<Measured> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-isolation-"));
  const healthy = HEALTHY.map(() => new Child("server", ["arrivals"]));
  const bad = withBad ? BAD.map((kind) => new Child("server", [kind])) : [];
  const loader = new Child("load");
  try {
    const destinations: Record<string, string> = {};
    for (const [index, child] of [...healthy, ...bad].entries()) {
      const { port } = await child.receive<{ port: number }>();
      destinations[[...HEALTHY, ...BAD][index] as string] = `http://127.0.0.1:${port}`;
    }
    const relay = await RelayProcess.start({ directory, destinations });
    let firstId = 1;
    const send = async (
      order: Omit<LoadOrder, "port" | "connections" | "firstId">,
    ): Promise<{ report: LoadReport; arrived: readonly Arrived[] }> => {
      const count = order.requests * order.events;
      const report = await loader.ask<LoadReport>({ ...order, port: relay.port, connections: CONNECTIONS, firstId });
      const eventsPerMs =
        order.requestsPerSecond === undefined ? 0 : (order.requestsPerSecond * order.events) / SECOND_MS;
      const wanted = { count, firstId, startedAtMs: report.startedAtMs, eventsPerMs };
      firstId += count;
      return { report, arrived: await Promise.all(healthy.map((child) => child.ask<Arrived>({ arrivals: wanted }))) };
    };
    await send({ events: BURST_EVENTS, requests: WARM_UP_REQUESTS });
    const burst = await send({ events: BURST_EVENTS, requests: options.requests });
    const paced = await send({
      events: PACED_EVENTS,
      requests: options.pacedRequests,
      requestsPerSecond: PACED_PER_SECOND,
    });
    const { lanes } = await relay.accounts();
    const total = firstId - 1;
    const lost = lanes
      .filter(({ destination }) => HEALTHY.some((name) => name === destination))
      .reduce((missing, { account }) => missing + Math.max(0, total - account.delivered - account.pending), 0);
    await relay.stop("SIGKILL");
    const lastAtMs = Math.max(...burst.arrived.map((one) => one.lastAtMs));
    return {
      eventsPerSecond: (options.requests * BURST_EVENTS * SECOND_MS) / (lastAtMs - burst.report.startedAtMs),
      p99Ms: Math.max(...paced.arrived.map((one) => one.p99Ms)),
      lost: lost + (paced.report.failed + burst.report.failed > 0 ? 1 : 0),
    };
  } finally {
    await Promise.all([...healthy, ...bad, loader].map((child) => child.stop()));
    rmSync(directory, { recursive: true, force: true });
  }
}
