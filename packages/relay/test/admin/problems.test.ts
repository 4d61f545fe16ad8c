/** Each problem: when it is one, what its sentence is, and that it is not shown otherwise. */
import { expect, test } from "vitest";
import type { LaneFacts } from "../../src/admin/lane-problems.ts";
import { problemsOf, type RelayFacts } from "../../src/admin/problems.ts";

const NOW = Date.parse("2026-03-05T15:00:00Z");
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

const LANE: LaneFacts = {
  environment: "production",
  destination: "segment",
  mode: "idle",
  reason: undefined,
  lastError: undefined,
  waitingEvents: 0,
  oldestAt: null,
  lossAt: null,
  deadLetters: 0,
  parkedEvents: 0,
  balanced: true,
  troubles: {
    modeSince: null,
    failingSince: null,
    stalledSince: null,
    limitedSince: null,
    expired: 0,
    expiredSince: null,
  },
};

const WELL: RelayFacts = {
  now: NOW,
  isStopping: false,
  components: [{ name: "log production", ready: true }],
  lanes: [LANE],
  sources: [],
  unknownSource: { count: 0, since: null },
  replays: [],
  reload: undefined,
  disk: undefined,
};

type LaneChanges = Partial<Omit<LaneFacts, "troubles">> & { readonly troubles?: Partial<LaneFacts["troubles"]> };

function laneWith({ troubles, ...changes }: LaneChanges): LaneFacts {
  return { ...LANE, ...changes, troubles: { ...LANE.troubles, ...troubles } };
}

const ofLane = (changes: LaneChanges): ReturnType<typeof problemsOf> =>
  problemsOf({ ...WELL, lanes: [laneWith(changes)] });

test("a relay that is well has no problems", () => {
  expect(problemsOf(WELL)).toEqual([]);
  expect(ofLane({ mode: "sending", waitingEvents: 5_000_000, oldestAt: NOW - HOUR_MS })).toEqual([]);
  expect(ofLane({ mode: "waiting", reason: "503", waitingEvents: 5 })).toEqual([]);
});

test("a refused key names the destination, the time, how much is kept and what to do", () => {
  const [problem, ...more] = ofLane({
    mode: "halted",
    reason: "401 no such write key",
    waitingEvents: 18_220,
    troubles: { modeSince: Date.parse("2026-03-05T14:02:10Z") },
  });
  expect(more).toEqual([]);
  expect(problem).toEqual({
    severity: "error",
    code: "key_refused",
    environment: "production",
    destination: "segment",
    since: Date.parse("2026-03-05T14:02:10Z"),
    what: "segment refuses the key since 14:02 UTC (401 no such write key); 18,220 events are kept.",
    doThis: expect.stringMatching(/^Rotate the key/) as string,
  });
});

test.each([
  ["a key that is forbidden", { mode: "halted", reason: "HTTP 403" }, "forbidden", "error"],
  ["another halt", { mode: "halted", reason: "the proxy refuses" }, "lane_halted", "error"],
  ["a halt without a reason", { mode: "halted" }, "lane_halted", "error"],
  ["a defect", { mode: "failed", reason: "a broken invariant" }, "lane_failed", "error"],
  ["a long pause", { mode: "paused", troubles: { modeSince: NOW - 16 * MINUTE_MS } }, "lane_paused", "warning"],
  [
    "an outage",
    { waitingEvents: 1, lastError: "503", troubles: { failingSince: NOW - MINUTE_MS } },
    "destination_failing",
    "error",
  ],
  ["no progress", { waitingEvents: 1, troubles: { stalledSince: NOW - 2 * MINUTE_MS } }, "lane_stalled", "error"],
  [
    "a limit with an old backlog",
    { waitingEvents: 9, oldestAt: NOW - 6 * MINUTE_MS, troubles: { limitedSince: NOW - 5 * MINUTE_MS } },
    "rate_limited",
    "warning",
  ],
  ["loss within a day", { waitingEvents: 9, lossAt: NOW + 23 * HOUR_MS }, "loss_soon", "warning"],
  ["loss within an hour", { waitingEvents: 9, lossAt: NOW + MINUTE_MS }, "loss_soon", "error"],
  ["expired events", { troubles: { expired: 3, expiredSince: NOW - 9 } }, "events_lost", "error"],
  ["dead letters", { deadLetters: 1 }, "dead_letters", "warning"],
  ["parked users", { parkedEvents: 2 }, "events_parked", "warning"],
  ["a ledger that does not balance", { balanced: false }, "ledger_unbalanced", "error"],
] as const)("%s is a problem", (_name, changes, code, severity) => {
  const problems = ofLane(changes as LaneChanges);
  expect(problems).toMatchObject([{ code, severity, environment: "production", destination: "segment" }]);
  for (const { what, doThis } of problems) {
    expect(what).toMatch(/^[a-z0-9].*segment.*\.$|^.*segment.*\.$/);
    expect(what).not.toMatch(/undefined|null|NaN|\.\.$/);
    expect(doThis).toMatch(/^[A-Z].*\.$/);
  }
});

test.each([
  ["a short pause", { mode: "paused", troubles: { modeSince: NOW - MINUTE_MS } }],
  ["failures for less than a minute", { waitingEvents: 1, troubles: { failingSince: NOW - MINUTE_MS + 1 } }],
  [
    "a limit that is kept up with",
    { waitingEvents: 9, oldestAt: NOW - MINUTE_MS, troubles: { limitedSince: NOW - HOUR_MS } },
  ],
  ["loss in two days", { waitingEvents: 9, lossAt: NOW + 48 * HOUR_MS }],
  ["a lane that was quiet for a minute", { waitingEvents: 1, troubles: { stalledSince: NOW - MINUTE_MS } }],
] as const)("%s is none", (_name, changes) => {
  expect(ofLane(changes as LaneChanges)).toEqual([]);
});

