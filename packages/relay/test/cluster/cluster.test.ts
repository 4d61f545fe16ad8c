/** Relays before one cluster: what any of them takes is delivered once, by whoever has the lane. */
import { type Broker, BrokerError } from "@waybill/log-kafka";
import type { RunningRelay } from "@waybill/relay";
import { emulators, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { steadyClock } from "../lib/steady-clock.ts";
import { send, until } from "../lib/world.ts";
import { areDone, capture, PARTITIONS, startCluster } from "./lib/cluster-world.ts";

/** A lane that is on its way from one relay to another is at neither. */
function settled(events: number, ...relays: readonly RunningRelay[]): boolean {
  return relays.flatMap((relay) => relay.accounts().lanes).length === PARTITIONS && areDone(events, ...relays);
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
  await until(() => emulator.received >= 200 && settled(200, two));

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
  await until(() => settled(45, one, two));
  const lanes = [...one.accounts().lanes, ...two.accounts().lanes];
  expect(lanes.reduce((sum, { account }) => sum + (account.droppedByReason["duplicate"] ?? 0), 0)).toBe(20);
  expect(emulator.received).toBe(25);
});

test("a request that comes again is known by its own id where its events have none", async () => {
  const flags = new emulators.LaunchDarklyEmulator({ flags: {} });
  const server = await startServer(flags.handle);
  onTestFinished(() => server.close());
  const { start } = await startCluster({
    sources: { flags: { protocol: "launchdarkly", writeKeys: ["sdk-in"] } },
    destinations: { flags: { vendor: "launchdarkly", url: server.url, writeKey: "sdk-out", batch: { linger: "1ms" } } },
  });
  const [one, two] = [await start("one"), await start("two")];
  const events = Array.from({ length: 12 }, (_, index) => ({
    kind: "custom",
    key: "bought",
    creationDate: 1,
    context: { kind: "user", key: `user-${index % 4}` },
  }));
  const post = async (relay: RunningRelay, id: string): Promise<void> => {
    const headers = { authorization: "sdk-in", "x-launchdarkly-event-schema": "4", "x-launchdarkly-payload-id": id };
    expect((await send(relay.intakeUrl, "POST", "/bulk", events, headers)).status).toBe(202);
  };
  await post(one, "payload-1");
  await post(two, "payload-1");
  await post(two, "payload-2");
  const sum = (of: (lane: ReturnType<RunningRelay["accounts"]>["lanes"][number]) => number): number =>
    [...one.accounts().lanes, ...two.accounts().lanes].reduce((total, lane) => total + of(lane), 0);
  await until(() => settled(36, one, two));
  expect(sum(({ account }) => account.delivered)).toBe(24);
  expect(sum(({ account }) => account.droppedByReason["duplicate"] ?? 0)).toBe(12);
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

test("a relay that its group has expelled tells why, once, and delivers again", async () => {
  const { emulator, start, lines } = await startCluster();
  let expelled = 0;
  const relay = await start("one", {
    around: (broker) => {
      const heartbeat = broker.heartbeat.bind(broker);
      return Object.assign(broker, {
        heartbeat: (asked: Parameters<Broker["heartbeat"]>[0]) =>
          expelled > 0 && asked.memberEpoch > 0 && expelled-- > 0
            ? Promise.reject(new BrokerError("fenced", "the group does not know this member"))
            : heartbeat(asked),
      });
    },
  });
  await until(() => relay.accounts().lanes.length === PARTITIONS);
  expelled = 1;
  await until(() => lines.get("one")?.includes("lane_lost") === true);
  await capture(relay, 0, 20);
  await until(() => emulator.received === 20);
  expect(lines.get("one")?.filter((code) => code === "lane_lost")).toHaveLength(1);
});

test("a lane that meets an election when it is opened does not wait for long", async () => {
  const { emulator, start } = await startCluster();
  const one = await start("one");
  await capture(one, 0, 20);
  await until(() => emulator.received === 20);
  let refusals = 0;
  const two = await start("two", { around: (broker) => electing(broker, () => refusals > 0 && refusals-- > 0) });
  refusals = PARTITIONS;
  const startedAtMs = steadyClock.monotonic();
  await one.stop();
  await until(() => two.accounts().lanes.length === PARTITIONS);
  expect(refusals).toBe(0);
  expect(steadyClock.monotonic() - startedAtMs).toBeLessThan(4_000);
});

test("a limit on requests in flight holds for a destination, not for each of its lanes", async () => {
  const MAX_IN_FLIGHT = 2;
  let inFlight = 0;
  let most = 0;
  const held: (() => void)[] = [];
  const { emulator, start } = await startCluster({
    settings: { maxInFlight: MAX_IN_FLIGHT },
    arrived: async () => {
      most = Math.max(most, ++inFlight);
      await new Promise<void>((resume) => held.push(resume));
      inFlight -= 1;
    },
  });
  const relay = await start("one");
  await until(() => relay.accounts().lanes.length === PARTITIONS);
  for (let round = 1; round <= 3; round++) {
    await capture(relay, 40 * round, 40);
    await until(() => relay.accounts().lanes.every(({ account }) => account.pending > 0));
    await until(() => inFlight === MAX_IN_FLIGHT);
    await until(() => {
      for (const resume of held.splice(0)) resume();
      return emulator.received >= 40 * round;
    });
  }
  expect(most).toBe(MAX_IN_FLIGHT);
});
