/**
 * Intake: requests durably accepted while the destination is paused, beside two floors on bare
 * `node:http` in the same run. End to end: a fixed number of events, from the first request to the
 * moment the last one has reached a fast destination. Load comes from another process over 32
 * connections. Rounds alternate between the servers.
 *
 * On one core: the relay has a core to itself, everything else the others. `withoutDelivery` its
 * destination is paused, `withDelivery` it takes everything at once, and the CPU counts until the
 * last event is delivered. `ratio`: the rate with delivery through that without. `ofSegment`: what
 * Segment's bodies with ids cost without delivery, in CPU an event, through what these cost.
 */
import type { LoadOrder, LoadReport } from "../children/load.ts";
import { type BenchBodies, type BenchProtocol, protocolOf } from "../lib/bodies.ts";
import { Child } from "../lib/child.ts";
import { inDirectory } from "../lib/in-directory.ts";
import { cpuSecondsOf, separate } from "../lib/one-core.ts";
import { RelayProcess } from "../lib/relay-process.ts";
import { publish, say } from "../lib/result.ts";
import { round, summarise } from "../lib/statistics.ts";

const CONNECTIONS = 32;
const DRAIN_MS = 60_000;
const MICROS_PER_SECOND = 1_000_000;
const BODIES = ["segment", "segment-without-ids", "launchdarkly", "launchdarkly-with-payload-id"] as const;

export interface RelayBenchOptions {
  readonly rounds: number;
  /** Requests of a measurement, by events per request. */
  readonly requests: Readonly<Record<1 | 100, number>>;
  /** Whether the relay is measured on one core too. */
  readonly oneCore: boolean;
  readonly publish: boolean;
}

export const FULL: RelayBenchOptions = {
  rounds: 5,
  requests: { 1: 60_000, 100: 15_000 },
  oneCore: true,
  publish: true,
};
/** One short round: shows that the scenario works, not how fast. */
export const QUICK: RelayBenchOptions = {
  rounds: 1,
  requests: { 1: 3_000, 100: 600 },
  oneCore: true,
  publish: false,
};

/** What the relay does on one core. */
interface OneCore {
  readonly requestsPerSecond: number;
  readonly cpuMicrosPerEvent: number;
}

interface OneCoreResult {
  readonly withoutDelivery: OneCore;
  readonly withDelivery: OneCore;
  readonly ratio: number;
}

interface CaseResult extends Partial<OneCoreResult> {
  readonly case: BenchBodies;
  /** Whose clients send, and whose API the destination speaks. */
  readonly protocol: BenchProtocol;
  readonly eventsPerRequest: number;
  readonly requestsPerSecond: number;
  readonly discardFloorRequestsPerSecond: number;
  readonly durableFloorRequestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly endToEndEventsPerSecond: number;
  readonly ofDurableFloor: number;
  readonly endToEndOfDurableFloor: number;
  readonly spread: Readonly<Record<string, number>>;
  readonly ofSegment?: number;
}

export async function run(
  options: RelayBenchOptions,
): Promise<{ readonly cases: readonly CaseResult[]; readonly lost: number }> {
  const cases: CaseResult[] = [];
  let lost = 0;
  for (const bodies of BODIES)
    for (const events of [1, 100] as const) {
      const measured = await measureCase(bodies, events, options);
      const oneCore = options.oneCore ? await measureOneCore(bodies, events, options) : undefined;
      cases.push(besideSegment({ ...measured.result, ...oneCore?.result }, cases));
      lost += measured.lost + (oneCore?.lost ?? 0);
    }
  const result = { scenario: "relay", cases, lost };
  publish("relay", result, options.publish);
  return result;
}

export function failed({ lost }: { readonly lost: number }): boolean {
  return lost > 0;
}

/** Segment's own cases come first. */
function besideSegment(result: CaseResult, before: readonly CaseResult[]): CaseResult {
  const { withoutDelivery, eventsPerRequest } = result;
  if (withoutDelivery === undefined) return result;
  const ordinary = [...before, result].find((one) => one.eventsPerRequest === eventsPerRequest) ?? result;
  const { cpuMicrosPerEvent } = ordinary.withoutDelivery ?? withoutDelivery;
  return { ...result, ofSegment: round(cpuMicrosPerEvent / withoutDelivery.cpuMicrosPerEvent) };
}

