import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { AT, ClusterWorld, DEADLINE, GROUP } from "./lib/cluster-world.ts";

const FAILOVER_MS = 3_000;

test("a killed leader is unreachable until another one leads, and nothing acknowledged is lost", async () => {
  const world = await ClusterWorld.of({ failoverMs: FAILOVER_MS });
  await world.done(world.produce("a"));
  const before = world.leader;
  world.cluster.kill(before);
  expect(await world.code(world.produce("b"))).toBe("unreachable");
  await world.clock.advance(FAILOVER_MS);
  expect(world.leader).not.toBe(before);
  expect(await world.eventually(() => world.produce("c"))).toMatchObject({ offset: 1 });
  world.cluster.restart(before);
  await world.clock.advance(100);
  expect(world.cluster.isWhole).toBe(true);
  expect(world.texts).toEqual(["a", "c"]);
  expect(world.cluster.injected.get("broker killed")).toBe(1);
});

test("what only the dead leader had is gone: with acks=1 it was acknowledged, with all not", async () => {
  for (const acks of ["all", 1] as const) {
    const world = await ClusterWorld.of({ replicationMs: 200 });
    const broker = world.cluster.connect("relay-2", { acks });
    await world.done(world.produce("kept"));
    const producing = world.produce("lost?", { broker });
    producing.catch(() => undefined);
    await world.clock.advance(50);
    world.cluster.kill(world.leader);
    expect(await world.code(producing)).toBe(acks === 1 ? "done" : "unreachable");
    await world.clock.advance(FAILOVER_MS);
    for (const one of world.cluster.brokers) world.cluster.restart(one);
    await world.clock.advance(1_000);
    expect(world.texts).toEqual(["kept"]);
  }
});

test("the power cut of one machine takes nothing that was acknowledged", async () => {
  for (let round = 0; round < 3; round++) {
    const world = await ClusterWorld.of();
    for (const text of "abcdefgh") await world.done(world.produce(text));
    const broker = world.cluster.brokers[round] as number;
    world.cluster.kill(broker, { losesPower: true });
    // Whether the others noticed it or not.
    if (round > 0) await world.clock.advance(FAILOVER_MS);
    world.cluster.restart(broker);
    await world.clock.advance(100);
    expect(world.texts.join("")).toBe("abcdefgh");
    expect(world.cluster.isWhole).toBe(true);
  }
});

test("a power cut takes all of what was written by one call, or nothing of it", async () => {
  const world = await ClusterWorld.of({ replicationMs: 10 });
  const values = [..."abc"].map((text) => Buffer.from(text));
  const taken: number[] = [];
  for (let round = 0; round < 10; round++) {
    await world.done(world.broker.produce({ ...AT, values, ...DEADLINE }));
    await world.clock.advance(100);
    const [broker] = world.cluster.brokers.filter((one) => one !== world.leader) as [number];
    const end = world.cluster.endOf(AT, broker);
    world.cluster.kill(broker, { losesPower: true });
    world.cluster.restart(broker);
    taken.push(end - world.cluster.endOf(AT, broker));
    await world.clock.advance(100);
  }
  expect(taken.some((records) => records > 0)).toBe(true);
  expect(taken.every((records) => records % values.length === 0)).toBe(true);
  expect(world.texts.length).toBe(30);
});

test("a broker that stops hands over at once", async () => {
  const world = await ClusterWorld.of();
  await world.done(world.produce("a"));
  world.cluster.stop(world.leader);
  expect(await world.code(world.produce("b"))).toBe("unreachable");
  expect(await world.code(world.produce("c"))).toBe("done");
  expect(world.texts).toEqual(["a", "c"]);
});

