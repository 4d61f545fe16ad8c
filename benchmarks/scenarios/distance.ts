/**
 * How fast a backlog reaches a vendor whose answers take 100 ms, and what the same costs at 0 ms.
 * For each vendor: a log as its clients leave it, written before the relay starts; then a real
 * relay with one destination, and a stand-in of the vendor in a process of its own (see
 * `children/distant-vendor.ts`) that looks for losses, duplicates and events out of order.
 *
 * The rate counts from the first request to the last answer; the relay's start is not part of it,
 * its learning how many requests it may have in flight is.
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { ArrivalsReport } from "../lib/arrivals.ts";
import { Child } from "../lib/child.ts";
import { CpuClock } from "../lib/cpu-clock.ts";
import { type Mark, mixed } from "../lib/marks.ts";
import { prepareBacklog } from "../lib/prepared-log.ts";
import { RelayProcess } from "../lib/relay-process.ts";
import { publish, say } from "../lib/result.ts";
import { round } from "../lib/statistics.ts";
import { BENCH_VENDORS, type BenchVendor, VENDOR_EVENTS } from "../lib/vendor-events.ts";

const HOT_USER = "segment-hot-user";
const IDENTIFIES = "segment-identifies";
type Row = BenchVendor | typeof HOT_USER | typeof IDENTIFIES;
const ROWS: readonly Row[] = ["segment", HOT_USER, IDENTIFIES, ...BENCH_VENDORS.slice(1)];

export interface DistanceOptions {
  /** Which rows there are. */
  readonly rows: readonly string[];
  /** Events of each row's backlog. */
  readonly events: (row: string) => number;
  /** The checkout whose relay is measured. Default: this one. */
  readonly checkout?: string | undefined;
  readonly publish: boolean;
}

/** More than five seconds' work for each vendor at the rate that is wanted of it. */
const EVENTS: Readonly<Record<Row, number>> = {
  segment: 1_000_000,
  "segment-hot-user": 1_000_000,
  "segment-identifies": 1_000_000,
  posthog: 600_000,
  launchdarkly: 600_000,
  getfluxly: 150_000,
  letter: 100_000,
  trophy: 8_000,
  valued: 8_000,
  amplitude: 400_000,
  mixpanel: 400_000,
  http: 400_000,
};
const QUICK_EVENTS = 200;
export const FULL: DistanceOptions = { rows: ROWS, events: (row) => EVENTS[row as Row], publish: true };
export const QUICK: DistanceOptions = { rows: ROWS, events: () => QUICK_EVENTS, publish: false };

export const USAGE: string = `[--only ${ROWS.join("|")}] [--events N] [--checkout DIRECTORY]`;
export const FLAGS: Readonly<Record<"only" | "events" | "checkout", { readonly type: "string" }>> = {
  only: { type: "string" },
  events: { type: "string" },
  checkout: { type: "string" },
};

/**
 * `only`: these rows alone, separated by commas; `events`: the backlog of each row, in the place of
 * its own; `checkout`: measures the relay of another checkout, which must be built. None of these
 * is published.
 */
export function withFlags(
  options: DistanceOptions,
  { only, events, checkout }: { readonly only?: string; readonly events?: string; readonly checkout?: string },
): DistanceOptions | undefined {
  const rows = only?.split(",") ?? options.rows;
  if (!rows.every((name) => ROWS.some((row) => row === name))) return undefined;
  const count = events === undefined ? undefined : Number(events);
  if (count !== undefined && !(Number.isSafeInteger(count) && count > 0)) return undefined;
  return {
    rows,
    events: count === undefined ? options.events : () => count,
    checkout: checkout === undefined ? undefined : resolve(checkout),
    publish: options.publish && only === undefined && count === undefined && checkout === undefined,
  };
}

