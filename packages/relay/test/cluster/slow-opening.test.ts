/** A partition that takes long to open, and another relay that joins meanwhile. */
import type { Broker, FetchRequest } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { PARTITIONS, ReplayWorld } from "./lib/replay-world.ts";

/** Longer than a relay may take to let go of a partition. */
const SLOW_MS = 100_000;

test("lanes that send are not lost because another partition takes more than a minute to open", async () => {
  const world = new ReplayWorld();
  const zero = await world.start("zero");
  await world.clock.until(() => world.areShared(zero));
  await world.delivered(20);
  await zero.stop();
  let slowMs = 0;
  // What is read back of one partition, for the ids of duplicates.
  const slow = (broker: Broker): Broker => {
    const fetch = broker.fetch.bind(broker);
    const slowly = async (asked: FetchRequest): ReturnType<Broker["fetch"]> => {
      const isSlow = asked.topic === "waybill.test" && asked.partition === 2 && asked.maxWaitMs === 0;
      const waitMs = isSlow ? slowMs : 0;
      slowMs -= waitMs;
      if (waitMs > 0) await new Promise<void>((resume) => void world.clock.after(waitMs, resume));
      return fetch(asked);
    };
    return Object.assign(broker, { fetch: slowly });
  };
  const one = await world.start("one", { around: slow });
  slowMs = SLOW_MS;
  await world.clock.until(() => one.environment.laneEntries().length === PARTITIONS - 1);
  const two = await world.start("two");
  await world.clock.advance(30_000);
  expect(world.areShared(one, two)).toBe(true);
  await world.clock.advance(SLOW_MS);
  expect(world.areShared(one, two)).toBe(true);
  expect(world.lines.filter((line) => line.includes("lane_lost"))).toEqual([]);
  await world.end();
});
