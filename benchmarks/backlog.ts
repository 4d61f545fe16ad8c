/**
 * `npm run backlog -- --gigabytes G`: a relay with that much undelivered on disk starts, delivers
 * it to a fast destination and takes new events meanwhile. Measured: the start, the most memory it
 * ever had, the rate of the drain, and the p99 of ingest requests during the drain and on the idle
 * relay.
 *
 * `acceptP99MsNeighbour` tells what the drain costs a relay from what it costs the machine: the p99
 * of a second relay, in a process of its own with nothing to deliver, during the same drain. All of
 * them, the load and the destination share the machine's cores.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { LoadReport } from "./children/load.ts";
import { createTemplate } from "./lib/bodies.ts";
import { Child } from "./lib/child.ts";
import { RelayProcess } from "./lib/relay-process.ts";
import { publish, say } from "./lib/result.ts";
import { percentile, round } from "./lib/statistics.ts";

const EVENTS = 100;
const ACCEPT_RATE = 200;
const ACCEPT_CONNECTIONS = 8;
/** Requests of one slice of the accept load: two seconds. */
const SLICE = 2 * ACCEPT_RATE;
const IDLE_SLICES = 5;
const FIRST_ACCEPT_ID = 2 ** 40;
const RETENTION = { maxBytes: "100GiB", hardMaxBytes: "200GiB" };

const { values } = parseArgs({ options: { gigabytes: { type: "string", default: "2" } } });
const gigabytes = Number(values.gigabytes);
const directory = mkdtempSync(join(tmpdir(), "waybill-backlog-"));

const stored = await fill();
const destination = new Child("server", ["destination"]);
const { port } = await destination.receive<{ port: number }>();
const neighbour = await RelayProcess.start({
  directory: mkdtempSync(join(directory, "neighbour-")),
  destinations: { fast: `http://127.0.0.1:${port}` },
});
const relay = await RelayProcess.start({
  directory,
  destinations: { fast: `http://127.0.0.1:${port}` },
  extra: { retention: RETENTION },
});
const startedAtMs = performance.timeOrigin + performance.now();
say(`started in ${Math.round(relay.startMs)} ms with ${stored} events on disk`);

const accepting = new Child("load");
let nextId = FIRST_ACCEPT_ID;
const during: number[] = [];
const beside: number[] = [];
const drained = destination.ask<{ events: number; atMs: number }>({ expect: stored });
let drainedAtMs: number | undefined;
void drained.then(({ atMs }) => {
  drainedAtMs = atMs;
});
// A slice to warm up, before each of the two measurements: what is compared is the drain, not the
// compiler. A backlog that is gone by then was too small for that, and leaves the warm-up as its
// only measurement.
await acceptSlice(neighbour);
const warmUp = await acceptSlice(relay);
for (let slice = 0; drainedAtMs === undefined; slice++) {
  if (slice % 2 === 0) during.push(...(await acceptSlice(relay)));
  else beside.push(...(await acceptSlice(neighbour)));
  const { lanes } = await relay.accounts();
  say(
    `delivered ${lanes[0]?.account.delivered}, pending ${lanes[0]?.account.pending}, resident ${Math.round(residentMb("VmRSS"))} MB`,
  );
}
if (during.length === 0) during.push(...warmUp);
const peakRssMb = residentMb("VmHWM");
const idle: number[] = [];
await relay.drained(60_000);
await acceptSlice(relay);
for (let slice = 0; slice < IDLE_SLICES; slice++) idle.push(...(await acceptSlice(relay)));
await relay.drained(60_000);
await neighbour.drained(60_000);
const accounts = (await Promise.all([relay.accounts(), neighbour.accounts()])).flatMap(({ lanes }) =>
  lanes.map(({ account }) => account),
);
const sent = stored + nextId - FIRST_ACCEPT_ID;
const delivered = accounts.reduce((total, account) => total + account.delivered, 0);
const result = {
  gigabytes,
  startMs: Math.round(relay.startMs),
  peakRssMb: Math.round(peakRssMb),
  acceptP99Ms: round(p99(during)),
  acceptP99MsIdle: round(p99(idle)),
  acceptP99MsNeighbour: beside.length === 0 ? null : round(p99(beside)),
  drainEventsPerSecond: Math.round(stored / ((drainedAtMs - startedAtMs) / 1_000)),
  delivered,
  lost: sent - delivered,
  booksBalance: accounts.every((account) => account.balanced),
};
await accepting.stop();
await relay.stop();
await neighbour.stop();
await destination.stop();
rmSync(directory, { recursive: true, force: true });
publish("backlog", result, gigabytes >= 1);
if (result.lost !== 0 || !result.booksBalance) process.exitCode = 1;

/**
 * Accepts until the log has the gigabytes while the destination is away, then kills the relay.
 * Returns the events stored.
 */
async function fill(): Promise<number> {
  const away = await RelayProcess.start({
    directory,
    destinations: { fast: "http://127.0.0.1:9" },
    extra: { retention: RETENTION },
  });
  const requests = Math.ceil((gigabytes * 1e9) / createTemplate(EVENTS).bodyBytes);
  const loader = new Child("load");
  const report = await loader.ask<LoadReport>({
    port: away.port,
    connections: 32,
    events: EVENTS,
    requests,
    firstId: 1,
  });
  await loader.stop();
  await away.stop("SIGKILL");
  if (report.failed > 0) throw new Error(`${report.failed} requests were refused while the backlog was made`);
  return report.answered * EVENTS;
}

/** Two seconds of a modest load of single events; their latencies. */
async function acceptSlice({ port }: RelayProcess): Promise<readonly number[]> {
  const report = await accepting.ask<LoadReport>({
    port,
    connections: ACCEPT_CONNECTIONS,
    events: 1,
    requests: SLICE,
    firstId: nextId,
    requestsPerSecond: ACCEPT_RATE,
    samples: true,
  });
  nextId += SLICE;
  return report.latenciesMs ?? [];
}

function p99(latenciesMs: readonly number[]): number {
  return percentile(
    [...latenciesMs].sort((a, b) => a - b),
    99,
  );
}

function residentMb(field: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${relay.process.pid}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1_024;
}
