/** A Prometheus of our own that reads a relay, with the configuration and the rules as shipped. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "@waybill/testing";

export const PROMETHEUS_FOLDER: string = fileURLToPath(new URL("../../deploy/prometheus/", import.meta.url));
export const RULES_FILE = "waybill.rules.yml";
const CONFIG_FILE = "prometheus.yml";
/** In place of the shipped 15 s: nobody wants to wait for rates. */
const INTERVAL = "500ms";
const LOOK_EVERY_MS = 200;
const START_MAX_MS = 30_000;

export interface RunningPrometheus {
  /** How many series the query has now. **Errors**: a query that Prometheus refuses. */
  count(query: string): Promise<number>;
  /** By name: whether the rule could be evaluated, or why not; and whether it fires. */
  rules(): Promise<ReadonlyMap<string, { readonly health: string; readonly state: string }>>;
  stop(): Promise<void>;
}

export async function startPrometheus(program: string, metricsUrl: string): Promise<RunningPrometheus> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-prometheus-"));
  const config = readFileSync(join(PROMETHEUS_FOLDER, CONFIG_FILE), "utf8")
    .replace("127.0.0.1:8081", new URL(metricsUrl).host)
    .replaceAll("15s", INTERVAL);
  writeFileSync(join(folder, CONFIG_FILE), config);
  copyFileSync(join(PROMETHEUS_FOLDER, RULES_FILE), join(folder, RULES_FILE));
  const url = `http://127.0.0.1:${await freePort()}`;
  const child = spawn(
    program,
    [
      `--config.file=${join(folder, CONFIG_FILE)}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${new URL(url).host}`,
      "--log.level=error",
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  const running = { count: (query: string) => countOf(url, query), rules: () => rulesOf(url), stop };
  try {
    await until(() => running.count("count_over_time(waybill_ready[1m]) > 3"));
    return running;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

async function until(count: () => Promise<number>): Promise<void> {
  for (let waitedMs = 0; waitedMs < START_MAX_MS; waitedMs += LOOK_EVERY_MS) {
    if ((await count().catch(() => 0)) > 0) return;
    await pause(LOOK_EVERY_MS);
  }
  throw new Error("Prometheus has not read the relay within half a minute");
}

async function countOf(url: string, query: string): Promise<number> {
  const answer = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`);
  const { error, data } = (await answer.json()) as {
    readonly error?: string;
    readonly data?: { readonly result: readonly unknown[] };
  };
  if (data === undefined) throw new Error(error ?? `Prometheus answers ${answer.status}`);
  return data.result.length;
}

async function rulesOf(url: string): ReturnType<RunningPrometheus["rules"]> {
  interface Rule {
    readonly name: string;
    readonly health: string;
    readonly state: string;
    readonly lastError?: string;
  }
  const { data } = (await (await fetch(`${url}/api/v1/rules`)).json()) as {
    readonly data: { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
  };
  const rules = data.groups.flatMap((group) => group.rules);
  return new Map(rules.map(({ name, health, state, lastError }) => [name, { health: lastError ?? health, state }]));
}
