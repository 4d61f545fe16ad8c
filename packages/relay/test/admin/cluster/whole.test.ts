/** What all relays report, as one: each lane once, nothing left out without a word. */
import type { Transport } from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { Peers } from "../../../src/admin/cluster/peers.ts";
import { PolledOverviews } from "../../../src/admin/cluster/polled-overviews.ts";
import { wholeAccounts } from "../../../src/admin/cluster/whole-accounts.ts";
import { wholeOverview } from "../../../src/admin/cluster/whole-overview.ts";
import { WholeReplays } from "../../../src/admin/cluster/whole-replays.ts";
import type {
  Accounts,
  LaneView,
  Overview,
  OverviewDestination,
  OverviewPartition,
  RelayProblem,
} from "../../../src/admin/views.ts";
import type { RelayEntry } from "../../../src/cluster/relay-directory.ts";
import { overviewLane, overviewOf } from "../../lib/overviews.ts";
import { relayEntry } from "../../lib/relay-entries.ts";

const PARTITIONS = 4;
const PARTS = { partitions: PARTITIONS, replays: [] };
const ENVIRONMENTS = [
  { environment: "production", sources: [], destinations: [{ destination: "segment", vendor: "segment" }] },
];
const found = (name: string, value: Overview): { readonly relay: RelayEntry; readonly value: Overview } => ({
  relay: relayEntry(name),
  value,
});

function destinationOf({ environments }: Overview): OverviewDestination {
  const [destination] = environments[0]?.destinations ?? [];
  if (destination === undefined) throw new Error("there is no destination");
  return destination;
}

test("a destination has the sums of its lanes, the worst mode and the earliest times", () => {
  const here = overviewOf([
    overviewLane({ partition: 1, relay: "one", changes: { waitingEvents: 2, oldestAt: 50, eventsPerSecondOut: 0.1 } }),
    overviewLane({ partition: 0, relay: "one", changes: { deadLetters: 3, inFlight: 2 } }),
  ]);
  const halted = { mode: "halted", reason: "401", since: 40, eventsPerSecondOut: 0.2, inFlight: 1 } as const;
  const there = overviewOf([overviewLane({ partition: 3, relay: "two", changes: { ...halted, oldestAt: 20 } })]);
  const whole = wholeOverview(here, { found: [found("two", there)], unanswered: [] }, PARTS);
  expect(destinationOf(whole)).toMatchObject({
    mode: "halted",
    reason: "401",
    since: 40,
    waitingEvents: 2,
    oldestAt: 20,
    deadLetters: 3,
    eventsPerSecondOut: 0.3,
    account: { accepted: 30, delivered: 28, pending: 2, balanced: true },
    missingPartitions: [2],
  });
  expect(destinationOf(whole).partitions?.map(({ partition, report }) => [partition, report.relay])).toEqual([
    [0, "one"],
    [1, "one"],
    [3, "two"],
  ]);
  expect(whole.environments[0]?.sources).toMatchObject([
    { acceptedTotal: 6, eventsPerSecond: 0.2, refusedByReason: { too_large: 2 } },
  ]);
});

test("lanes of one relay share its limit, which counts once", () => {
  const lane = (partition: number, relay: string, inFlight: number): OverviewDestination["partitions"] => [
    overviewLane({ partition, relay, changes: { inFlight, inFlightLimit: 8 } }),
  ];
  const here = overviewOf([...(lane(0, "one", 3) ?? []), ...(lane(1, "one", 3) ?? [])]);
  const there = overviewOf(lane(2, "two", 1) ?? []);
  const whole = wholeOverview(here, { found: [found("two", there)], unanswered: [] }, PARTS);
  expect(destinationOf(whole)).toMatchObject({ inFlight: 4, inFlightLimit: 16 });
});