test("without a leader there is nobody to take a record; once one is back there is", async () => {
  const world = await ClusterWorld.of({ failoverMs: 100 });
  await world.done(world.produce("a"));
  for (const broker of [1, 2]) world.cluster.kill(broker);
  await world.clock.advance(200);
  expect(await world.code(world.eventually(() => world.produce("b")))).not.toBe("done");
  expect(world.leader).toBe(3);
  expect(await world.code(world.produce("c"))).toBe("not_enough_replicas");
  world.cluster.kill(3);
  await world.clock.advance(200);
  expect(world.cluster.leaderOf(AT)).toBeUndefined();
  expect(await world.code(world.produce("d"))).toBe("unreachable");
  for (const broker of world.cluster.brokers) world.cluster.restart(broker);
  expect(await world.eventually(() => world.produce("e"))).toMatchObject({ offset: 1 });
});

test("a leader that moved is not known until it is looked up anew", async () => {
  const world = await ClusterWorld.of();
  await world.done(world.produce("a"));
  const waiting = world.fetch(1, { maxWaitMs: 500 });
  waiting.catch(() => undefined);
  await world.clock.advance(10);
  expect(world.cluster.moveLeader(AT)).toBe(true);
  expect(await world.code(waiting)).toBe("not_leader");
  expect(await world.code(world.produce("b"))).toBe("done");
  world.cluster.moveLeader(AT, 1);
  expect(await world.code(world.produce("c"))).toBe("not_leader");
  expect(await world.code(world.produce("d"))).toBe("done");
  expect(world.texts).toEqual(["a", "b", "d"]);
});

test("a leader that is asked while it waits for the others may answer that it leads no more, and all keep it", async () => {
  const world = await ClusterWorld.of({ replicationMs: 100 });
  const producing = world.produce("a");
  producing.catch(() => undefined);
  // One follower has it, the other does not.
  let next: number | undefined;
  for (; next === undefined; await world.clock.advance(1))
    next = world.cluster.brokers.find((broker) => broker !== world.leader && world.cluster.endOf(AT, broker) === 1);
  world.cluster.moveLeader(AT, next);
  expect(await world.code(producing)).toBe("not_leader");
  await world.clock.advance(500);
  expect(world.texts).toEqual(["a"]);
});

test("who leads since a moment knows less of the end than was read before", async () => {
  const world = await ClusterWorld.of({ replicationMs: 200, latencyMs: 0 });
  await world.done(world.produce("a"));
  await world.clock.advance(1_000);
  await world.done(world.produce("b"));
  expect((await world.done(world.fetch(1))).end).toBe(2);
  world.cluster.moveLeader(AT);
  expect(await world.code(world.fetch(1))).toBe("not_leader");
  expect(await world.code(world.broker.offsetAt({ ...AT, at: "end", deadlineMs: 50 }))).toBe("not_leader");
  const early = await world.done(world.fetch(1));
  expect(early.end).toBeLessThan(2);
  expect(early.records).toEqual([]);
  await world.clock.advance(500);
  expect((await world.done(world.fetch(1))).end).toBe(2);
});

test("acknowledgements wait for who lags, then too few are in sync: refused, and kept all the same", async () => {
  const world = await ClusterWorld.of({ replicaLagMs: 500 });
  await world.done(world.produce("a"));
  const followers = world.cluster.brokers.filter((broker) => broker !== world.leader);
  for (const broker of followers) world.cluster.lag(broker);
  const before = world.clock.monotonic();
  expect(await world.code(world.produce("b"))).toBe("not_enough_replicas");
  expect(world.clock.monotonic() - before).toBeGreaterThan(400);
  expect(await world.code(world.produce("c"))).toBe("not_enough_replicas");
  expect(world.texts).toEqual(["a"]);
  for (const broker of followers) world.cluster.catchUp(broker);
  await world.clock.advance(10);
  expect(world.texts).toEqual(["a", "b"]);
  expect(await world.code(world.produce("d"))).toBe("done");
  expect(world.cluster.injected.get("broker lagging")).toBe(2);
});

