import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createMetrics, type Metrics, type MetricsView } from "../../src/admin/metrics/metrics.ts";
import type { LaneView, ReplayView, SourceView } from "../../src/admin/views.ts";
import { Histogram } from "../../src/histogram.ts";
import { RequestMeter } from "../../src/intake/request-meter.ts";

const ACCOUNT = {
  accepted: 10,
  delivered: 1,
  rejected: 2,
  dropped: 3,
  droppedByReason: { filtered: 3 },
  expired: 4,
  pending: 0,
  balanced: true,
};

const LANE = {
  environment: "constructor",
  destination: "__proto__",
  vendor: "segment",
  mode: "failed",
  account: ACCOUNT,
  pendingBytes: 0,
  attempts: 0,
  failedAttempts: 0,
  inFlight: 12,
  inFlightLimit: 40,
  requestsPerSecondLimit: 97.5,
  limitReason: "429 at 2026-01-01T00:00:00.000Z",
  strands: 16,
  parkedUsers: 2,
  parkedEvents: 5,
  unknownFates: 3,
  deadLetters: { waiting: 2, retried: 0, discarded: 0, damaged: 1 },
} satisfies LaneView;
const REPLAY = {
  id: "r",
  environment: "e",
  destination: "d",
  of: "log",
  createdAtMs: 0,
  state: "done",
  account: ACCOUNT,
} satisfies ReplayView;
const SOURCE = {
  environment: "e",
  source: "s",
  protocol: "segment",
  accepted: 7,
  duplicates: 2,
  refusedByCode: { event_too_large: 1 },
} satisfies SourceView;

const VIEW: MetricsView = {
  lanes: () => [LANE],
  sources: () => [SOURCE],
  replays: () => [REPLAY],
  relay: () => ({ ready: true, loadedAtMs: 5_000, reloadedOk: false, disk: { freeBytes: 1, totalBytes: 9 } }),
  environments: () => [],
  requests: () => [],
  heldBytes: () => 1,
  keylessHeldBytes: () => 2,
  waitingBodies: () => 3,
  readAheadBytes: () => 4,
  takeBlockedMaxMs: () => 40,
};

function metricsOf(lane: LaneView = LANE): Metrics {
  return createMetrics({ ...VIEW, lanes: () => [lane] });
}

/** Samples of Waybill's own metrics. */
function samplesOf(text: string): ReadonlyMap<string, number> {
  const samples = [...text.matchAll(/^(waybill_\w+(?:\{[^}]*\})?) (\S+)$/gm)];
  return new Map(samples.map(([, name = "", value]) => [name, Number(value)]));
}

test("a lane that a defect has stopped has its mode; names that objects have anyway are labels like others", async () => {
  const samples = samplesOf(await metricsOf().text());
  const labels = 'environment="constructor",destination="__proto__"';
  expect(samples.get(`waybill_lane_mode{${labels},mode="failed"}`)).toBe(1);
  expect(samples.get(`waybill_lane_mode{${labels},mode="idle"}`)).toBe(0);
  expect(samples.get(`waybill_lane_unknown_fates{${labels}}`)).toBe(3);
  expect(samples.get(`waybill_lane_dead_letters{${labels},state="waiting"}`)).toBe(2);
  expect(samples.get(`waybill_lane_dropped_events_by_reason_total{${labels},reason="filtered"}`)).toBe(3);
});

test.each(["waybill_lane", "waybill_replay"])("the ledger of %s is whole, also at the next scrape", async (prefix) => {
  const metrics = metricsOf();
  for (let scrape = 0; scrape < 2; scrape++) {
    const samples = [...samplesOf(await metrics.text())];
    const value = (name: string): number | undefined =>
      samples.find(([sample]) => sample.startsWith(`${prefix}_${name}{`))?.[1];
    const parts = ["delivered", "rejected", "dropped", "expired"].map((state) => value(`${state}_events_total`));
    expect([value("accepted_events_total"), ...parts, value("pending_events")]).toEqual([10, 1, 2, 3, 4, 0]);
  }
});

test("a source has counters of what was stored, of duplicates, and of what was refused by code", async () => {
  const samples = [...samplesOf(await metricsOf().text())].filter(([sample]) => sample.startsWith("waybill_source_"));
  const labels = 'environment="e",source="s"';
  expect(Object.fromEntries(samples)).toEqual({
    [`waybill_source_accepted_events_total{${labels}}`]: 7,
    [`waybill_source_duplicate_events_total{${labels}}`]: 2,
    [`waybill_source_refused_events_total{${labels},code="event_too_large"}`]: 1,
  });
});

