/** Replays over the partitions of a cluster, as overviews have them. */
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { WholeReplays } from "../../../src/admin/cluster/whole-replays.ts";
import type { OverviewReplay, ReplayView } from "../../../src/admin/views.ts";
import { overviewLane, overviewOf } from "../../lib/overviews.ts";

const { account } = overviewLane({ partition: 0, relay: "one" });

function replayOf(environment: string, changes: Partial<OverviewReplay> = {}): OverviewReplay {
  return {
    id: "replay-1",
    environment,
    destination: "segment",
    of: "log",
    createdAtMs: 1,
    state: "running",
    account,
    eventsPerSecond: 0,
    ...changes,
  };
}

const HERE = overviewOf([], { replays: [replayOf("production/0", { eventsPerSecond: 0.1 })] });
const THERE = overviewOf([], { replays: [replayOf("production/3", { eventsPerSecond: 0.2 })] });
const WHOLE: ReplayView = replayOf("production", { account: { ...account, accepted: 40 } });

interface World {
  readonly clock: VirtualClock;
  readonly replays: WholeReplays;
  /** What was running at each reading. */
  readonly readings: string[][];
  answer: () => Promise<readonly ReplayView[]>;
}

function started(): World {
  const clock = new VirtualClock();
  const readings: string[][] = [];
  const views = (running: readonly ReplayView[]): Promise<readonly ReplayView[]> => {
    readings.push(running.map(({ environment }) => environment));
    return world.answer();
  };
  const world: World = {
    clock,
    readings,
    replays: new WholeReplays(clock, () => new Map([["production", { views }]])),
    answer: () => Promise.resolve([WHOLE]),
  };
  return world;
}

test("a replay of all partitions is one, with the rates of all relays", async () => {
  const { replays } = started();
  const shown = await replays.now([HERE, THERE]);
  expect(shown).toMatchObject([{ environment: "production", eventsPerSecond: 0.3, account: { accepted: 40 } }]);
});

test("one that only its relay knows of is shown as that tells it", async () => {
  const { replays } = started();
  const other = replayOf("production/1", { id: "replay-2" });
  const shown = await replays.now([HERE, overviewOf([], { replays: [other] })]);
  expect(shown.map(({ environment, id }) => [environment, id])).toEqual([
    ["production", "replay-1"],
    ["production/1", "replay-2"],
  ]);
});

test("who watches has them read at most once a second", async () => {
  const { clock, replays, readings } = started();
  replays.last([HERE, THERE]);
  for (let look = 0; look < 20; look++) {
    await clock.advance(100);
    expect(replays.last([HERE, THERE])).toMatchObject([{ environment: "production" }]);
  }
  expect(readings).toEqual([
    ["production/0", "production/3"],
    ["production/0", "production/3"],
    ["production/0", "production/3"],
  ]);
});

test("brokers that fail or hang hold up no overview: replays are as they were read last", async () => {
  const world = started();
  const { clock, replays } = world;
  await replays.now([HERE]);
  world.answer = () => Promise.reject(new Error("no broker"));
  expect(await replays.now([HERE])).toMatchObject([{ environment: "production" }]);
  world.answer = () => new Promise(() => undefined);
  let shown: readonly OverviewReplay[] | undefined;
  void replays.now([HERE]).then((found) => {
    shown = found;
  });
  await clock.advance(1_999);
  expect(shown).toBeUndefined();
  await clock.advance(1);
  expect(shown).toMatchObject([{ environment: "production" }]);
  // Nor are they read again and again meanwhile.
  await clock.advance(1_000);
  replays.last([HERE]);
  await clock.advance(5_000);
  replays.last([HERE]);
  expect(world.readings).toHaveLength(4);
});
