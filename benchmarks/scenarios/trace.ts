/**
 * How long a running relay takes to tell what became of an event among ten million: of an id that
 * names its time (a UUIDv7), and of one that does not, for which all of the log is searched.
 * Medians of several ids; the log is in the page cache, as it is while it is written.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Trace } from "@waybill/relay";
import { prepareLog } from "../lib/prepared-log.ts";
import { RelayProcess } from "../lib/relay-process.ts";
import { publish, say } from "../lib/result.ts";
import { round, summarise } from "../lib/statistics.ts";

export interface TraceBenchOptions {
  readonly events: number;
  readonly publish: boolean;
}

export const FULL: TraceBenchOptions = { events: 10_000_000, publish: true };
export const QUICK: TraceBenchOptions = { events: 100_000, publish: false };

const FOREIGN_ID = "order-2026-0001";
const IDS = 9;
const FOREIGN_ROUNDS = 3;
const MEGABYTE = 1_000_000;

interface TraceResult {
  readonly scenario: "trace";
  readonly events: number;
  /** For an id that names its time. */
  readonly traceMs: number;
  readonly foreignIdMs: number;
  readonly foreignIdMBPerSecond: number;
  readonly logMegabytes: number;
  readonly startMs: number;
  readonly found: boolean;
}

export async function run(options: TraceBenchOptions): Promise<TraceResult> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-trace-"));
  const foreign = { at: options.events - 1_000, id: FOREIGN_ID };
  const { events, bytes, ids } = await prepareLog(join(directory, "data/bench/log"), options.events, foreign);
  say(`${events} events, ${Math.round(bytes / MEGABYTE)} MB`);
  const relay = await RelayProcess.start({
    directory,
    destinations: { away: "http://127.0.0.1:9" },
    extra: { retention: { maxBytes: "100GiB", hardMaxBytes: "200GiB" } },
  });
  let found = true;
  const trace = async (id: string): Promise<number> => {
    const startedAt = performance.now();
    const response = await fetch(`${relay.adminUrl}/v1/trace/${id}`);
    found &&= response.status === 200 && ((await response.json()) as Trace).events.length === 1;
    return performance.now() - startedAt;
  };
  await trace(ids[0] as string);
  const known: number[] = [];
  for (let index = 1; index <= IDS; index++)
    known.push(await trace(ids[Math.floor((ids.length * index) / (IDS + 1))] as string));
  const unknown: number[] = [];
  for (let index = 0; index < FOREIGN_ROUNDS; index++) unknown.push(await trace(FOREIGN_ID));
  const foreignIdMs = summarise(unknown).median;
  const result: TraceResult = {
    scenario: "trace",
    events,
    traceMs: round(summarise(known).median),
    foreignIdMs: round(foreignIdMs),
    foreignIdMBPerSecond: round(bytes / MEGABYTE / (foreignIdMs / 1_000)),
    logMegabytes: Math.round(bytes / MEGABYTE),
    startMs: Math.round(relay.startMs),
    found,
  };
  await relay.stop();
  rmSync(directory, { recursive: true, force: true });
  publish("trace", result, options.publish);
  return result;
}

export function failed({ found }: TraceResult): boolean {
  return !found;
}
