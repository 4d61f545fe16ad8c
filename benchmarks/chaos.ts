/**
 * `npm run chaos -- --kills N [--seed S]`: the real relay under load, killed with SIGKILL at random moments and started again. Every id that
 * got a 2xx must reach the twin, once after the twin's own dedupe, and the books must balance.
 */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createUuidV7 } from "@waybill/core";
import { nodeClock, nodeRandom } from "@waybill/node";
import { SeededRandom, SegmentTwin, startServer } from "@waybill/testing";
import { RelayProcess } from "./lib/relay-process.ts";
import { publish, say } from "./lib/result.ts";

export interface ChaosOptions {
  readonly kills: number;
  readonly seed: number;
}

export interface ChaosResult {
  readonly kills: number;
  readonly acknowledged: number;
  readonly delivered: number;
  readonly lost: number;
  readonly duplicatesInEffect: number;
  readonly sentTwice: number;
  readonly booksBalance: boolean;
  readonly seed: number;
}

const WORKERS = 8;
/** Time between a start and the next kill. */
const LIFE_MIN_MS = 50;
const LIFE_MAX_MS = 800;
const DRAIN_MAX_MS = 60_000;
const RETRY_PAUSE_MS = 5;

export async function chaos({ kills, seed }: ChaosOptions): Promise<ChaosResult> {
  const random = new SeededRandom(seed);
  const directory = mkdtempSync(join(tmpdir(), "waybill-chaos-"));
  const oracle = join(directory, "acknowledged");
  writeFileSync(oracle, "");
  const twin = new SegmentTwin({ clock: nodeClock });
  const server = await startServer(twin.handle);
  const start = (): Promise<RelayProcess> => RelayProcess.start({ directory, destinations: { twin: server.url } });
  let relay = await start();
  let stopping = false;
  const workers = Array.from({ length: WORKERS }, () =>
    work({
      port: () => relay.port,
      stopping: () => stopping,
      random: random.fork(),
      acknowledge: (ids) => appendFileSync(oracle, `${ids.join("\n")}\n`),
    }),
  );
  for (let kill = 0; kill < kills; kill++) {
    await pause(LIFE_MIN_MS + random.next() * (LIFE_MAX_MS - LIFE_MIN_MS));
    // The vendor has its own troubles meanwhile.
    if (random.chance(0.3)) twin.fail({ kind: random.pick(["resetAfter", "reset", "status"] as const), times: 2 });
    await relay.stop("SIGKILL");
    relay = await start();
  }
  await pause(LIFE_MAX_MS);
  stopping = true;
  await Promise.all(workers);
  twin.recover();
  const booksBalance = await relay.drained(DRAIN_MAX_MS);
  await relay.stop();
  await server.close();
  const acknowledged = new Set(
    readFileSync(oracle, "utf8")
      .split("\n")
      .filter((id) => id !== ""),
  );
  const times = new Map<string, number>();
  for (const { messageId } of twin.events) times.set(messageId, (times.get(messageId) ?? 0) + 1);
  const result: ChaosResult = {
    kills,
    acknowledged: acknowledged.size,
    delivered: times.size,
    lost: [...acknowledged].filter((id) => !times.has(id)).length,
    duplicatesInEffect: [...times.values()].filter((count) => count > 1).length,
    sentTwice: twin.duplicates,
    booksBalance,
    seed,
  };
  if (broken(result)) say(`kept for inspection: ${directory}`);
  else rmSync(directory, { recursive: true, force: true });
  return result;
}

export function broken({ acknowledged, lost, duplicatesInEffect, booksBalance }: ChaosResult): boolean {
  return acknowledged === 0 || lost > 0 || duplicatesInEffect > 0 || !booksBalance;
}

interface Work {
  readonly port: () => number;
  readonly stopping: () => boolean;
  readonly random: SeededRandom;
  /** Told only after the 2xx. */
  readonly acknowledge: (ids: readonly string[]) => void;
}

/** Sends batches one after another; one without an answer is sent again with the same ids. */
async function work({ port, stopping, random, acknowledge }: Work): Promise<void> {
  const makeId = createUuidV7(nodeClock, nodeRandom);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  while (!stopping()) {
    const ids = Array.from({ length: 1 + random.below(40) }, makeId);
    const batch = ids.map((messageId) => ({
      type: "track",
      event: "Chaos",
      userId: "u",
      messageId,
      properties: { pad: "x".repeat(random.below(400)) },
    }));
    const body = JSON.stringify({ batch });
    while ((await post(port(), body, agent)) !== 200) await pause(RETRY_PAUSE_MS);
    acknowledge(ids);
  }
  agent.destroy();
}

function post(port: number, body: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const outgoing = request(
      {
        port,
        host: "127.0.0.1",
        agent,
        method: "POST",
        path: "/v1/batch",
        auth: "bench:",
        headers: { "content-length": Buffer.byteLength(body) },
      },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
        response.on("error", () => resolve(0));
      },
    );
    outgoing.on("error", () => resolve(0));
    outgoing.end(body);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { kills: { type: "string", default: "20" }, seed: { type: "string" } } });
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
  const result = await chaos({ kills: Number(values.kills), seed });
  publish("chaos", result, false);
  if (broken(result)) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
