/**
 * Relays over a real Kafka, beside the client library's own producer with the same records.
 *
 * `requestsPerSecond`: requests that one or two relays answer with 200, which is after `acks=all`,
 * while the destination does not answer; the relays read and count what they wrote meanwhile.
 * `producerFloorPerSecond`: one bare producer in a process of its own sends the records that a
 * relay wrote for such requests, `acks=all`, to a topic with the same settings, with as many
 * requests under way; the best of a few ways of batching. The floor has neither HTTP nor anybody
 * who reads, and no process that makes load. `httpFloorPerSecond`: the same producer in a bare
 * `node:http` server of one process, under the relays' load: it reads the body and does not look
 * at it, sends the records of such a request, and answers 200 after `acks=all`.
 * `endToEndEventsPerSecond`: with a destination that answers at once, from the first request to
 * the last event there. `lost`: acknowledged events that never came there, of all measurements.
 * One relay runs alone, and two after it; floors and relays are measured in turn, and each figure
 * is a median.
 */
import { cpus } from "node:os";
import type { FloorWay } from "../children/kafka-floor.ts";
import { inDirectory } from "../lib/in-directory.ts";
import { type Cluster, startCluster, whyNoKafka } from "../lib/kafka/cluster.ts";
import { publish, say } from "../lib/result.ts";
import { round, summarise } from "../lib/statistics.ts";
import { type BacklogResult, measureBacklog } from "./kafka/backlog.ts";
import { Floor, type FloorRate } from "./kafka/floor.ts";
import { RelayGroup } from "./kafka/relay-group.ts";

export interface KafkaBenchOptions {
  readonly rounds: number;
  readonly brokers: 1 | 3;
  readonly partitions: number;
  /** Under way at once, in the relays and in the floor. */
  readonly concurrency: number;
  /** Requests of a measurement, by events per request. */
  readonly requests: Readonly<Record<1 | 100, number>>;
  readonly publish: boolean;
  /** Instead of all else: a relay starts with so many events waiting. */
  readonly backlog?: number;
}

export const FULL: KafkaBenchOptions = {
  rounds: 3,
  brokers: 3,
  partitions: 12,
  concurrency: 256,
  requests: { 1: 40_000, 100: 6_000 },
  publish: true,
};
/** One short round before one broker: shows that the scenario works, not how fast. */
export const QUICK: KafkaBenchOptions = {
  rounds: 1,
  brokers: 1,
  partitions: 4,
  concurrency: 32,
  requests: { 1: 600, 100: 64 },
  publish: false,
};

export const FLAGS = {
  brokers: { type: "string" },
  partitions: { type: "string" },
  backlog: { type: "string" },
} as const;
export const USAGE = "[--brokers 1|3] [--partitions N] [--backlog EVENTS]";

export function withFlags(
  size: KafkaBenchOptions,
  values: Readonly<Record<string, string | boolean | undefined>>,
): KafkaBenchOptions | undefined {
  const brokers = Number(values["brokers"] ?? size.brokers);
  const partitions = Number(values["partitions"] ?? size.partitions);
  if ((brokers !== 1 && brokers !== 3) || !Number.isInteger(partitions) || partitions < 1) return undefined;
  const backlog = values["backlog"] === undefined ? undefined : Number(values["backlog"]);
  if (backlog !== undefined && (!Number.isInteger(backlog) || backlog < 1)) return undefined;
  // Only what was measured as usual is kept.
  const isUsual = brokers === size.brokers && partitions === size.partitions && backlog === undefined;
  return {
    ...size,
    brokers,
    partitions,
    publish: size.publish && isUsual,
    ...(backlog === undefined ? {} : { backlog }),
  };
}

export interface KafkaRow {
  readonly relays: 1 | 2;
  readonly eventsPerRequest: 1 | 100;
  readonly requestsPerSecond: number;
  readonly producerFloorPerSecond: number;
  readonly endToEndEventsPerSecond: number;
  readonly lost: number;
  readonly httpFloorPerSecond: number;
  readonly ofFloor: number;
  readonly ofHttpFloor: number;
  /** Events that the destination got more than once. */
  readonly duplicates: number;
  readonly refused: number;
  /** Of the relays for a request that is accepted, and of the processes of the floors. */
  readonly cpuMicrosPerRequest: number;
  readonly floorCpuMicrosPerRequest: number;
  readonly httpFloorCpuMicrosPerRequest: number;
  /** Memory of the largest relay when all was delivered. */
  readonly rssMb: number;
  readonly floor: FloorWay;
  readonly httpFloor: FloorWay;
}