test.each([true, false])("a lane that both have is counted once, as its later owner reports it (%s)", (isHere) => {
  const lane = (relay: string, epoch: number, waitingEvents: number): Overview =>
    overviewOf([
      overviewLane({ partition: 0, relay, changes: { report: { relay, epoch, offset: 9 - epoch }, waitingEvents } }),
    ]);
  const [here, there] = isHere ? [lane("one", 5, 1), lane("two", 4, 3)] : [lane("one", 4, 3), lane("two", 5, 1)];
  const whole = wholeOverview(here, { found: [found("two", there)], unanswered: [] }, { partitions: 1, replays: [] });
  const owner = isHere ? "one" : "two";
  expect(destinationOf(whole)).toMatchObject({
    waitingEvents: 1,
    partitions: [{ report: { relay: owner, epoch: 5 } }],
  });

  const accounts = (overview: Overview): Accounts => {
    const [{ report, account } = overviewLane({ partition: 0, relay: "" })] = destinationOf(overview).partitions ?? [];
    const lanes = [{ environment: "production/0", destination: "segment", report, account } as unknown as LaneView];
    return { atMs: 1, startedAtMs: 1, version: "1", lanes, sources: [], replays: [] };
  };
  const { lanes, missingLanes } = wholeAccounts(accounts(here), [accounts(there)], {
    environments: ENVIRONMENTS,
    partitions: 2,
  });
  expect(lanes).toMatchObject([{ report: { relay: owner, epoch: 5 }, account: { pending: 1 } }]);
  expect(missingLanes).toEqual([{ environment: "production/1", destination: "segment" }]);
});

test("a destination that only others have is shown, and one that nobody has says so", () => {
  const here = overviewOf([]);
  const there = { ...overviewOf([overviewLane({ partition: 0, relay: "two" })]) };
  const renamed = { ...there, environments: there.environments.map((one) => ({ ...one, name: "staging" })) };
  const { environments } = wholeOverview(
    here,
    { found: [found("two", renamed)], unanswered: [] },
    { partitions: 1, replays: [] },
  );
  expect(environments).toMatchObject([
    { name: "production", destinations: [{ mode: "closed", reason: "no relay has reported a lane of it" }] },
    { name: "staging", destinations: [{ mode: "idle", missingPartitions: [] }] },
  ]);
});

test("a problem of several lanes is one, a relay's own has its name, and the cluster's is there once", () => {
  const problem = (code: string, place: object, since: number | null = null): RelayProblem => ({
    severity: "error",
    code,
    ...place,
    since,
    what: "It is so.",
    doThis: "Do.",
  });
  const lane = (partition: number): object => ({ environment: `production/${partition}`, destination: "segment" });
  const cluster = problem("relay_missing", {});
  const lanes = (...partitions: readonly number[]): readonly OverviewPartition[] =>
    partitions.map((partition) => overviewLane({ partition, relay: "" }));
  const here = overviewOf(lanes(2), {
    problems: [cluster, problem("replay_failed", lane(2), 30), problem("disk_full", {})],
  });
  const there = overviewOf(lanes(0, 1), {
    problems: [
      cluster,
      problem("replay_failed", lane(0), 20),
      { ...problem("replay_failed", lane(0), 10), what: "Another replay." },
      problem("lane_failed", lane(1)),
      problem("disk_full", {}),
    ],
  });
  const unanswered = [
    { relay: relayEntry("three"), fault: "has not answered within 5 s" },
    { relay: relayEntry("four", { isMissing: true }), fault: "is missing" },
  ];
  const { problems } = wholeOverview(here, { found: [found("two", there)], unanswered }, PARTS);
  expect(problems.map(({ code, environment, relay, what }) => [code, environment ?? relay, what])).toEqual([
    ["disk_full", "this relay", "It is so."],
    ["disk_full", "two", "It is so."],
    ["lane_failed", "production/1", "It is so."],
    ["replay_failed", "production/0", "Another replay."],
    ["replay_failed", "production", "Partitions 0, 2: It is so."],
    ["relay_missing", undefined, "It is so."],
    ["relay_unanswered", "three", "The relay three has not answered within 5 s. What it has is missing here."],
  ]);
  expect(problems[4]?.since).toBe(20);
});

