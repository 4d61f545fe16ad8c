/**
 * How much of a vendor's limit the relay uses that nobody configured, and how many requests it
 * wastes on finding out: a backlog that a vendor of each kind takes slower than the relay could
 * send. The vendors refuse with 429 and `Retry-After: 1`. Every kind has a relay of its own.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LimitedReport, LimitKind } from "../children/limited-vendor.ts";
import type { LoadReport } from "../children/load.ts";
import { Child } from "../lib/child.ts";
import { RelayProcess } from "../lib/relay-process.ts";
import { publish, say } from "../lib/result.ts";
import { round } from "../lib/statistics.ts";

const LIMIT_KINDS: readonly LimitKind[] = ["rate", "concurrency", "latency", "changing"];

export interface LimitsOptions {
  readonly kinds: readonly LimitKind[];
  /** Of each kind. */
  readonly seconds: number;
  readonly publish: boolean;
}

export const FULL: LimitsOptions = { kinds: LIMIT_KINDS, seconds: 80, publish: true };
export const QUICK: LimitsOptions = { kinds: LIMIT_KINDS, seconds: 4, publish: false };

export const USAGE: string = `[--only ${LIMIT_KINDS.join("|")}]`;
export const FLAGS: Readonly<Record<"only", { readonly type: "string" }>> = { only: { type: "string" } };

/** `only`: these kinds alone, separated by commas; they are not published. */
export function withFlags(options: LimitsOptions, { only }: { readonly only?: string }): LimitsOptions | undefined {
  if (only === undefined) return options;
  const kinds = LIMIT_KINDS.filter((kind) => only.split(",").includes(kind));
  return kinds.length === only.split(",").length ? { ...options, kinds, publish: false } : undefined;
}

const ANSWER_MS = 100;
const SECOND_MS = 1_000;
/** So that a vendor's limit of requests is reached by few events. */
const EVENTS_PER_REQUEST = 5;
const CONNECTIONS = 8;
const EVENTS_PER_LOAD_REQUEST = 100;
/** What the relay may have in flight by default: with that latency, what it can offer. */
const MAX_IN_FLIGHT = 64;
const OFFERED_PER_SECOND = (MAX_IN_FLIGHT * SECOND_MS) / ANSWER_MS;
const DRAIN_LIMIT = 100_000;
const DRAIN_TIMEOUT_MS = 120_000;

interface Kind {
  readonly kind: LimitKind;
  /** Requests per second, or at once. */
  readonly limit: number;
  readonly perSecond: number;
  /** From the middle of the run on. */
  readonly later?: { readonly limit: number; readonly perSecond: number };
}

const KINDS: readonly Kind[] = [
  { kind: "rate", limit: 100, perSecond: 100 },
  { kind: "concurrency", limit: 10, perSecond: 100 },
  { kind: "latency", limit: 10, perSecond: 100 },
  { kind: "changing", limit: 50, perSecond: 50, later: { limit: 100, perSecond: 100 } },
];

interface Row {
  readonly kind: LimitKind;
  readonly offeredPerSecond: number;
  readonly limitPerSecond: number;
  /** Of the limit, after convergence. */
  readonly usedShare: number;
  /** Of all requests, after convergence. */
  readonly refusedShare: number;
  /**
   * Until the first twenty seconds that keep both promises; of a limit that changes, from the
   * change on.
   */
  readonly convergedMs: number;
}

interface LimitsResult {
  readonly scenario: "limits";
  readonly lost: number;
  readonly rows: readonly Row[];
}

export async function run(options: LimitsOptions): Promise<LimitsResult> {
  const rows: Row[] = [];
  let lost = 0;
  for (const kind of KINDS.filter((one) => options.kinds.includes(one.kind))) {
    const measured = await measure(kind, options);
    rows.push(measured.row);
    lost += measured.lost;
    const { usedShare, refusedShare, convergedMs } = measured.row;
    say(`${kind.kind}: ${usedShare} of the limit used, ${refusedShare} refused, converged after ${convergedMs} ms`);
  }
  const result: LimitsResult = { scenario: "limits", lost, rows };
  publish("limits", result, options.publish);
  return result;
}

