/**
 * What each client loses: 2,000 events a second from one process to a vendor's emulator in another,
 * while something goes wrong from second 1 on. Lost are events that the client took (the call
 * returned) and the emulator never got; events that the client refused to the caller's face are
 * `refused`; `reported` are losses that were reported to the program.
 *
 * At SIGKILL an event counts as taken when it was captured at least 50 ms before: a spool has an
 * event a few milliseconds after the call.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CONTRACTS, type Fault, type FaultContract } from "./faults/clients.ts";
import { Child } from "./lib/child.ts";
import { publish, say } from "./lib/result.ts";

export interface FaultsOptions {
  readonly contracts: readonly FaultContract[];
  readonly eventsPerSecond: number;
  /** How long a 503 or a refusal lasts; a quick run has shorter ones. */
  readonly outageMs: number;
  readonly together: number;
  readonly publish: boolean;
}

export const FULL: FaultsOptions = {
  contracts: CONTRACTS,
  eventsPerSecond: 2_000,
  outageMs: 10_000,
  together: 3,
  publish: true,
};
export const QUICK: FaultsOptions = {
  contracts: CONTRACTS.filter(({ client }) => client === "createClient" || client === "GetFluxlyClient"),
  eventsPerSecond: 200,
  outageMs: 700,
  together: 3,
  publish: false,
};

interface FaultRow {
  readonly fault: Fault;
  readonly sent: number;
  readonly lost: number;
  /** Events that acted twice at the vendor. */
  readonly duplicates: number;
  readonly refused: number;
  readonly reported: number;
  readonly peakRssMb: number;
  readonly permittedBy?: string;
}

interface FaultsResult {
  readonly scenario: "faults";
  readonly eventsPerSecond: number;
  readonly rows: readonly { readonly client: string; readonly isPeer: boolean; readonly faults: readonly FaultRow[] }[];
}

const FAULTS: readonly Fault[] = [
  "503 for 10 s",
  "refused for 10 s",
  "429 with Retry-After",
  "close during an outage",
  "SIGTERM",
  "SIGKILL with spool",
];
const BEGIN_MS = 1_000;
const AFTERWARDS_S = 1;
const RATE_LIMIT_MS = 4_000;
/** At SIGKILL: what was captured later may not have reached the spool. */
const SPOOLED_AFTER_MS = 50;

export async function run(options: FaultsOptions): Promise<FaultsResult> {
  const rows: { client: string; isPeer: boolean; faults: FaultRow[] }[] = [];
  for (const contract of options.contracts) {
    const faults = new Array<FaultRow>(FAULTS.length);
    let next = 0;
    const work = async (): Promise<void> => {
      for (let at = next++; at < FAULTS.length; at = next++)
        faults[at] = await measure(contract, FAULTS[at] as Fault, options);
    };
    await Promise.all(Array.from({ length: options.together }, work));
    rows.push({ client: contract.client, isPeer: contract.isPeer === true, faults });
    for (const { fault, sent, lost, duplicates, refused, reported, peakRssMb } of faults)
      say(
        `${contract.client.padEnd(24)} ${fault.padEnd(23)} sent ${String(sent).padStart(6)} lost ${String(lost).padStart(6)} twice ${String(duplicates).padStart(4)} refused ${String(refused).padStart(6)} reported ${String(reported).padStart(6)} ${peakRssMb} MB`,
      );
  }
  const result: FaultsResult = { scenario: "faults", eventsPerSecond: options.eventsPerSecond, rows };
  publish("faults", result, options.publish);
  return result;
}

/** A loss, or an event that acted twice, that no line of a contract permits. */
export function failed({ rows }: FaultsResult): boolean {
  return rows
    .filter(({ isPeer }) => !isPeer)
    .some(({ client, faults }) => {
      const contract = CONTRACTS.find((one) => one.client === client);
      return faults.some(
        ({ lost, duplicates, permittedBy, sent }) =>
          sent === 0 ||
          (lost > 0 && permittedBy === undefined) ||
          (duplicates > 0 && contract?.permitsDuplicates === undefined),
      );
    });
}

