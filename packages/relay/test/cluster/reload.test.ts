/** Reloads and pauses reach every lane, also those that are being opened when they come. */
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import type { Holds } from "../../src/cluster/holds.ts";
import { configOf, openOn } from "./lib/environment.ts";

const PARTITIONS = 3;
/** Lanes are open after that, at the latest. */
const LATEST_MS = 60;
const STEP_MS = 3;

test("lanes that are opened while a reload is under way have the new settings", async () => {
  for (let afterMs = 0; afterMs <= LATEST_MS; afterMs += STEP_MS) {
    const clock = new VirtualClock();
    const environment = await openOn({
      clock,
      broker: new SimCluster({ clock, random: new SeededRandom(1) }).connect("one"),
      partitions: PARTITIONS,
    });
    environment.start();
    await clock.advance(afterMs);
    const { commit } = await environment.prepare(configOf("new"));
    await clock.advance(STEP_MS);
    void commit(1_000);
    await clock.until(() => environment.shards.length === PARTITIONS);
    await clock.advance(5_000);
    const lanes = environment.shards.map((shard) => shard.destination("segment"));
    const keys = lanes.map((lane) => JSON.stringify(lane?.config).includes('"new"'));
    expect(keys, `a reload after ${afterMs} ms`).toEqual([true, true, true]);
  }
});

test("a lane begins once all is read that was asked for, and paused where that says so", async () => {
  const clock = new VirtualClock();
  let isRead = false;
  let paused = true;
  let changes = 0;
  const holds: Holds = {
    caughtUpWithAll: () => (isRead ? Promise.resolve() : Promise.reject(new Error("not read"))),
    holdOf: ({ environment: of, destination }) => (paused ? `${of}/${destination} is paused` : undefined),
    lanesChanged: () => void (changes += 1),
  };
  const broker = new SimCluster({ clock, random: new SeededRandom(1) }).connect("one");
  const environment = await openOn({ clock, broker, partitions: PARTITIONS, holds });
  environment.start();
  await clock.advance(30_000);
  expect(environment.shards).toEqual([]);
  isRead = true;
  await clock.until(() => environment.laneEntries().length === PARTITIONS);
  expect(changes).toBe(PARTITIONS);
  const modes = (): readonly string[] => environment.laneEntries().map(({ mode, reason }) => `${mode}: ${reason}`);
  expect(new Set(modes())).toEqual(new Set(["paused: test/segment is paused"]));
  paused = false;
  environment.steer("segment");
  expect(new Set(modes())).toEqual(new Set(["idle: undefined"]));
  expect(environment.laneEntries()[0]).toMatchObject({ environment: "test", destination: "segment", pendingEvents: 0 });
  void environment.close(1_000);
  await clock.advance(2_000);
  expect(changes).toBe(2 * PARTITIONS);
});