const ROUND_TRIP_MS = 100;
const USERS = 10_000;
/** Small backlogs are of fewer users, so that there is an order to be kept. */
const EVENTS_PER_USER = 2;
/** Of the hot user, every so many-th event. */
const HOT_EVERY = 10;
/** Ties an anonymous id to its user, every so many-th event. */
const IDENTIFY_EVERY = 10;
const POLL_MS = 100;
/** Without a new event for so long, the rest will not come. */
const STUCK_MS = 30_000;
const SECOND_MS = 1_000;
const HUNDRED_THOUSAND = 100_000;
/** Its events are sent in any order: `order: none` is its default. */
const UNORDERED: readonly string[] = ["launchdarkly"];
const RETENTION = { maxBytes: "100GiB", hardMaxBytes: "200GiB" };

interface DistanceRow {
  readonly vendor: string;
  readonly events: number;
  readonly eventsPerSecond: number;
  readonly eventsPerSecondAt0Ms: number;
  readonly inFlight: number;
  readonly duplicates: number;
  readonly cpuSecondsPer100k: number;
}

interface DistanceResult {
  readonly scenario: "distance";
  readonly roundTripMs: number;
  readonly lost: number;
  readonly orderViolations: number;
  readonly rows: readonly DistanceRow[];
}

export async function run(options: DistanceOptions): Promise<DistanceResult> {
  const rows: DistanceRow[] = [];
  let lost = 0;
  let orderViolations = 0;
  const empty = mkdtempSync(join(tmpdir(), "waybill-distance-"));
  await prepareLane(empty, options.checkout);
  for (const name of options.rows) {
    const events = options.events(name);
    const { far, near } = await measureBoth(name as Row, { events, empty, checkout: options.checkout });
    const duplicates = far.duplicates + near.duplicates;
    rows.push({
      vendor: name,
      events,
      eventsPerSecond: round(far.eventsPerSecond),
      eventsPerSecondAt0Ms: round(near.eventsPerSecond),
      inFlight: far.inFlight,
      duplicates,
      cpuSecondsPer100k: round(far.cpuSecondsPer100k),
    });
    const violations = far.orderViolations + near.orderViolations;
    const missing = far.lost + near.lost;
    lost += missing;
    if (!UNORDERED.includes(name)) orderViolations += violations;
    say(
      `${name}: ${Math.round(far.eventsPerSecond)} ev/s at ${ROUND_TRIP_MS} ms with ${far.inFlight} in flight, ` +
        `${Math.round(near.eventsPerSecond)} ev/s at 0 ms; ${far.cpuSecondsPer100k.toFixed(2)} CPU s per 100,000; ` +
        `lost ${missing}, duplicates ${duplicates}, out of order ${violations}`,
    );
  }
  rmSync(empty, { recursive: true, force: true });
  const result = { scenario: "distance", roundTripMs: ROUND_TRIP_MS, lost, orderViolations, rows } as const;
  publish("distance", result, options.publish);
  return result;
}

export function failed({ lost, orderViolations }: DistanceResult): boolean {
  return lost > 0 || orderViolations > 0;
}

interface Measured {
  readonly eventsPerSecond: number;
  readonly cpuSecondsPer100k: number;
  readonly inFlight: number;
  readonly duplicates: number;
  readonly lost: number;
  readonly orderViolations: number;
}

interface Backlog {
  readonly events: number;
  /** The data of a relay that has had no event. */
  readonly empty: string;
  readonly checkout: string | undefined;
}