const USED_GOAL = 0.9;
const REFUSED_GOAL = 0.02;
const SPAN_SECONDS = 20;

export function failed({ lost }: LimitsResult): boolean {
  return lost > 0;
}

async function measure(kind: Kind, { seconds }: LimitsOptions): Promise<{ readonly row: Row; readonly lost: number }> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-limits-"));
  const vendor = new Child("limited-vendor", [kind.kind, String(kind.limit), String(ANSWER_MS)]);
  const loader = new Child("load");
  let relay: RelayProcess | undefined;
  try {
    const { port } = await vendor.receive<{ port: number }>();
    const name = "limited";
    relay = await RelayProcess.start({
      directory,
      destinations: { [name]: `http://127.0.0.1:${port}` },
      // The events are all of one user.
      destination: (url) => ({ url, writeKey: "bench", order: "none", batch: { maxEvents: EVENTS_PER_REQUEST } }),
    });
    await relay.steer(name, "pause");
    const most = Math.max(kind.perSecond, kind.later?.perSecond ?? 0);
    // A tenth more than can be taken in time: the lane never runs out, and has little left.
    const requests = Math.ceil((most * EVENTS_PER_REQUEST * seconds * 1.1) / EVENTS_PER_LOAD_REQUEST) + 1;
    const loaded = await loader.ask<LoadReport>({
      port: relay.port,
      connections: CONNECTIONS,
      events: EVENTS_PER_LOAD_REQUEST,
      requests,
      firstId: 1,
    });
    await relay.steer(name, "resume");
    const half = (seconds * SECOND_MS) / 2;
    await pass(half);
    if (kind.later !== undefined) await vendor.ask({ limit: kind.later.limit });
    await pass(half);
    const { seconds: all } = await vendor.ask<LimitedReport>({ report: true });
    await vendor.ask({ limit: DRAIN_LIMIT });
    const balanced = await relay.drained(DRAIN_TIMEOUT_MS);
    const { events } = await vendor.ask<LimitedReport>({ report: true });
    const missing = requests * EVENTS_PER_LOAD_REQUEST - events;
    return { row: rowOf(kind, all.slice(0, seconds)), lost: missing + loaded.failed + (balanced ? 0 : 1) };
  } finally {
    await relay?.stop("SIGKILL");
    await Promise.all([vendor.stop(), loader.stop()]);
    rmSync(directory, { recursive: true, force: true });
  }
}

type Seconds = LimitedReport["seconds"];

function rowOf({ kind, perSecond, later }: Kind, all: Seconds): Row {
  const measured = later === undefined ? all : all.slice(Math.ceil(all.length / 2));
  const limitPerSecond = later?.perSecond ?? perSecond;
  const span = Math.min(SPAN_SECONDS, measured.length);
  let converged = 0;
  while (converged + span < measured.length) {
    const { usedShare, refusedShare } = shares(measured.slice(converged, converged + span), limitPerSecond);
    if (usedShare >= USED_GOAL && refusedShare <= REFUSED_GOAL) break;
    converged += 1;
  }
  const { usedShare, refusedShare } = shares(measured.slice(converged), limitPerSecond);
  return {
    kind,
    offeredPerSecond: OFFERED_PER_SECOND,
    limitPerSecond,
    usedShare: round(usedShare),
    refusedShare: round(refusedShare),
    convergedMs: converged * SECOND_MS,
  };
}

function shares(seconds: Seconds, perSecond: number): { readonly usedShare: number; readonly refusedShare: number } {
  const accepted = seconds.reduce((sum, second) => sum + second.accepted, 0);
  const refused = seconds.reduce((sum, second) => sum + second.refused, 0);
  return {
    usedShare: accepted / (perSecond * Math.max(1, seconds.length)),
    refusedShare: refused / Math.max(1, accepted + refused),
  };
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