/** Of lanes 0 and 2 of three, which two relays have. */
function problemOfTwo(
  code: string,
  lanes: readonly [Partial<OverviewPartition>, Partial<OverviewPartition>],
): RelayProblem | undefined {
  const overview = (partition: number, changes: Partial<OverviewPartition>): Overview => {
    const others = partition === 0 ? [overviewLane({ partition: 1, relay: "one", changes: OTHER_LANE })] : [];
    return overviewOf([overviewLane({ partition, relay: "one", changes }), ...others], {
      now: NOW,
      problems: [
        {
          severity: "warning",
          code,
          environment: `production/${partition}`,
          destination: "segment",
          since: changes.since ?? null,
          what: `Of ${partition} alone.`,
          doThis: "Do.",
        },
      ],
    });
  };
  const others = { found: [found("two", overview(2, lanes[1]))], unanswered: [] };
  const { problems } = wholeOverview(overview(0, lanes[0]), others, { partitions: 3, replays: [] });
  expect(problems).toHaveLength(1);
  return problems[0];
}

const NOW = Date.parse("2026-03-05T15:00:00Z");
const MINUTE_MS = 60_000;
/** What must be in no sum of the others. */
const OTHER_LANE = { waitingEvents: 1_000, oldestAt: 1, lossAt: 1, expiredLately: 0 };

test.each([
  ["dead_letters", [{ deadLetters: 3 }, { deadLetters: 4 }], "segment has refused 7 events for good: they wait as"],
  ["events_parked", [{ parkedEvents: 1 }, { parkedEvents: 2 }], "3 events of some users wait for segment"],
  ["events_lost", [{ expiredLately: 5 }, { expiredLately: 6 }], "Retention took 11 events from segment"],
  [
    "key_refused",
    [
      { mode: "halted", reason: "401", since: NOW - MINUTE_MS, waitingEvents: 20 },
      { mode: "halted", reason: "401", since: NOW - 3 * MINUTE_MS, waitingEvents: 1_000 },
    ],
    "Partitions 0, 2: segment refuses the key since 14:57 UTC (401); 1,020 events are kept.",
  ],
  [
    "destination_failing",
    [
      { lastError: "503", lastErrorAt: NOW - 9, since: NOW - 2 * MINUTE_MS, waitingEvents: 1 },
      { lastError: "502", lastErrorAt: NOW - 8, since: NOW - MINUTE_MS, waitingEvents: 2 },
    ],
    "Partitions 0, 2: segment has taken nothing since 14:59 UTC (502); 3 events are kept.",
  ],
  [
    "lane_stalled",
    [
      { since: NOW - 4 * MINUTE_MS, waitingEvents: 1 },
      { since: NOW - 5 * MINUTE_MS, waitingEvents: 2 },
    ],
    "Partitions 0, 2: segment has made no progress since 14:56 UTC, though nothing fails; 3 events are kept.",
  ],
  [
    "rate_limited",
    [
      { since: NOW - 7 * MINUTE_MS, waitingEvents: 1, oldestAt: NOW - 8 * MINUTE_MS },
      { since: NOW - 6 * MINUTE_MS, waitingEvents: 2, oldestAt: NOW - 9 * MINUTE_MS },
    ],
    "Partitions 0, 2: segment limits how much it takes since 14:53 UTC; 3 events are kept, the oldest for 9 minutes.",
  ],
  [
    "loss_soon",
    [
      { waitingEvents: 1, lossAt: NOW + 9 * MINUTE_MS },
      { waitingEvents: 2, lossAt: NOW + 8 * MINUTE_MS },
    ],
    "Partitions 0, 2: In 8 minutes retention begins to take events that wait for segment: 3 events wait.",
  ],
] as const)(
  "%s of several lanes has their sums and earliest times, or since when none of them has done anything",
  (code, lanes, what) => {
    const problem = problemOfTwo(code, lanes);
    expect(problem?.environment).toBe("production");
    expect(problem?.what.startsWith(what)).toBe(true);
  },
);

