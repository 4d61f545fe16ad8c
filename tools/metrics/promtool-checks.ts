/** What only Prometheus' own tools can tell: is what we ship right for them? */
import { execFile } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { type MeasuredRelay, startMeasuredRelay } from "./measured-relay.ts";
import { PROMETHEUS_FOLDER, RULES_FILE, type RunningPrometheus, startPrometheus } from "./prometheus-server.ts";
import type { PrometheusTools } from "./prometheus-tools.ts";
import { type ShippedQuery, shippedQueries } from "./queries.ts";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What the tool printed, or what was found. */
  readonly output: string;
}

const RUN_MAX_MS = 60_000;
const WINDOW = "1m";
const LOOK_EVERY_MS = 500;
/** Nothing happens that they look for: a relay that starts again while it is watched. */
const MAY_BE_EMPTY: readonly string[] = ["annotation starts"];
/** What the relay of the tests suffers from; these alerts wait for their time. */
const PENDING: readonly string[] = ["WaybillLaneHalted", "WaybillReloadFailed"];

export async function promtoolChecks(tools: PrometheusTools): Promise<readonly Check[]> {
  const { promtool } = tools;
  const relay = await startMeasuredRelay();
  try {
    return [
      await run("promtool check metrics < /metrics", promtool, ["check", "metrics"], await relay.metrics()),
      await run("promtool check config prometheus.yml", promtool, ["check", "config", "prometheus.yml"]),
      await run(`promtool check rules ${RULES_FILE}`, promtool, ["check", "rules", RULES_FILE]),
      await run("promtool test rules waybill.rules.test.yml", promtool, ["test", "rules", "waybill.rules.test.yml"]),
      ...(await liveChecks(tools.prometheus, relay)),
    ];
  } finally {
    await relay.stop();
  }
}

function run(name: string, program: string, args: readonly string[], input = ""): Promise<Check> {
  return new Promise((resolve) => {
    const options = { cwd: PROMETHEUS_FOLDER, timeout: RUN_MAX_MS };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`.trim();
      // What is only advice ends with 0 or 3; it is a fault here.
      resolve({ name, ok: error === null && !/non-counter|should|no help/i.test(output), output });
    });
    child.stdin?.end(input);
  });
}

/** By a Prometheus that reads the relay. */
async function liveChecks(program: string, relay: MeasuredRelay): Promise<readonly Check[]> {
  const prometheus = await startPrometheus(program, relay.url);
  try {
    const rules = await settledRules(prometheus);
    const unhealthy = [...rules]
      .filter(([, { health }]) => health !== "ok")
      .map(([name, { health }]) => `${name}: ${health}`);
    const missed = PENDING.filter((name) => rules.get(name)?.state === "inactive").map((name) => `${name} is inactive`);
    const queries = shippedQueries().filter(({ where }) => !rules.has(where));
    const faults = await emptyOf(queries, prometheus, relay);
    return [
      found(`Prometheus evaluates ${rules.size} alerts`, [...unhealthy, ...missed]),
      found(`Prometheus answers ${queries.length} queries of the dashboard with data`, faults),
    ];
  } finally {
    await prometheus.stop();
  }
}

/** Queries that Prometheus refuses, or that have no data however long there is traffic. */
async function emptyOf(
  queries: readonly ShippedQuery[],
  prometheus: RunningPrometheus,
  relay: MeasuredRelay,
): Promise<readonly string[]> {
  let left = queries.filter(({ where }) => !MAY_BE_EMPTY.includes(where));
  const faults: string[] = [];
  for (const deadline = performance.now() + RUN_MAX_MS; left.length > 0 && performance.now() < deadline; ) {
    await relay.traffic();
    const empty: ShippedQuery[] = [];
    for (const query of left) {
      const expr = query.expr.replaceAll("$__rate_interval", WINDOW).replaceAll(/\$\w+/g, ".*");
      const count = await prometheus.count(expr).catch((error: unknown) => String(error));
      if (typeof count === "string") faults.push(`${query.where}: ${count}`);
      else if (count === 0) empty.push(query);
    }
    left = empty;
    if (left.length > 0) await pause(LOOK_EVERY_MS);
  }
  return [...faults, ...left.map(({ where, expr }) => `${where} is empty: ${expr}`)];
}

/** Once each was evaluated. */
async function settledRules(prometheus: RunningPrometheus): ReturnType<RunningPrometheus["rules"]> {
  const deadline = performance.now() + RUN_MAX_MS;
  for (;;) {
    const rules = await prometheus.rules();
    const isSettled =
      PENDING.every((name) => ![undefined, "inactive"].includes(rules.get(name)?.state)) &&
      [...rules.values()].every(({ health }) => health !== "unknown");
    if (isSettled) return rules;
    if (performance.now() > deadline) return rules;
    await pause(LOOK_EVERY_MS);
  }
}

function found(name: string, faults: readonly string[]): Check {
  return { name, ok: faults.length === 0, output: faults.join("\n") };
}
