/** Relays before one cluster: what any of them takes is delivered once, by whoever has the lane. */
import { type Broker, BrokerError } from "@waybill/log-kafka";
import { nodeClock } from "@waybill/node";
import type { RunningRelay } from "@waybill/relay";
import { expect, test } from "vitest";
import { until } from "../lib/world.ts";
import { capture, PARTITIONS, startCluster } from "./lib/cluster-world.ts";

/** A lane that is on its way from one relay to another is at neither. */
function settled(...relays: readonly RunningRelay[]): boolean {
  const lanes = relays.flatMap((relay) => relay.accounts().lanes);
  return lanes.length === PARTITIONS && lanes.every(({ account }) => account.pending === 0);
}

test("what one relay accepts is delivered, also by another one after it has stopped", async () => {
  const { emulator, start } = await startCluster();
  const one = await start("one");
  expect(await capture(one, 0, 50)).toMatch(/^test\/\d@\d+\+\d+/);
  await until(() => emulator.received >= 50);

  const two = await start("two");
  await until(
    () => two.accounts().lanes.length > 0 && one.accounts().lanes.length + two.accounts().lanes.length === PARTITIONS,
  );
  await capture(one, 50, 50);
  await capture(two, 100, 50);
  await until(() => emulator.received >= 150);
  await one.stop();
  await until(() => two.accounts().lanes.length === PARTITIONS);
  await capture(two, 150, 50);
  await until(() => emulator.received >= 200 && settled(two));

  const numbers = emulator.events.map(({ messageId }) => Number(messageId.slice(2)));
  expect([...numbers].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, index) => index));
  for (let user = 0; user < 10; user++) {
    const own = numbers.filter((number) => number % 10 === user);
    expect(own).toEqual(own.toSorted((a, b) => a - b));
  }
  const delivered = two.accounts().lanes.reduce((sum, { account }) => sum + account.delivered, 0);
  expect(delivered).toBe(200);
  expect(two.accounts().lanes.every(({ account }) => account.balanced)).toBe(true);
});

test("copies of an event are dropped as duplicates, whichever relay took them", async () => {
  const { emulator, start } = await startCluster();
  const one = await start("one");
  const two = await start("two");
  await capture(one, 0, 20);
  await capture(two, 0, 20);
  await capture(two, 20, 5);
  await until(() => emulator.received >= 25 && settled(one, two));
  const lanes = [...one.accounts().lanes, ...two.accounts().lanes];
  expect(lanes.reduce((sum, { account }) => sum + (account.droppedByReason["duplicate"] ?? 0), 0)).toBe(20);
  expect(emulator.received).toBe(25);
});

/** The first calls that read commits meet a coordinator that is being elected. */
function electing(broker: Broker, take: () => boolean): Broker {
  const committed = broker.committed.bind(broker);
  return Object.assign(broker, {
    committed: (asked: Parameters<Broker["committed"]>[0]) =>
      take() ? Promise.reject(new BrokerError("not_leader", "no coordinator yet")) : committed(asked),
  });
}

test("a relay starts while the coordinators of its groups are still being elected", async () => {
  const { emulator, start } = await startCluster();
  let refusals = 2;
  const relay = await start("one", { around: (broker) => electing(broker, () => refusals > 0 && refusals-- > 0) });
  expect(refusals).toBe(0);
  await capture(relay, 0, 5);
  await until(() => emulator.received === 5);
});

test("a lane that meets an election when it is opened does not wait for long", async () => {
  const { emulator, start } = await startCluster();
  const one = await start("one");
  await capture(one, 0, 20);
  await until(() => emulator.received === 20);
  let refusals = 0;
  const two = await start("two", { around: (broker) => electing(broker, () => refusals > 0 && refusals-- > 0) });
  refusals = PARTITIONS;
  const startedAtMs = nodeClock.monotonic();
  await one.stop();
  await until(() => two.accounts().lanes.length === PARTITIONS);
  expect(refusals).toBe(0);
  expect(nodeClock.monotonic() - startedAtMs).toBeLessThan(4_000);
});