test("while nothing is delivered, parked users are not what is wrong", () => {
  const problems = ofLane({
    waitingEvents: 3,
    parkedEvents: 3,
    lastError: "refused",
    troubles: { failingSince: NOW - HOUR_MS },
  });
  expect(problems).toMatchObject([{ code: "destination_failing", since: NOW - HOUR_MS }]);
});

test("a time of another day has its date", () => {
  const [problem] = ofLane({
    mode: "halted",
    reason: "401",
    troubles: { modeSince: NOW - 30 * HOUR_MS },
  });
  expect(problem?.what).toContain("since 09:00 UTC on 2026-03-04");
});

test("storage, disk, sources, replays and reloads have their problems", () => {
  const gib = 1024 ** 3;
  const problems = problemsOf({
    ...WELL,
    isStopping: true,
    components: [{ name: "log production", ready: false, reason: "ENOSPC: no space left" }],
    lanes: [],
    sources: [
      {
        environment: "production",
        source: "web",
        refusedKeys: { count: 1, since: NOW - 5 },
        refusedForMemory: { count: 2_000, since: NOW - 6 },
      },
    ],
    unknownSource: { count: 12, since: NOW - 7 },
    replays: [
      { id: "r-1", environment: "production", destination: "segment", state: "failed", reason: "a defect" } as never,
      { id: "r-2", environment: "production", destination: "segment", state: "done" } as never,
    ],
    reload: { at: NOW - MINUTE_MS, ok: false, messages: ["line 3: wrong", "line 4: wrong"] },
    disk: { freeBytes: gib, totalBytes: 100 * gib },
  });
  expect(problems.map(({ severity, code }) => `${severity} ${code}`)).toEqual([
    "error storage_not_ready",
    "error disk_full",
    "error memory_full",
    "error replay_failed",
    "warning reload_failed",
    "warning key_unknown",
    "warning key_unknown",
    "warning stopping",
  ]);
  expect(problems[1]?.what).toBe("The disk of the data directory has 1 GiB of 100 GiB left.");
  expect(problems.find(({ code }) => code === "reload_failed")?.what).toContain("line 3: wrong and 1 more");
});

test("where the log is on Kafka, what cannot be stored is no matter of the disk", () => {
  const components = [{ name: "log production", ready: false, reason: "no leader" }];
  const advice = (facts: RelayFacts): string | undefined => problemsOf(facts)[0]?.doThis;
  expect(advice({ ...WELL, components })).toContain("the disk");
  const cluster = { relays: [], lanes: [], missingLanes: [], unanswered: [] };
  expect(advice({ ...WELL, components, cluster: cluster as never })).toContain("the brokers");
});

test.each([
  ["half of it is left", { freeBytes: 50, totalBytes: 100 }],
  ["it is so large that little is plenty", { freeBytes: 1024 ** 4, totalBytes: 100 * 1024 ** 4 }],
  ["nobody tells", { freeBytes: 0, totalBytes: 0 }],
])("a disk is not a problem when %s", (_name, disk) => {
  expect(problemsOf({ ...WELL, disk })).toEqual([]);
});

test("the worst is first: what stops everything, what is lost, errors, warnings, and the oldest of them", () => {
  const lane = (destination: string, changes: LaneChanges): LaneFacts => ({ ...laneWith(changes), destination });
  const problems = problemsOf({
    ...WELL,
    components: [{ name: "log production", ready: false }],
    lanes: [
      lane("dead", { deadLetters: 9 }),
      lane("late", { mode: "halted", reason: "401", troubles: { modeSince: NOW - 5 } }),
      lane("early", { mode: "halted", reason: "401", troubles: { modeSince: NOW - 9_000 } }),
      lane("lost", { troubles: { expired: 1, expiredSince: NOW } }),
    ],
  });
  expect(problems.map(({ destination = "storage" }) => destination)).toEqual([
    "storage",
    "lost",
    "early",
    "late",
    "dead",
  ]);
});

test("what a vendor says is quoted in short", () => {
  const [problem] = ofLane({ mode: "halted", reason: `401 ${"x".repeat(5_000)}` });
  expect(problem?.what.length).toBeLessThan(400);
});

test("a certificate that expires soon, has expired, or whose new files are wrong is a problem", () => {
  const DAY_MS = 24 * HOUR_MS;
  const ofCertificate = (days: number, lifetimeDays: number, broken?: { since: number; reason: string }): unknown[] =>
    problemsOf({
      ...WELL,
      certificates: [
        {
          port: "intake",
          validFrom: NOW + (days - lifetimeDays) * DAY_MS,
          validTo: NOW + days * DAY_MS,
          broken,
        },
      ],
    }).map(({ severity, code, what }) => [severity, code, what]);
  expect(ofCertificate(15, 90)).toEqual([]);
  expect(ofCertificate(13, 90)).toEqual([
    ["warning", "certificate_expires", "The certificate of the intake port expires in 13 days."],
  ]);
  // One of a day is renewed within the day.
  expect(ofCertificate(0.5, 1)).toEqual([]);
  expect(ofCertificate(0.1, 1)).toMatchObject([["warning", "certificate_expires", expect.stringContaining("2 hours")]]);
  expect(ofCertificate(-1, 90)).toEqual([
    ["error", "certificate_expired", "The certificate of the intake port has expired."],
  ]);
  expect(
    ofCertificate(60, 90, { since: NOW - MINUTE_MS, reason: "/tls.key is not the key of the certificate" }),
  ).toEqual([
    [
      "warning",
      "certificate_unusable",
      "The new certificate of the intake port cannot be used since 14:59 UTC (/tls.key is not the key of the certificate).",
    ],
  ]);
});