export interface KafkaResult {
  readonly scenario: "kafka";
  readonly rows: readonly KafkaRow[];
  /** Requests a second of two relays through those of one, at 100 events a request. */
  readonly scaling: number;
  readonly cores: number;
  readonly brokers: number;
  readonly partitions: number;
}

interface Skipped {
  readonly scenario: "kafka";
  readonly skipped: string;
}

const SESSION_MS = 20_000;
const DELIVERED_MAX_MS = 90_000;
const MS_PER_SECOND = 1_000;
/** Of a measurement: sent before it, to warm up. */
const WARM_UP_SHARE = 1 / 4;

interface Backlog extends BacklogResult {
  readonly scenario: "kafka";
}

export async function run(options: KafkaBenchOptions): Promise<KafkaResult | Backlog | Skipped> {
  const missing = await whyNoKafka({ tell: say });
  if (missing !== undefined) {
    const skipped: Skipped = { scenario: "kafka", skipped: missing };
    publish("kafka", skipped, false);
    return skipped;
  }
  const cluster = await startCluster({ brokers: options.brokers, groupSessionMs: SESSION_MS, tell: say });
  try {
    if (options.backlog !== undefined) return await runBacklog(cluster, options, options.backlog);
    const rows = await inDirectory((directory) => measureAll(directory, cluster, options));
    const rateOf = (relays: number): number =>
      rows.find((row) => row.relays === relays && row.eventsPerRequest === 100)?.requestsPerSecond ?? Number.NaN;
    const { brokers, partitions } = options;
    const scaling = round(rateOf(2) / rateOf(1));
    const result: KafkaResult = { scenario: "kafka", rows, scaling, cores: cpus().length, brokers, partitions };
    publish("kafka", result, options.publish);
    return result;
  } finally {
    await cluster.close();
  }
}

async function runBacklog(
  { addresses: brokers }: Cluster,
  { partitions, concurrency }: KafkaBenchOptions,
  events: number,
): Promise<Backlog> {
  const measured = await inDirectory((directory) =>
    measureBacklog({ directory, brokers, partitions, concurrency }, events),
  );
  const result: Backlog = { scenario: "kafka", ...measured };
  publish("kafka", result, false);
  return result;
}

export function failed(result: KafkaResult | Backlog | Skipped): boolean {
  if ("lost" in result) return result.lost > 0;
  return "rows" in result && result.rows.some(({ lost, refused }) => lost > 0 || refused > 0);
}

async function measureAll(
  directory: string,
  { addresses: brokers }: Cluster,
  options: KafkaBenchOptions,
): Promise<readonly KafkaRow[]> {
  const { partitions, concurrency } = options;
  const given = { brokers, partitions, concurrency };
  const floor = await Floor.start(given);
  const rows: KafkaRow[] = [];
  // Of two relays before one partition one has nothing.
  for (const relays of partitions === 1 ? ([1] as const) : ([1, 2] as const)) {
    // One after another: relays without work take a share of the machine as well.
    const group = await RelayGroup.start({ ...given, directory, relays });
    for (const events of [1, 100] as const) rows.push(await measureShape({ floor, group, events }, options));
    await group.stop();
  }
  await floor.stop();
  return rows;
}

interface Shape {
  readonly floor: Floor;
  readonly group: RelayGroup;
  readonly events: 1 | 100;
}