interface Ended {
  readonly sent: number;
  readonly refused: number;
  readonly reported: number;
}

async function measure(contract: FaultContract, fault: Fault, options: FaultsOptions): Promise<FaultRow> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-faults-"));
  const vendor = new Child("vendor", [contract.vendor]);
  try {
    const { port } = await vendor.receive<{ port: number }>();
    const outcome = await attempt(contract, fault, options, vendor, `http://127.0.0.1:${port}`, folder);
    const { events, duplicates } = await vendor.ask<{ events: number; duplicates: number }>({ report: true });
    const lost = Math.max(0, outcome.sent - events);
    const permittedBy = contract.permits[fault];
    return {
      fault,
      sent: outcome.sent,
      lost,
      duplicates,
      refused: outcome.refused,
      reported: outcome.reported,
      peakRssMb: outcome.peakRssMb,
      ...(lost > 0 && permittedBy !== undefined ? { permittedBy } : {}),
    };
  } finally {
    await vendor.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function attempt(
  { client }: FaultContract,
  fault: Fault,
  { eventsPerSecond, outageMs }: FaultsOptions,
  vendor: Child,
  url: string,
  folder: string,
): Promise<Ended & { readonly peakRssMb: number }> {
  const isKill = fault === "SIGKILL with spool";
  const untilOver = {
    "429 with Retry-After": Math.min(outageMs, RATE_LIMIT_MS),
    "close during an outage": 0,
    SIGTERM: 0,
    "SIGKILL with spool": 0,
  };
  const forMs = untilOver[fault as keyof typeof untilOver] ?? outageMs;
  const seconds = (BEGIN_MS + forMs) / 1_000 + AFTERWARDS_S;
  const counts = join(folder, "captured");
  const spool = isKill ? join(folder, "spool") : "";
  const start = (mode: string): Child =>
    new Child("producer", [client, url, String(eventsPerSecond), String(seconds), counts, spool, mode]);
  const producer = start("run");
  const ended = producer.receive<Ended>();
  ended.catch(() => undefined);
  await sleep(BEGIN_MS);
  await begin(fault, vendor);
  if (fault === "SIGTERM") producer.process.kill("SIGTERM");
  else if (isKill) {
    await sleep((AFTERWARDS_S * 1_000) / 2);
    const peakRssMb = peakOf(producer);
    const killedAtMs = Date.now();
    await producer.stop();
    await vendor.ask({ recover: true });
    const second = start("resume");
    const { reported } = await second.receive<Ended>();
    await second.stop();
    return { sent: capturedBefore(counts, killedAtMs - SPOOLED_AFTER_MS), refused: 0, reported, peakRssMb };
  } else if (fault === "close during an outage") {
    // The last event is captured a second later; then it closes, and the vendor comes back a second
    // after that.
    await sleep((AFTERWARDS_S + 1) * 1_000);
    await vendor.ask({ recover: true });
  } else {
    await sleep(forMs);
    await vendor.ask(fault === "refused for 10 s" ? { listen: true } : { recover: true });
  }
  const result = await ended;
  const peakRssMb = peakOf(producer);
  await producer.stop();
  return { ...result, peakRssMb };
}

async function begin(fault: Fault, vendor: Child): Promise<void> {
  if (fault === "SIGTERM") return;
  if (fault === "refused for 10 s") await vendor.ask({ refuse: true });
  else if (fault === "429 with Retry-After")
    await vendor.ask({ fail: { kind: "status", status: 429, retryAfter: "1" } });
  else await vendor.ask({ fail: { kind: "status", status: 503 } });
}

/** The last count written before a time. */
function capturedBefore(file: string, atMs: number): number {
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.includes(" "));
  const last = lines.findLast((line) => Number(line.split(" ")[0]) <= atMs);
  return Number(last?.split(" ")[1] ?? 0);
}

/** The most memory a process has had, in MB; from Linux. */
function peakOf(child: Child): number {
  try {
    const status = readFileSync(`/proc/${child.process.pid}/status`, "utf8");
    return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024);
  } catch {
    return 0;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
