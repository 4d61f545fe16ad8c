/** What an operator asks of one relay reaches all of them, and those that come later. */
import type { Broker } from "@waybill/log-kafka";
import { expect, test } from "vitest";
import { steadyClock } from "../lib/steady-clock.ts";
import { until } from "../lib/world.ts";
import { areShared, ask, capture, modesOf, PARTITIONS, recordsOf, startCluster } from "./lib/cluster-world.ts";

const DESIRED = { topic: "waybill.desired", partition: 0 };

/** Reading what is desired waits as long as the gate is shut. */
function gated(broker: Broker, gate: () => Promise<void>): Broker {
  const fetch = broker.fetch.bind(broker);
  return Object.assign(broker, {
    fetch: async (asked: Parameters<Broker["fetch"]>[0]) => {
      const fetched = await fetch(asked);
      if (asked.topic === DESIRED.topic && fetched.records.length > 0) await gate();
      return fetched;
    },
  });
}

test("a pause stops the lanes of each relay, and is answered once each has confirmed it", async () => {
  const { cluster, emulator, start } = await startCluster({ clock: steadyClock });
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  let isShut = false;
  const one = await start("one");
  const two = await start("two", { around: (broker) => gated(broker, async () => (isShut ? gate : undefined)) });
  await until(() => areShared(one, two));
  isShut = true;

  let status = 0;
  const pausing = ask(one, "/v1/lanes/test/emulator/pause").then((answered) => (status = answered.status));
  await until(() => modesOf(one).has("paused"));
  const { offset } = cluster.records(DESIRED).find(({ key }) => key?.startsWith("pause/")) as { offset: number };
  await until(() => recordsOf(cluster).some(({ appliedOffset }) => appliedOffset > offset));
  await capture(one, 0, 40);
  await until(() => emulator.received > 0);
  expect(status).toBe(0);
  expect(modesOf(two).has("paused")).toBe(false);
  open();
  await pausing;
  expect(status).toBe(204);
  // What was in flight ends.
  await until(() => [...modesOf(one, two)].join() === "paused");
  const before = emulator.received;
  await capture(two, 40, 40);
  expect((await ask(two, "/v1/lanes/test/emulator/resume")).status).toBe(204);
  expect(before).toBeLessThan(40);
  await until(() => emulator.received === 80);
  expect((await ask(one, "/v1/lanes/test/nobody/pause")).status).toBe(404);
});

test("a relay that comes later, and lanes that move, are paused from their first instant", async () => {
  const { cluster, emulator, start } = await startCluster({ clock: steadyClock });
  const one = await start("one");
  await until(() => one.accounts().lanes.length === PARTITIONS);
  // A partition stands for its destination.
  expect((await ask(one, "/v1/lanes/test%2F1/emulator/pause")).status).toBe(204);
  await capture(one, 0, 30);
  const two = await start("two");
  await until(() => areShared(one, two));
  await one.stop();
  await until(() => two.accounts().lanes.length === PARTITIONS);
  expect([...modesOf(two)]).toEqual(["paused"]);
  expect(emulator.received).toBe(0);
  // Who stopped is not listed any more.
  await until(() => recordsOf(cluster).every(({ lanes }) => lanes.length === PARTITIONS));
  expect(recordsOf(cluster)).toHaveLength(1);
  expect((await ask(two, "/v1/lanes/test/emulator/resume")).status).toBe(204);
  await until(() => emulator.received === 30);
});