async function measureShape({ floor, group, events }: Shape, options: KafkaBenchOptions): Promise<KafkaRow> {
  const { relays } = group;
  const requests = options.requests[events];
  const warmUp = Math.ceil(requests * WARM_UP_SHARE);
  const loaded = await group.load(events, warmUp);
  await group.delivered(loaded, DELIVERED_MAX_MS);
  await floor.read(group.topic, events, loaded.acknowledged[0] ?? [0, 0]);
  const way = await floor.bestWay("floor", events, (one) => floor.run(one, warmUp));
  const httpWay = await floor.bestWay("floor with HTTP", events, (one) => floor.serve(one, events, warmUp));
  // So many requests each floor has had by now.
  await group.delivered(await group.load(events, requests), DELIVERED_MAX_MS);
  const floors: FloorRate[] = [];
  const httpFloors: FloorRate[] = [];
  const measured: Measured[] = [];
  for (let number = 0; number < options.rounds; number++) {
    floors.push(await floor.run(way, requests));
    httpFloors.push(await floor.serve(httpWay, events, requests));
    measured.push(await measureGroup(group, events, requests));
    const rate = Math.round(measured.at(-1)?.requestsPerSecond ?? 0);
    say(
      `${events} events a request, ${relays} relays, round ${number + 1}: floor ${lastOf(floors)}, ` +
        `with HTTP ${lastOf(httpFloors)}, relays ${rate} requests/s`,
    );
  }
  const bounds = { bare: { way, rates: floors }, http: { way: httpWay, rates: httpFloors } };
  return rowOf(measured, bounds, { relays, events });
}

function lastOf(rates: readonly FloorRate[]): number {
  return Math.round(rates.at(-1)?.requestsPerSecond ?? 0);
}

interface FloorRates {
  readonly way: FloorWay;
  readonly rates: readonly FloorRate[];
}

interface Measured {
  readonly requestsPerSecond: number;
  readonly cpuMicros: number;
  readonly endToEndEventsPerSecond: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly rssMb: number;
}

async function measureGroup(group: RelayGroup, events: number, requests: number): Promise<Measured> {
  await group.hold(true);
  const taken = await group.load(events, requests);
  await group.hold(false);
  const drained = await group.delivered(taken, DELIVERED_MAX_MS);
  const through = await group.load(events, requests);
  const arrived = await group.delivered(through, DELIVERED_MAX_MS);
  const count = through.acknowledged.reduce((sum, [from, to]) => sum + to - from, 0);
  return {
    requestsPerSecond: taken.requestsPerSecond,
    cpuMicros: taken.cpuMicros,
    endToEndEventsPerSecond: (count * MS_PER_SECOND) / (arrived.lastAtMs - through.startedAtMs),
    // What was missing the first time is among those that are the second.
    lost: Math.max(drained.missing, arrived.missing),
    duplicates: arrived.duplicates,
    refused: taken.refused + through.refused,
    rssMb: group.rssMb,
  };
}

function rowOf(
  measured: readonly Measured[],
  { bare, http }: { readonly bare: FloorRates; readonly http: FloorRates },
  { relays, events }: { readonly relays: 1 | 2; readonly events: 1 | 100 },
): KafkaRow {
  const median = (pick: (one: Measured) => number): number => medianOf(measured, pick);
  const sum = (pick: (one: Measured) => number): number => measured.reduce((total, one) => total + pick(one), 0);
  const producerFloorPerSecond = medianOf(bare.rates, (one) => one.requestsPerSecond);
  const httpFloorPerSecond = medianOf(http.rates, (one) => one.requestsPerSecond);
  const requestsPerSecond = median((one) => one.requestsPerSecond);
  return {
    relays,
    eventsPerRequest: events,
    requestsPerSecond,
    producerFloorPerSecond,
    httpFloorPerSecond,
    endToEndEventsPerSecond: median((one) => one.endToEndEventsPerSecond),
    lost: measured.at(-1)?.lost ?? Number.NaN,
    ofFloor: round(requestsPerSecond / producerFloorPerSecond),
    ofHttpFloor: round(requestsPerSecond / httpFloorPerSecond),
    duplicates: measured.at(-1)?.duplicates ?? Number.NaN,
    refused: sum((one) => one.refused),
    cpuMicrosPerRequest: median((one) => one.cpuMicros),
    floorCpuMicrosPerRequest: medianOf(bare.rates, (one) => one.cpuMicros),
    httpFloorCpuMicrosPerRequest: medianOf(http.rates, (one) => one.cpuMicros),
    rssMb: Math.max(...measured.map((one) => one.rssMb)),
    floor: bare.way,
    httpFloor: http.way,
  };
}

function medianOf<T>(measured: readonly T[], pick: (one: T) => number): number {
  return round(summarise(measured.map(pick)).median);
}
