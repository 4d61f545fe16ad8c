/** Every scenario runs once, shortly, so that none can rot; how fast is not asked here. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);

async function lastLine(script: string, ...args: string[]): Promise<Record<string, unknown>> {
  const file = fileURLToPath(new URL(`dist/${script}.js`, import.meta.url));
  const { stdout } = await run(process.execPath, [file, ...args], { maxBuffer: 10_000_000 });
  return JSON.parse(stdout.trim().split("\n").at(-1) as string) as Record<string, unknown>;
}

const number = expect.any(Number) as number;

test("log", { timeout: 60_000 }, async () => {
  expect(await lastLine("main", "log", "--quick")).toMatchObject({
    scenario: "log",
    megabytesPerSecond: number,
    floorMegabytesPerSecond: number,
    lost: 0,
  });
});

test("client", { timeout: 120_000 }, async () => {
  expect(await lastLine("main", "client", "--quick")).toMatchObject({
    scenario: "client",
    eventsPerSecond: number,
    floorEventsPerSecond: number,
    stringifyFloorEventsPerSecond: number,
    peers: { "@segment/analytics-node": { eventsPerSecond: number } },
    lost: 0,
    trackMicros: { p50: number, p99: number },
    cpuSecondsPer100k: number,
    peakRssMb: number,
  });
});

test("faults", { timeout: 120_000 }, async () => {
  const fault = { sent: number, lost: 0, duplicates: 0, peakRssMb: number };
  const inMemory = { ...fault, lost: number };
  const names = [
    "503 for 10 s",
    "refused for 10 s",
    "429 with Retry-After",
    "close during an outage",
    "SIGTERM",
    "SIGKILL with spool",
  ];
  expect(await lastLine("main", "faults", "--quick")).toMatchObject({
    rows: [
      { client: "createClient", faults: names.map((name) => ({ fault: name, ...fault })) },
      {
        client: "GetFluxlyClient",
        faults: names.map((name, index) => ({ fault: name, ...(index === 5 ? inMemory : fault) })),
      },
    ],
  });
});

test("relay", { timeout: 240_000 }, async () => {
  const oneCore = { requestsPerSecond: number, cpuMicrosPerEvent: number };
  const one = {
    requestsPerSecond: number,
    discardFloorRequestsPerSecond: number,
    durableFloorRequestsPerSecond: number,
    p99Ms: number,
    endToEndEventsPerSecond: number,
    withoutDelivery: oneCore,
    withDelivery: oneCore,
    ratio: number,
    ofSegment: number,
  };
  expect(await lastLine("main", "relay", "--quick")).toMatchObject({
    scenario: "relay",
    cases: ["segment", "segment-without-ids", "launchdarkly", "launchdarkly-with-payload-id"].flatMap((name) => [
      { case: name, protocol: name.split("-")[0], eventsPerRequest: 1, ...one },
      { case: name, protocol: name.split("-")[0], eventsPerRequest: 100, ...one },
    ]),
    lost: 0,
  });
});

test("backlog: a relay with undelivered events on disk starts, delivers them and takes new ones", {
  timeout: 120_000,
}, async () => {
  expect(await lastLine("backlog", "--gigabytes", "0.05")).toMatchObject({
    gigabytes: 0.05,
    startMs: number,
    peakRssMb: number,
    acceptP99Ms: number,
    acceptP99MsIdle: number,
    drainEventsPerSecond: number,
    lost: 0,
  });
});

test("trace", { timeout: 120_000 }, async () => {
  expect(await lastLine("main", "trace", "--quick")).toMatchObject({
    events: 100_000,
    traceMs: number,
    foreignIdMBPerSecond: number,
    found: true,
  });
});

test("replay", { timeout: 120_000 }, async () => {
  expect(await lastLine("main", "replay", "--quick")).toMatchObject({
    events: 20_000,
    eventsPerSecond: number,
    lost: 0,
    duplicatesInEffect: 0,
    booksBalance: true,
  });
});

test.for([
  [
    "a full disk is refused with 503 and accepted again once there is room",
    ["--full-disk"],
    { resumedAfterMs: number },
  ],
  [
    "two power cuts lose nothing that was acknowledged",
    ["--power-cuts", "2"],
    { powerCuts: 2, unacknowledgedKept: number },
  ],
  [
    "a disk whose syncs fail is refused with 503 and used again once it is well",
    ["--failing-fsync"],
    { resumedAfterMs: number },
  ],
  ["a disk that hangs delays answers and loses nothing", ["--hung-disk"], { acknowledgedWhileHung: 0 }],
] as const)("chaos: %s", { timeout: 120_000 }, async ([_name, args, fields], { skip }) => {
  const result = await lastLine("chaos/main", ...args);
  const reason = result["skipped"];
  if (typeof reason === "string") {
    process.stdout.write(`skipped: ${reason}\n`);
    skip(reason);
  }
  expect(result).toMatchObject({ lost: 0, duplicatesInEffect: 0, booksBalance: true, ...fields });
  expect(result["acknowledged"]).toBeGreaterThan(0);
});

test("chaos: killed five times under load, the relay loses no acknowledged event and its ledgers balance", {
  timeout: 120_000,
}, async () => {
  const result = await lastLine("chaos/main", "--kills", "5");
  expect(result).toMatchObject({ kills: 5, lost: 0, duplicatesInEffect: 0, sentTwice: number, booksBalance: true });
  expect(result["acknowledged"]).toBeGreaterThan(0);
  expect(result["delivered"]).toBeGreaterThanOrEqual(result["acknowledged"] as number);
});

test("chaos: of relays that are started together on one data directory one runs, and nothing acknowledged is lost", {
  timeout: 120_000,
}, async () => {
  const result = await lastLine("chaos/main", "--two-relays", "--rounds", "4");
  expect(result).toMatchObject({ rounds: 4, mostTogether: 1, leastTogether: 1, intruders: 0 });
  expect(result).toMatchObject({ lost: 0, duplicatesInEffect: 0, booksBalance: true });
  expect(result["acknowledged"]).toBeGreaterThan(0);
});

test("chaos: three relays before three brokers, one kill of each and a pause, lose nothing", {
  timeout: 400_000,
}, async ({ skip }) => {
  const result = await lastLine("chaos/main", "--kafka", "--kills", "2");
  const reason = result["skipped"];
  if (typeof reason === "string") {
    process.stdout.write(`skipped: ${reason}\n`);
    skip(reason);
  }
  expect(result).toMatchObject({ brokers: 3, relays: 3, relayKills: 1, brokerKills: 1, pauses: 1 });
  expect(result).toMatchObject({ lost: 0, duplicatesInEffect: 0, staleCommitsAccepted: 0, orderViolations: 0 });
  expect(result).toMatchObject({ booksBalance: true, longestRebalanceMs: number });
  expect(result["acknowledged"]).toBeGreaterThan(0);
});

test("kafka: relays before a broker, and the client library's own producer", { timeout: 400_000 }, async ({ skip }) => {
  const result = await lastLine("main", "kafka", "--quick");
  const reason = result["skipped"];
  if (typeof reason === "string") {
    process.stdout.write(`skipped: ${reason}\n`);
    skip(reason);
  }
  const rates = { requestsPerSecond: number, producerFloorPerSecond: number, httpFloorPerSecond: number };
  const row = { ...rates, endToEndEventsPerSecond: number, rssMb: number, lost: 0 };
  expect(result).toMatchObject({
    scenario: "kafka",
    rows: [1, 2].flatMap((relays) => [1, 100].map((eventsPerRequest) => ({ relays, eventsPerRequest, ...row }))),
    scaling: number,
    cores: number,
  });
});

test("isolation", { timeout: 120_000 }, async () => {
  const measured = await lastLine("main", "isolation", "--quick");
  expect(measured).toMatchObject({ scenario: "isolation", throughputRatio: number, p99Ratio: number, lost: 0 });
});

test("distance: every vendor whose users' events keep their order, far and near", { timeout: 300_000 }, async () => {
  const vendors = [
    "segment",
    "segment-hot-user",
    "segment-identifies",
    "posthog",
    "launchdarkly",
    "getfluxly",
    "letter",
    "trophy",
    "valued",
    "amplitude",
    "mixpanel",
    "http",
  ];
  const row = {
    events: 200,
    eventsPerSecond: number,
    eventsPerSecondAt0Ms: number,
    inFlight: number,
    duplicates: 0,
    cpuSecondsPer100k: number,
  };
  expect(await lastLine("main", "distance", "--quick", "--only", vendors.join(","))).toEqual({
    scenario: "distance",
    roundTripMs: 100,
    lost: 0,
    orderViolations: 0,
    rows: vendors.map((vendor) => ({ vendor, ...row })),
  });
});

test("poison: an outage in the middle loses nothing", { timeout: 180_000 }, async () => {
  const result = await lastLine("main", "poison", "--no-poison", "--give-up-after", "1s");
  const row = { events: number, poison: 0, delivered: number, deadLettered: 0, wrongly: 0 };
  expect(result).toEqual({
    scenario: "poison",
    rows: ["segment", "letter"].map((vendor) => ({ vendor, ...row, longestDelayOfOthersMs: number })),
    outageMs: 10_000,
    givenUpInOutage: 0,
  });
  for (const { events, delivered } of result["rows"] as readonly Record<string, number>[])
    expect(delivered).toBe(events);
});

test("limits: vendors with a limit that nobody configured", { timeout: 240_000 }, async () => {
  const row = { offeredPerSecond: number, limitPerSecond: number, usedShare: number, refusedShare: number };
  expect(await lastLine("main", "limits", "--quick")).toMatchObject({
    scenario: "limits",
    lost: 0,
    rows: ["rate", "concurrency", "latency", "changing"].map((kind) => ({ kind, ...row, convergedMs: number })),
  });
});

test("shutdown: an exit under load refuses little, resets nothing and loses nothing", { timeout: 60_000 }, async () => {
  expect(await lastLine("main", "shutdown", "--quick")).toMatchObject({
    scenario: "shutdown",
    requestsPerSecond: number,
    exitMs: number,
    refused: number,
    resets: 0,
    lost: 0,
    unknown: 0,
  });
});

test("compare: this checkout beside a commit", { timeout: 240_000 }, async () => {
  expect(await lastLine("main", "compare", "--base", "HEAD", "log", "--quick")).toMatchObject({
    scenario: "log",
    ratio: number,
    spread: 0,
  });
});

test("sizing: what an event costs of a core, the disk and memory", { timeout: 120_000 }, async () => {
  const one = {
    eventsPerSecond: number,
    cpuMicrosPerEvent: number,
    diskBytesPerEvent: number,
    peakRssMb: number,
  };
  const { cases, ...result } = await lastLine("main", "sizing", "--quick");
  expect(result).toEqual({ scenario: "sizing", restRssMb: number, kilobytesPerLane: number, lost: 0 });
  expect(cases).toHaveLength(7);
  for (const found of cases as readonly { readonly eventBytes: number; readonly diskBytesPerEvent: number }[]) {
    expect(found).toMatchObject(one);
    expect(found.diskBytesPerEvent).toBeGreaterThan(found.eventBytes);
  }
});