async function measureOneCore(
  bodies: BenchBodies,
  events: 1 | 100,
  { rounds, requests }: RelayBenchOptions,
): Promise<{ readonly result: OneCoreResult; readonly lost: number }> {
  const measured = { without: [] as OneCore[], with: [] as OneCore[] };
  let lost = 0;
  for (let number = 0; number < rounds; number++)
    for (const delivery of ["without", "with"] as const) {
      const one = await inDirectory((directory) =>
        measureHeld(directory, { bodies, events, requests: requests[events] }, delivery === "with"),
      );
      measured[delivery].push(one);
      lost += one.lost;
      say(
        `${bodies}, ${events} events a request, on one core ${delivery} delivery, round ${number + 1}: ` +
          `${Math.round(one.requestsPerSecond)} req/s, ${one.cpuMicrosPerEvent.toFixed(2)} µs of CPU an event`,
      );
    }
  const medianOf = (list: readonly OneCore[]): OneCore => ({
    requestsPerSecond: round(summarise(list.map((one) => one.requestsPerSecond)).median),
    cpuMicrosPerEvent: round(summarise(list.map((one) => one.cpuMicrosPerEvent)).median),
  });
  // Neighbours in time share what else the machine did.
  const ratios = measured.with.map((one, at) => one.requestsPerSecond / (measured.without[at]?.requestsPerSecond ?? 1));
  const result = {
    withoutDelivery: medianOf(measured.without),
    withDelivery: medianOf(measured.with),
    ratio: round(summarise(ratios).median),
  };
  return { result, lost };
}

async function measureCase(
  bodies: BenchBodies,
  events: 1 | 100,
  options: RelayBenchOptions,
): Promise<{ readonly result: CaseResult; readonly lost: number }> {
  const requests = options.requests[events];
  const rates: Record<"discard" | "durable" | "relay" | "endToEnd", number[]> = {
    discard: [],
    durable: [],
    relay: [],
    endToEnd: [],
  };
  const p50: number[] = [];
  const p99: number[] = [];
  let lost = 0;
  for (let number = 0; number < options.rounds; number++) {
    rates.discard.push(await measureFloor(["discard"], { bodies, events, requests }));
    rates.durable.push(
      await inDirectory((directory) => measureFloor(["durable", `${directory}/floor`], { bodies, events, requests })),
    );
    const intake = await inDirectory((directory) => measureIntake(directory, { bodies, events, requests }));
    rates.relay.push(intake.rate);
    p50.push(intake.p50Ms);
    p99.push(intake.p99Ms);
    const endToEnd = await inDirectory((directory) => measureEndToEnd(directory, { bodies, events, requests }));
    rates.endToEnd.push(endToEnd.rate);
    lost += intake.lost + endToEnd.lost;
    say(
      `${bodies}, ${events} events a request, round ${number + 1}: discard ${Math.round(rates.discard.at(-1) as number)}, durable ${Math.round(rates.durable.at(-1) as number)}, ` +
        `relay ${Math.round(intake.rate)} req/s (p99 ${intake.p99Ms.toFixed(2)} ms), end to end ${Math.round(endToEnd.rate)} ev/s`,
    );
  }
  const relay = summarise(rates.relay);
  const durable = summarise(rates.durable);
  const discard = summarise(rates.discard);
  const endToEnd = summarise(rates.endToEnd);
  return {
    lost,
    result: {
      case: bodies,
      protocol: protocolOf(bodies),
      eventsPerRequest: events,
      requestsPerSecond: round(relay.median),
      discardFloorRequestsPerSecond: round(discard.median),
      durableFloorRequestsPerSecond: round(durable.median),
      p50Ms: round(summarise(p50).median),
      p99Ms: round(summarise(p99).median),
      endToEndEventsPerSecond: round(endToEnd.median),
      ofDurableFloor: round(relay.median / durable.median),
      endToEndOfDurableFloor: round(endToEnd.median / (durable.median * events)),
      spread: {
        relay: round(relay.spread),
        durable: round(durable.spread),
        discard: round(discard.spread),
        endToEnd: round(endToEnd.spread),
      },
    },
  };
}

interface Case {
  readonly bodies: BenchBodies;
  readonly events: number;
  readonly requests: number;
}

async function measureFloor(args: readonly string[], given: Case): Promise<number> {
  const server = new Child("server", args);
  const { port } = await server.receive<{ port: number }>();
  const report = await load({ port, ...given, firstId: 0 });
  await server.stop();
  return report.answered / report.seconds;
}

