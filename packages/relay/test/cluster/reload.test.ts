/** A reload reaches every lane, also those that are being opened when it comes. */
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
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
