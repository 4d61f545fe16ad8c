/** Relays that stop, and give their partitions back, although brokers do not answer them. */
import { BrokerError, type FetchRequest } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { PARTITIONS, ReplayWorld, type TestRelay } from "./lib/replay-world.ts";

const CLOSE_MS = 1_000;

/** How long closing took, ms. */
async function closed(world: ReplayWorld, { environment }: TestRelay): Promise<number> {
  const beganAtMs = world.clock.monotonic();
  await world.run(environment.close(CLOSE_MS));
  return world.clock.monotonic() - beganAtMs;
}

test("a relay that cannot read what is asked says so, opens no lane, and gives its partitions back", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  let isRefused = false;
  const two = await world.start("two", {
    around: (broker) => {
      const fetch = broker.fetch.bind(broker);
      return Object.assign(broker, {
        fetch: async (asked: FetchRequest) => {
          if (isRefused && asked.topic === "waybill.desired") throw new BrokerError("unauthorized", "not allowed");
          const fetched = await fetch(asked);
          isRefused ||= asked.topic === "waybill.desired";
          return fetched;
        },
      });
    },
  });
  await world.clock.advance(5_000);
  expect([one, two].map(({ environment }) => environment.laneEntries().length)).toEqual([2, 0]);
  await world.clock.advance(30_000);
  const logged = world.lines.filter((line) => line.startsWith("two lane_not_opened"));
  expect(logged).toHaveLength(1);
  expect(logged[0]).toContain("waybill.desired-0: reading: not allowed");
  await world.produce(4);
  expect(await closed(world, two)).toBeLessThanOrEqual(CLOSE_MS);
  await world.clock.until(() => world.sent.length === 4 * PARTITIONS);
  await world.end();
});

test("a relay that reaches no broker stops within its deadline", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(4);
  world.cluster.isolate("one");
  await world.produce(4, 100);
  await world.clock.advance(2_000);
  expect(await closed(world, one)).toBeLessThanOrEqual(CLOSE_MS);
});