async function measureIntake(
  directory: string,
  { bodies, events, requests }: Case,
): Promise<{ readonly rate: number; readonly p50Ms: number; readonly p99Ms: number; readonly lost: number }> {
  const vendor = protocolOf(bodies);
  const relay = await RelayProcess.start({ directory, vendor, destinations: { fast: "http://127.0.0.1:9" } });
  await relay.steer("fast", "pause");
  const report = await load({ port: relay.port, bodies, events, requests, firstId: 1 });
  const { lanes } = await relay.accounts();
  const warmUp = warmUpRequests(requests);
  const lost = (report.answered - report.failed + warmUp) * events - (lanes[0]?.account.accepted ?? 0);
  await relay.stop();
  return { rate: (report.answered - report.failed) / report.seconds, p50Ms: report.p50Ms, p99Ms: report.p99Ms, lost };
}

async function measureEndToEnd(
  directory: string,
  { bodies, events, requests }: Case,
): Promise<{ readonly rate: number; readonly lost: number }> {
  const destination = new Child("server", ["destination"]);
  const { port } = await destination.receive<{ port: number }>();
  const relay = await RelayProcess.start({
    directory,
    vendor: protocolOf(bodies),
    destinations: { fast: `http://127.0.0.1:${port}` },
  });
  const total = requests * events;
  let report: LoadReport | undefined;
  const warmUp = warmUpRequests(requests) * events;
  const loader = new Child("load");
  await loader.ask<LoadReport>(order({ port: relay.port, bodies, events, requests: warmUp / events, firstId: 1 }));
  await destination.ask({ expect: warmUp });
  await destination.ask({ reset: true });
  const arrived = destination.ask<{ events: number; atMs: number }>({ expect: total });
  report = await loader.ask<LoadReport>(order({ port: relay.port, bodies, events, requests, firstId: 1 + warmUp }));
  const { events: counted, atMs } = await arrived;
  await relay.drained(10_000);
  const { lanes } = await relay.accounts();
  await loader.stop();
  await relay.stop();
  await destination.stop();
  const lost = total + warmUp - (lanes[0]?.account.delivered ?? 0) + Math.max(0, total - counted);
  return { rate: total / ((atMs - report.startedAtMs) / 1_000), lost };
}

/** The relay on a core of its own. */
async function measureHeld(
  directory: string,
  { bodies, events, requests }: Case,
  delivers: boolean,
): Promise<OneCore & { readonly lost: number }> {
  const destination = new Child("server", ["destination"]);
  const { port } = await destination.receive<{ port: number }>();
  const loader = new Child("load");
  const relay = await RelayProcess.start({
    directory,
    vendor: protocolOf(bodies),
    destinations: { fast: `http://127.0.0.1:${port}` },
  });
  const { pid } = relay.process;
  if (!separate(pid, [loader.process.pid, destination.process.pid])) say("the relay shares its cores");
  if (!delivers) await relay.steer("fast", "pause");
  const warmUp = warmUpRequests(requests);
  await loader.ask<LoadReport>(order({ port: relay.port, bodies, events, requests: warmUp, firstId: 1 }));
  if (delivers) await relay.drained(DRAIN_MS);
  const before = cpuSecondsOf(pid);
  const report = await loader.ask<LoadReport>(
    order({ port: relay.port, bodies, events, requests, firstId: 1 + warmUp * events }),
  );
  if (delivers) await relay.drained(DRAIN_MS);
  const cpuSeconds = cpuSecondsOf(pid) - before;
  const { lanes } = await relay.accounts();
  await Promise.all([loader.stop(), relay.stop()]);
  await destination.stop();
  const { accepted = 0, delivered = 0 } = lanes[0]?.account ?? {};
  const answered = report.answered - report.failed;
  return {
    requestsPerSecond: answered / report.seconds,
    cpuMicrosPerEvent: (cpuSeconds * MICROS_PER_SECOND) / (requests * events),
    lost: Math.max(0, (answered + warmUp) * events - (delivers ? delivered : accepted)),
  };
}

function warmUpRequests(requests: number): number {
  return Math.ceil(requests / 6);
}

async function load(
  given: Pick<LoadOrder, "port" | "bodies" | "events" | "requests" | "firstId">,
): Promise<LoadReport> {
  const loader = new Child("load");
  const warmUp = warmUpRequests(given.requests);
  await loader.ask<LoadReport>(order({ ...given, requests: warmUp }));
  const report = await loader.ask<LoadReport>(order({ ...given, firstId: given.firstId + warmUp * given.events }));
  await loader.stop();
  return report;
}

function order(given: Pick<LoadOrder, "port" | "bodies" | "events" | "requests" | "firstId">): LoadOrder {
  return { ...given, connections: CONNECTIONS };
}