test("one that lags slows acknowledgements down until it is not waited for any more", async () => {
  const world = await ClusterWorld.of({ replicaLagMs: 500 });
  world.cluster.lag(world.cluster.brokers.find((broker) => broker !== world.leader) as number);
  const before = world.clock.monotonic();
  expect(await world.code(world.produce("a"))).toBe("done");
  expect(world.clock.monotonic() - before).toBeGreaterThan(400);
  expect(await world.code(world.produce("b", { deadlineMs: 10 }))).toBe("done");
});

test("a leader that is cut off goes on, but what it takes is never acknowledged nor kept", async () => {
  const world = await ClusterWorld.of({ failoverMs: 1_000 });
  const other = world.cluster.connect("relay-2");
  await world.done(world.produce("a"));
  const before = world.leader;
  world.cluster.cutOff(before);
  await world.clock.advance(1_000);
  expect(world.leader).not.toBe(before);
  expect(await world.code(world.produce("old"))).toBe("timeout");
  expect(await world.eventually(() => world.produce("new", { broker: other }))).toMatchObject({ offset: 1 });
  world.cluster.isolate(
    "relay-1",
    world.cluster.brokers.filter((one) => one !== before),
  );
  expect((await world.eventually(() => world.fetch(1))).end).toBe(1);
  world.cluster.rejoin(before);
  world.cluster.heal("relay-1");
  await world.clock.advance(100);
  expect(world.cluster.isWhole).toBe(true);
  expect(world.texts).toEqual(["a", "new"]);
  expect((await world.eventually(() => world.fetch(1))).end).toBe(2);
});

test("a coordinator that is cut off answers as before, and stores nothing", async () => {
  const world = await ClusterWorld.of({ failoverMs: 1_000 });
  const other = world.cluster.connect("relay-2");
  const { memberEpoch } = await world.done(world.join("m"));
  await world.done(world.commit("m", memberEpoch, 1));
  world.cluster.cutOff(world.cluster.coordinatorOf(GROUP) as number);
  await world.clock.advance(1_000);
  expect(await world.done(world.beat("m", memberEpoch))).toMatchObject({ memberEpoch, assignment: undefined });
  expect(await world.code(world.commit("m", memberEpoch, 2))).toBe("timeout");
  await world.eventually(() => world.commit("m", memberEpoch, 3, other));
  expect(world.offset).toBe(3);
  for (const broker of world.cluster.brokers) world.cluster.rejoin(broker);
  await world.clock.advance(100);
  expect(await world.eventually(() => world.committed())).toMatchObject([{ offset: 3 }]);
});

test("a commit's coordinator is killed: done before, not done, or done without an answer", async () => {
  const seen = new Set<string>();
  for (let afterMs = 0; afterMs < 60; afterMs++) {
    const random = new SeededRandom(afterMs);
    const world = await ClusterWorld.of({ random, replicationMs: 30, latencyMs: 10, failoverMs: 100 });
    const { memberEpoch } = await world.done(world.join("m"));
    await world.done(world.commit("m", memberEpoch, 1));
    const committing = world.commit("m", memberEpoch, 2);
    committing.catch(() => undefined);
    await world.clock.advance(afterMs);
    world.cluster.kill(world.cluster.coordinatorOf(GROUP) as number);
    const code = await world.code(committing);
    await world.clock.advance(1_000);
    seen.add(`${code} ${world.offset}`);
    // The group outlives its coordinator, with each member's epoch.
    await world.eventually(() => world.commit("m", memberEpoch, 5));
    expect(world.offset).toBe(5);
  }
  expect([...seen].sort((one, other) => one.localeCompare(other))).toEqual([
    "done 2",
    "unreachable 1",
    "unreachable 2",
  ]);
});

test("a coordinator that moved is looked up anew", async () => {
  const world = await ClusterWorld.of();
  const { memberEpoch } = await world.done(world.join("m"));
  expect(world.cluster.moveCoordinator(GROUP)).toBe(true);
  expect(await world.code(world.commit("m", memberEpoch, 1))).toBe("not_leader");
  expect(await world.code(world.commit("m", memberEpoch, 2))).toBe("done");
  expect(world.cluster.injected.get("coordinator moved")).toBe(1);
});
