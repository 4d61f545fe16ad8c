/** A relay that runs a replay is killed at each of the first calls by which it writes something. */
import type { Broker } from "@waybill/log-kafka";
import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { ALL, BATCH, expectAllOnce, PARTITIONS, ReplayWorld, type TestRelay } from "./lib/replay-world.ts";

/** As many a replay makes at least. */
const CALLS = 19;

type Moment = "before" | "after";

/** Kills its relay at the n-th call that writes: before it is sent, or once it was answered. */
function killedAt(wanted: () => number, moment: Moment): (broker: Broker, relay: () => TestRelay) => Broker {
  return (broker, relay) => {
    let calls = 0;
    const around = <A extends object, B>(call: (asked: A) => Promise<B>): ((asked: A) => Promise<B>) => {
      return async (asked) => {
        // What a relay reports of itself is not a step of a replay.
        if (wanted() === 0 || ("topic" in asked && asked.topic !== "waybill.desired")) return call(asked);
        calls += 1;
        // Others may begin before this one is answered.
        const isWanted = calls === wanted();
        if (isWanted && moment === "before") relay().kill();
        const answer = await call(asked);
        if (isWanted && moment === "after") {
          relay().kill();
          return new Promise<never>(() => undefined);
        }
        return answer;
      };
    };
    return Object.assign(broker, {
      commit: around(broker.commit.bind(broker)),
      produce: around(broker.produce.bind(broker)),
    });
  };
}

test.each<[Moment, number]>(
  (["before", "after"] as const).flatMap((moment) =>
    Array.from({ length: CALLS }, (_, index): [Moment, number] => [moment, index + 1]),
  ),
)("a relay that is killed %s its write number %i leaves a replay that another one ends", async (moment, call) => {
  const world = new ReplayWorld();
  let wanted = 0;
  const one = await world.start("one", { around: killedAt(() => wanted, moment) });
  await world.clock.until(() => world.areShared(one));
  await world.delivered(8);
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  wanted = call;
  // What was in flight is sent as it was, also where batches of now are smaller.
  const two = await world.start("two", { maxEvents: 3 });
  const ended = await world.ended(two, id);
  expect(ended.account).toMatchObject({ accepted: 24, delivered: 24, rejected: 0, expired: 0, balanced: true });
  expect(world.isRunning("one")).toBe(false);
  expect(expectAllOnce(world, 8)).toBeLessThanOrEqual(PARTITIONS * BATCH);
  await world.end();
});

test.each(Array.from({ length: 12 }, (_, seed) => [seed]))(
  "whatever relays are killed, stopped, paused and started, three replays end with their ledgers: seed %i",
  async (seed) => {
    const random = new SeededRandom(seed);
    const world = new ReplayWorld();
    const running = [await world.start("r0"), await world.start("r1")];
    await world.clock.until(() => world.areShared(...running));
    await world.delivered(24);
    world.latencyMs = 100;
    const ids: string[] = [];
    const pick = (): TestRelay => random.pick(running);
    for (let step = 0; step < 12; step++) {
      if (step % 4 === 0) ids.push((await world.run(pick().environment.clusterReplays.begin(ALL))).id);
      const relay = pick();
      const what = random.pick(["kill", "stop", "pause", "nothing"] as const);
      if (what === "pause") {
        world.cluster.pause(relay.name);
        await world.clock.advance(random.next() * 90_000);
        world.cluster.resume(relay.name);
      } else if (what !== "nothing") {
        running.splice(running.indexOf(relay), 1, await world.start(`r${step + 2}`, { maxEvents: 2 + (step % 4) }));
        if (what === "kill") relay.kill();
        else await relay.stop();
      }
      await world.clock.advance(random.next() * 2_000);
    }
    for (const id of ids) {
      const ended = await world.ended(pick(), id);
      expect(ended.account).toMatchObject({ accepted: 72, delivered: 72, expired: 0, balanced: true });
    }
    expect(new Set(world.sent).size).toBe(72);
    for (const id of new Set(world.sent)) {
      const times = world.sent.filter((one) => one === id).length;
      expect(times).toBeGreaterThanOrEqual(ids.length);
    }
    await world.end();
  },
);
