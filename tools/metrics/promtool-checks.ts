/** What only Prometheus' own tools can tell: is what we ship right for them? */
import { execFile } from "node:child_process";
import { type MeasuredRelay, startMeasuredRelay } from "./measured-relay.ts";
import { PROMETHEUS_FOLDER, RULES_FILE, startPrometheus } from "./prometheus-server.ts";
import type { PrometheusTools } from "./prometheus-tools.ts";
import { shippedQueries } from "./queries.ts";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What the tool printed, or what was found. */
  readonly output: string;
}

const RUN_MAX_MS = 60_000;
/** A window that a fresh Prometheus has filled. */
const WINDOW = "10s";
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
    await relay.traffic();
    const rules = await settledRules(prometheus);
    const unhealthy = [...rules]
      .filter(([, { health }]) => health !== "ok")
      .map(([name, { health }]) => `${name}: ${health}`);
    const missed = PENDING.filter((name) => rules.get(name)?.state === "inactive").map((name) => `${name} is inactive`);
    const queries = shippedQueries().filter(({ where }) => !rules.has(where));
    const faults: string[] = [];
    for (const { where, expr } of queries) {
      const query = expr.replaceAll("$__rate_interval", WINDOW).replaceAll(/\$\w+/g, ".*");
      const count = await prometheus.count(query).catch((error: unknown) => String(error));
      if (typeof count === "string") faults.push(`${where}: ${count}`);
      else if (count === 0 && !MAY_BE_EMPTY.includes(where)) faults.push(`${where} is empty: ${query}`);
    }
    return [
      found(`Prometheus evaluates ${rules.size} alerts`, [...unhealthy, ...missed]),
      found(`Prometheus answers ${queries.length} queries of the dashboard with data`, faults),
    ];
  } finally {
    await prometheus.stop();
  }
}

/** Once each was evaluated. */
async function settledRules(
  prometheus: Awaited<ReturnType<typeof startPrometheus>>,
): ReturnType<typeof prometheus.rules> {
  const deadline = performance.now() + RUN_MAX_MS;
  for (;;) {
    const rules = await prometheus.rules();
    const isSettled = [...rules.values()].every(({ health }) => health !== "unknown");
    if (rules.size > 0 && isSettled && (await prometheus.count("ALERTS")) > 0) return rules;
    if (performance.now() > deadline) return rules;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function found(name: string, faults: readonly string[]): Check {
  return { name, ok: faults.length === 0, output: faults.join("\n") };
}
