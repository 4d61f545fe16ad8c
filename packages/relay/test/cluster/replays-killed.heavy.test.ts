/** A relay that runs a replay is killed at each call by which it writes something. */
import type { Broker } from "@waybill/log-kafka";
import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { ALL, BATCH, expectAllOnce, PARTITIONS, ReplayWorld, type TestRelay } from "./lib/replay-world.ts";

type Moment = "before" | "after";

/** Its relay is killed at the n-th call that writes: before it is sent, or once it was answered. */
class Killer {
  /** Absent: no call counts yet. */
  wanted: number | undefined;
  calls = 0;
  readonly #moment: Moment;

  constructor(moment: Moment) {
    this.#moment = moment;
  }

  around(broker: Broker, relay: () => TestRelay): Broker {
    const around = <A extends object, B>(call: (asked: A) => Promise<B>): ((asked: A) => Promise<B>) => {
      return async (asked) => {
        // What a relay reports of itself is not a step of a replay.
        if (this.wanted === undefined || ("topic" in asked && asked.topic !== "waybill.desired")) return call(asked);
        this.calls += 1;
        // Others may begin before this one is answered.
        const isWanted = this.calls === this.wanted;
        if (isWanted && this.#moment === "before") relay().kill();
        const answer = await call(asked);
        if (isWanted && this.#moment === "after") {
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
  }
}

/** A relay begins a replay, another joins, and the first one is killed at a call that writes. */
async function replayKilledAt(moment: Moment, wanted: number): Promise<{ readonly calls: number }> {
  const world = new ReplayWorld();
  const killer = new Killer(moment);
  const one = await world.start("one", { around: (broker, relay) => killer.around(broker, relay) });
  await world.clock.until(() => world.areShared(one));
  await world.delivered(8);
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  killer.wanted = wanted;
  // What was in flight is sent as it was, also where batches of now are smaller.
  const two = await world.start("two", { maxEvents: 3 });
  const ended = await world.ended(two, id);
  const { calls } = killer;
  expect(ended.account).toMatchObject({ accepted: 24, delivered: 24, rejected: 0, expired: 0, balanced: true });
  expect(world.isRunning("one")).toBe(wanted === Number.POSITIVE_INFINITY);
  expect(expectAllOnce(world, 8)).toBeLessThanOrEqual(PARTITIONS * BATCH);
  await world.end();
  return { calls };
}

/** Of one that nobody kills. */
const { calls: CALLS } = await replayKilledAt("before", Number.POSITIVE_INFINITY);

test("a replay writes often enough to be killed at many places", () => {
  expect(CALLS).toBeGreaterThan(12);
});

test.each<[Moment, number]>(
  (["before", "after"] as const).flatMap((moment) =>
    Array.from({ length: CALLS }, (_, index): [Moment, number] => [moment, index + 1]),
  ),
)("a relay that is killed %s its write number %i leaves a replay that another one ends", async (moment, call) => {
  await replayKilledAt(moment, call);
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