test("a problem that all partitions have does not name them", () => {
  const there = (partition: number): Overview =>
    overviewOf([overviewLane({ partition, relay: "one", changes: { waitingEvents: 2 } })], {
      now: NOW,
      problems: [{ ...LANE_PAUSED, environment: `production/${partition}`, since: NOW - (20 + partition) * MINUTE_MS }],
    });
  const { problems } = wholeOverview(there(0), { found: [found("two", there(1))], unanswered: [] }, PARTS);
  expect(problems).toMatchObject([{ what: "segment is paused since 14:39 UTC; 4 events are kept." }]);
});

const LANE_PAUSED = {
  severity: "warning",
  code: "lane_paused",
  destination: "segment",
  what: "segment is paused.",
  doThis: "Do.",
} as const;

interface PolledWorld {
  readonly clock: VirtualClock;
  readonly polled: PolledOverviews;
  readonly relays: RelayEntry[];
  readonly asked: string[];
  readonly hanging: Set<string>;
}

function polledWorld(): PolledWorld {
  const clock = new VirtualClock();
  const relays = ["one", "two", "three"].map((name) =>
    relayEntry(name, { isSelf: name === "one", adminUrl: `http://${name}.test` }),
  );
  const asked: string[] = [];
  const hanging = new Set<string>();
  const transport: Transport = ({ url }, signal) => {
    const name = new URL(url).hostname.split(".")[0] ?? "";
    asked.push(name);
    if (hanging.has(name))
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
    const lane = overviewLane({ partition: name === "two" ? 1 : 2, relay: name });
    return Promise.resolve({ status: 200, headers: {}, body: JSON.stringify(overviewOf([lane])) });
  };
  const peers = new Peers({
    clock,
    random: new SeededRandom(1),
    transport,
    token: () => undefined,
    directory: { selfId: "id-one", relays: () => relays },
    partitions: 3,
  });
  return {
    clock,
    polled: new PolledOverviews(clock, { peers: () => peers, replays: new WholeReplays(clock, () => undefined) }),
    relays,
    asked,
    hanging,
  };
}

const HERE = overviewOf([overviewLane({ partition: 0, relay: "one" })]);

test("others are asked at most once a second, however often it is looked, and not when nobody looks", async () => {
  const { clock, polled, asked } = polledWorld();
  const answered = polled.answered();
  await clock.advance(0);
  await answered;
  for (let look = 0; look < 20; look++) {
    expect(destinationOf(polled.whole(HERE)).missingPartitions).toEqual([]);
    await clock.advance(100);
  }
  expect(asked).toEqual(["two", "three", "two", "three"]);
  await clock.advance(60_000);
  expect(asked).toHaveLength(4);
});

test("a relay that hangs holds up nobody: what it answered last is shown, then that it does not answer", async () => {
  const { clock, polled, hanging, relays } = polledWorld();
  polled.whole(HERE);
  await clock.advance(1_000);
  hanging.add("two");
  polled.whole(HERE);
  await clock.advance(1_900);
  const before = polled.whole(HERE);
  expect([destinationOf(before).missingPartitions, before.problems]).toEqual([[], []]);
  await clock.advance(100);
  const after = polled.whole(HERE);
  expect(destinationOf(after).missingPartitions).toEqual([1]);
  expect(after.problems).toMatchObject([{ code: "relay_unanswered" }]);
  relays.splice(1, 1, relayEntry("two", { isMissing: true }));
  expect(polled.whole(HERE).problems).toEqual([]);
});