async function measureBoth(
  row: Row,
  { events, empty, checkout }: Backlog,
): Promise<{ readonly far: Measured; readonly near: Measured }> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-distance-"));
  try {
    const prepared = join(directory, "prepared");
    cpSync(empty, prepared, { recursive: true });
    await prepareLog(row, events, prepared);
    const copy = join(directory, "copy");
    cpSync(prepared, copy, { recursive: true });
    const far = await measure(row, { events, checkout, delayMs: ROUND_TRIP_MS, directory: copy });
    const near = await measure(row, { events, checkout, delayMs: 0, directory: prepared });
    return { far, near };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function vendorOf(row: Row): BenchVendor {
  return row === HOT_USER || row === IDENTIFIES ? "segment" : row;
}

/** Where nothing listens. */
const NOWHERE = "http://127.0.0.1:9";

/** A lane that is new begins where the log ends, so there has to be one before the backlog. */
async function prepareLane(directory: string, checkout: string | undefined): Promise<void> {
  const relay = await startRelay("segment", { directory, url: NOWHERE, checkout });
  await relay.stop();
}

async function prepareLog(row: Row, events: number, directory: string): Promise<void> {
  const { event, metadata, perRequest } = VENDOR_EVENTS[vendorOf(row)];
  const users = Math.min(USERS, Math.ceil(events / EVENTS_PER_USER));
  const mark = (ordinal: number): Mark => ({
    ordinal,
    user: row === HOT_USER && ordinal % HOT_EVERY === 0 ? 0 : mixed(ordinal) % users,
  });
  await prepareBacklog(join(directory, "data/bench/log"), {
    events,
    event: (position) => (row === IDENTIFIES ? signingUp(position, mark) : event(mark(position))),
    metadata,
    perRequest,
  });
}

/**
 * Of ten events in a row the last two are of somebody new: one without a user, and the one that
 * says whose it was, which must not arrive before it.
 */
function signingUp(position: number, mark: (ordinal: number) => Mark): string {
  const place = position % IDENTIFY_EVERY;
  const number = Math.floor(position / IDENTIFY_EVERY);
  const id = `"anonymousId":"anonymous-${number}"`;
  const known = mark(position);
  const { event } = VENDOR_EVENTS.segment;
  if (place === IDENTIFY_EVERY - 2)
    return event({ ...known, user: USERS + (number % USERS) }).replace(/"userId":"[^"]*"/, id);
  const text = event(known);
  return place === IDENTIFY_EVERY - 1 ? text.replace('"type":"track"', `"type":"identify",${id}`) : text;
}

interface Measurement {
  readonly events: number;
  readonly delayMs: number;
  /** With a backlog. It is used up. */
  readonly directory: string;
  readonly checkout: string | undefined;
}

async function measure(row: Row, measurement: Measurement): Promise<Measured> {
  const { events, delayMs, directory, checkout } = measurement;
  const vendor = new Child("distant-vendor", [vendorOf(row), String(delayMs)]);
  const { port } = await vendor.receive<{ port: number }>();
  let cpu: CpuClock | undefined;
  const relay = await startRelay(row, {
    directory,
    url: `http://127.0.0.1:${port}`,
    checkout,
    spawned: (pid) => {
      cpu = new CpuClock(pid);
    },
  });
  const report = await arrivedAll(vendor, events);
  const { firstAtMs, lastAtMs, inFlight, duplicates, orderViolations } = report;
  const cpuSeconds = cpu?.secondsBetween(firstAtMs, lastAtMs) ?? 0;
  cpu?.stop();
  await relay.stop("SIGKILL");
  await vendor.stop();
  rmSync(directory, { recursive: true, force: true });
  return {
    eventsPerSecond: (report.events * SECOND_MS) / Math.max(1, lastAtMs - firstAtMs),
    cpuSecondsPer100k: (cpuSeconds * HUNDRED_THOUSAND) / Math.max(1, report.events),
    inFlight,
    duplicates,
    lost: events - report.events,
    orderViolations,
  };
}

interface RelayOptions {
  readonly directory: string;
  readonly url: string;
  readonly checkout: string | undefined;
  readonly spawned?: (pid: number) => void;
}

function startRelay(row: Row, { url, ...options }: RelayOptions): Promise<RelayProcess> {
  const vendor = vendorOf(row);
  const { protocol, destination } = VENDOR_EVENTS[vendor];
  return RelayProcess.start({
    ...options,
    destinations: { far: url },
    vendor,
    protocol,
    destination,
    extra: { retention: RETENTION },
  });
}

/** The report once every event is there and answered, or nothing has come for long. */
async function arrivedAll(vendor: Child, events: number): Promise<ArrivalsReport> {
  let before = -1;
  let changedAt = performance.now();
  for (;;) {
    const report = await vendor.ask<ArrivalsReport>({ report: true });
    if (report.events >= events && report.open === 0) return report;
    if (report.events > before) changedAt = performance.now();
    if (performance.now() - changedAt > STUCK_MS) return report;
    before = report.events;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
