/** The metrics of a real relay with traffic, and every query that is shipped against them. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Family, familiesOf, faultsOf, type Sample } from "./exposition.ts";
import { type MeasuredRelay, startMeasuredRelay } from "./measured-relay.ts";
import { matches, type Selector, selectorsOf } from "./promql.ts";
import { alerts, shippedQueries } from "./queries.ts";

/** Prometheus adds these to each sample of a target. */
const TARGET_LABELS: readonly string[] = ["job", "instance"];
/** A target's own metric: Prometheus makes it. */
const UP: Sample = { name: "up", labels: {}, value: 1 };
/** Codes of refusals that a relay which has room and a disk does not give. */
const RARE_CODES: readonly string[] = ["forbidden", "share_exceeded"];
const RARE_STATUSES: readonly string[] = ["5xx"];

let relay: MeasuredRelay;
let families: readonly Family[];
let samples: ReadonlyMap<string, readonly Sample[]>;

beforeAll(async () => {
  relay = await startMeasuredRelay();
  families = familiesOf(await relay.metrics());
  const byName = new Map<string, Sample[]>();
  for (const sample of [...families.flatMap((family) => family.samples), UP])
    byName.set(sample.name, [...(byName.get(sample.name) ?? []), sample]);
  samples = byName;
});
afterAll(() => relay.stop());

test("metrics follow Prometheus' conventions: names, units, HELP, TYPE, few values of a label, buckets", () => {
  expect(families.length).toBeGreaterThan(60);
  expect(faultsOf(families)).toEqual([]);
});

test("each metric of ours has a sample in a relay with traffic", () => {
  const empty = families.filter(({ name, samples: own }) => name.startsWith("waybill_") && own.length === 0);
  expect(empty.map(({ name }) => name)).toEqual([]);
});

test("what breaks a convention is found", () => {
  const text = [
    "# HELP waybill_lag_ms Lag.",
    "# TYPE waybill_lag_ms gauge",
    "waybill_lag_ms 1",
    "# HELP waybill_events Events.",
    "# TYPE waybill_events counter",
    'waybill_events{Id="1"} 1',
    'waybill_events{Id="1"} 2',
    "# TYPE waybill_parts_total gauge",
    "waybill_parts_total 1",
    "# HELP waybill_wait_seconds Waits.",
    "# TYPE waybill_wait_seconds histogram",
    'waybill_wait_seconds_bucket{le="2"} 5',
    'waybill_wait_seconds_bucket{le="1"} 4',
    "waybill_wait_seconds_count 6",
    "",
  ].join("\n");
  expect(faultsOf(familiesOf(text))).toEqual([
    "waybill_lag_ms is not in base units (seconds, bytes, ratios)",
    "waybill_events is a counter: _total is for counters",
    "the label Id of waybill_events is not in snake_case",
    'waybill_events {"Id":"1"} is there twice',
    "the label Id of waybill_events is not in snake_case",
    "waybill_parts_total has no HELP",
    "waybill_parts_total is a gauge: _total is for counters",
    "the buckets of waybill_wait_seconds{} do not ascend",
    "waybill_wait_seconds{} has no bucket +Inf",
    "waybill_wait_seconds{}: +Inf is not the count",
  ]);
});

test("every query reads metrics and labels that a relay has, with values that they can have", () => {
  const queries = shippedQueries();
  expect(queries.length).toBeGreaterThan(80);
  const faults = queries.flatMap(({ where, expr }) =>
    selectorsOf(expr).flatMap((selector) => selectorFaults(selector).map((fault) => `${where}: ${fault}`)),
  );
  expect(faults).toEqual([]);
});

/** What a selector reads that is not there. */
function selectorFaults({ metric, matchers, grouped }: Selector): readonly string[] {
  const found = samples.get(metric);
  if (found === undefined) return [`there is no ${metric}`];
  const valuesOf = (label: string): readonly string[] => found.flatMap(({ labels }) => labels[label] ?? []);
  const labels = [...grouped, ...matchers.map(({ label }) => label)].filter((label) => !TARGET_LABELS.includes(label));
  const missing = labels.filter((label) => valuesOf(label).length === 0).map((label) => `${metric} has no ${label}`);
  const unmatched = matchers.filter((matcher) => {
    const { label, value, operator } = matcher;
    if (TARGET_LABELS.includes(label)) return false;
    const known = [
      ...valuesOf(label),
      ...(label === "code" ? RARE_CODES : []),
      ...(label === "status" ? RARE_STATUSES : []),
    ];
    // Each of several alternatives is a value that there can be.
    const alternatives = operator === "=~" && /^[\w|]+$/.test(value) ? value.split("|") : [undefined];
    return alternatives.some((one) => !known.some((actual) => matches({ ...matcher, value: one ?? value }, actual)));
  });
  return [...missing, ...unmatched.map(({ label, value }) => `${metric}: no ${label} is ${value}`)];
}

test.each<[string, string]>([
  ["waybill_lane_pending", "there is no waybill_lane_pending"],
  ['waybill_lane_mode{mode="stopped"}', "waybill_lane_mode: no mode is stopped"],
  ['waybill_lane_mode{mode=~"halted|stuck"}', "waybill_lane_mode: no mode is halted|stuck"],
  ["sum by (source) (waybill_lane_pending_events)", "waybill_lane_pending_events has no source"],
  ["waybill_ready and on (environment) waybill_log_ready", "waybill_ready has no environment"],
])("what a query reads that no relay has is found: %s", (query, fault) => {
  expect(selectorsOf(query).flatMap(selectorFaults)).toEqual([fault]);
});

test("a query that does not parse is found", () => {
  expect(() => selectorsOf("sum(rate(waybill_ready[5m])")).toThrow("not PromQL");
});

test("each alert says what it means and what to do, on the page that it names", () => {
  const page = readFileSync(new URL("../../docs/operating/alerts.md", import.meta.url), "utf8");
  const headings = [...page.matchAll(/^### (\w+)$/gm)].map(([, name]) => name as string);
  expect(headings.toSorted()).toEqual(
    alerts()
      .map(({ alert }) => alert)
      .toSorted(),
  );
  for (const { alert, labels, annotations } of alerts()) {
    expect(annotations["runbook_url"], alert).toMatch(new RegExp(`/docs/operating/alerts.md#${alert.toLowerCase()}$`));
    expect(["critical", "warning"], alert).toContain(labels["severity"]);
    expect(annotations["summary"], alert).toMatch(/^\S/);
    expect(annotations["description"], alert).toMatch(/[.]$/);
  }
});