test("how fast a lane sends, what it may, and what it holds up", async () => {
  const samples = samplesOf(await metricsOf().text());
  const labels = 'environment="constructor",destination="__proto__"';
  const read = (name: string): number | undefined => samples.get(`waybill_lane_${name}{${labels}}`);
  expect({
    inFlight: read("in_flight"),
    limit: read("in_flight_limit"),
    perSecond: read("requests_per_second_limit"),
    strands: read("strands"),
    users: read("parked_users"),
    events: read("parked_events"),
  }).toEqual({ inFlight: 12, limit: 40, perSecond: 97.5, strands: 16, users: 2, events: 5 });
  expect(samples.get("waybill_read_ahead_bytes")).toBe(4);
  const { requestsPerSecondLimit: _, ...unlimited } = LANE;
  expect(await metricsOf(unlimited).text()).not.toMatch(/^waybill_lane_requests_per_second_limit\{/m);
});

test("a lane that is gone, and a time that is not known any more, have no metric", async () => {
  let lanes: readonly LaneView[] = [{ ...LANE, timeUntilLossMs: 9_000, lastErrorAtMs: 1_000 }];
  const { text } = createMetrics({ ...VIEW, lanes: () => lanes });
  expect(await text()).toMatch(/^waybill_lane_time_until_loss_seconds\{.*\} 9$/m);
  lanes = [LANE];
  expect(await text()).not.toMatch(/^waybill_lane_time_until_loss_seconds\{/m);
  lanes = [];
  expect(await text()).not.toMatch(/^waybill_lane_pending_events\{/m);
});

test("metrics follow Prometheus' conventions: types, endings, units, helps that are sentences", async () => {
  const metrics = metricsOf();
  metrics.requestRetried({ environment: "e", source: "s" });
  const text = await metrics.text();
  const described = [...text.matchAll(/^# HELP (waybill_\w+) (.*)\n# TYPE \w+ (\w+)$/gm)];
  expect(described.length).toBeGreaterThan(25);
  for (const [, name = "", help, type] of described) {
    expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
    expect(name).not.toMatch(/_(?:ms|milliseconds|kb|mb|count|sum|bucket)(?:_|$)/);
    expect(help, name).toMatch(/^[A-Z].*[.)]$/);
  }
});

test("the metrics that the operators' pages name are there", async () => {
  const text = await metricsOf({ ...LANE, timeUntilLossMs: 1 }).text();
  const pages = ["relay", "log", "security"].map((page) =>
    readFileSync(new URL(`../../../../docs/operating/${page}.md`, import.meta.url), "utf8"),
  );
  const named = new Set(pages.join("\n").match(/\bwaybill_[a-z_]+\b/g));
  expect(named.size).toBeGreaterThan(15);
  for (const name of named) expect(text).toContain(`# TYPE ${name} `);
});

test("a histogram has its buckets one in the other, their sum and their number", async () => {
  const syncSeconds = new Histogram([0.001, 0.1]);
  for (const seconds of [0.0005, 0.001, 0.05, 3]) syncSeconds.observe(seconds);
  const meter = new RequestMeter();
  meter.answered("/v1/*", 204, 0.02);
  const environment = 'a "name" \\ of\ntwo lines';
  const figures = { ready: false, logBytes: 0, logEvents: 0, damagedEvents: 0, tornBytes: 0, diskBytes: {} };
  const text = await createMetrics({
    ...VIEW,
    environments: () => [{ environment, ...figures, syncSeconds }],
    requests: () => [{ environment: "e", source: "s", meter }],
  }).text();
  const name = "waybill_log_sync_duration_seconds";
  const label = 'environment="a \\"name\\" \\\\ of\\ntwo lines"';
  expect(text).toContain(
    [
      `# TYPE ${name} histogram`,
      `${name}_bucket{${label},le="0.001"} 2`,
      `${name}_bucket{${label},le="0.1"} 3`,
      `${name}_bucket{${label},le="+Inf"} 4`,
      `${name}_sum{${label}} 3.0515`,
      `${name}_count{${label}} 4`,
    ].join("\n"),
  );
  const request = 'environment="e",source="s",route="/v1/*",status="2xx"';
  expect(text).toContain(`waybill_ingest_request_duration_seconds_bucket{${request},le="0.025"} 1\n`);
  expect(text).toContain(`waybill_ingest_request_duration_seconds_bucket{${request},le="0.01"} 0\n`);
});

test("a lane on Kafka has its partition as a label of its own, so that sums over a destination need no other", async () => {
  const lanes = [3, 11].map((partition) => ({ ...LANE, environment: `production/${partition}`, destination: "d" }));
  const metrics = createMetrics({ ...VIEW, lanes: () => lanes, replays: () => [{ ...REPLAY, environment: "e/2" }] });
  metrics.attempted({
    environment: "production/3",
    destination: "d",
    attempt: { durationMs: 1, halted: 0, retryable: 0, rejected: 0 } as never,
  });
  const text = await metrics.text();
  for (const partition of [3, 11])
    expect(text).toContain(
      `waybill_lane_accepted_events_total{environment="production",partition="${partition}",destination="d"} 10\n`,
    );
  expect(text).toContain('waybill_replay_pending_events{environment="e",partition="2",destination="d",replay="r"} 0\n');
  expect(text).toMatch(/waybill_attempt_duration_seconds_count\{[^}]*environment="production",destination="d"/);
});
