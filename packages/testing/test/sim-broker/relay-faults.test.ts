import { expect, test } from "vitest";
import { AT, ClusterWorld, DEADLINE, GROUP, RELAY } from "./lib/cluster-world.ts";

test("an isolated relay reaches nobody: at once or by its deadline, and nothing is done", async () => {
  const world = await ClusterWorld.of();
  await world.done(world.produce("a"));
  world.cluster.isolate(RELAY);
  const before = world.clock.monotonic();
  expect(await world.code(world.produce("b"))).toBe("timeout");
  expect(world.clock.monotonic() - before).toBe(1_000);
  world.cluster.isolate(RELAY, world.cluster.brokers, "refused");
  expect(await world.code(world.produce("c"))).toBe("unreachable");
  expect(await world.code(world.produce("d", { broker: world.cluster.connect("relay-2") }))).toBe("done");
  world.cluster.heal(RELAY);
  expect(await world.eventually(() => world.produce("e"))).toMatchObject({ offset: 2 });
  expect(world.texts).toEqual(["a", "d", "e"]);
  expect(world.cluster.injected.get("relay isolated")).toBe(2);
});

test("a relay may reach some brokers and not others", async () => {
  const world = await ClusterWorld.of({}, 3);
  world.cluster.isolate(RELAY, [world.leader]);
  expect(await world.code(world.produce("a"))).toBe("timeout");
  const elsewhere = { topic: AT.topic, partition: 1, values: [Buffer.from("b")], ...DEADLINE };
  expect(await world.eventually(() => world.broker.produce(elsewhere))).toMatchObject({ offset: 0 });
});

test("a relay that hears nothing is heard: what it asks for is done", async () => {
  const world = await ClusterWorld.of();
  await world.done(world.produce("a"));
  world.cluster.isolate(RELAY, world.cluster.brokers, "deaf");
  expect(await world.code(world.produce("b"))).toBe("timeout");
  expect(world.texts).toEqual(["a", "b"]);
});

test("a relay that is cut off while it waits does not hear that it was done", async () => {
  const world = await ClusterWorld.of({ latencyMs: 20, replicationMs: 50 });
  await world.done(world.produce("a"));
  const producing = world.produce("b");
  producing.catch(() => undefined);
  await world.clock.advance(21);
  world.cluster.isolate(RELAY);
  expect(await world.code(producing)).toBe("timeout");
  expect(world.texts).toEqual(["a", "b"]);
});

test("an answer may be lost although it was done", async () => {
  const world = await ClusterWorld.of();
  const { memberEpoch } = await world.done(world.join("m"));
  await world.done(world.produce("a"));
  world.cluster.faults = { loseAnswer: 1 };
  const codes = new Set<string>();
  for (let offset = 1; offset <= 10; offset++) {
    codes.add(await world.code(world.produce("b")));
    world.cluster.faults = {};
    await world.done(world.committed());
    world.cluster.faults = { loseAnswer: 1 };
    codes.add(await world.code(world.commit("m", memberEpoch, offset)));
    expect(world.offset).toBe(offset);
    world.cluster.faults = {};
    await world.done(world.fetch(0));
    world.cluster.faults = { loseAnswer: 1 };
  }
  expect(codes).toEqual(new Set(["timeout", "unreachable"]));
  expect(world.texts.length).toBe(11);
  expect(world.cluster.injected.get("loseAnswer")).toBe(20);
});

test("a request may be done after its deadline, and after its connection was closed", async () => {
  const world = await ClusterWorld.of();
  const other = world.cluster.connect("relay-2");
  const { memberEpoch } = await world.done(world.join("m"));
  await world.done(world.produce("a", { broker: other }));
  await world.done(world.committed(other));
  world.cluster.faults = { late: 1 };
  expect(await world.code(world.produce("late", { broker: other }))).toBe("timeout");
  expect(await world.code(world.commit("m", memberEpoch, 7, other))).toBe("timeout");
  world.cluster.faults = {};
  expect([world.texts, world.offset]).toEqual([["a"], undefined]);
  await world.done(other.close());
  await world.clock.advance(10_000);
  expect([world.texts, world.offset]).toEqual([["a", "late"], 7]);
});

test("a commit that arrives after its member was expelled is refused", async () => {
  const world = await ClusterWorld.of();
  const { memberEpoch } = await world.done(world.join("m"));
  await world.done(world.commit("m", memberEpoch, 1));
  world.cluster.faults = { late: 1 };
  expect(await world.code(world.commit("m", memberEpoch, 2))).toBe("timeout");
  world.cluster.faults = {};
  world.cluster.expel(GROUP, "m");
  await world.clock.advance(11_000);
  expect(world.offset).toBe(1);
  expect(await world.code(world.beat("m", memberEpoch))).toBe("fenced");
  expect(world.cluster.injected.get("member expelled")).toBe(1);
});

test("a commit that comes late overwrites a newer one of the same member, unless that has left meanwhile", async () => {
  for (const leaves of [false, true]) {
    const world = await ClusterWorld.of();
    const { memberEpoch } = await world.done(world.join("m"));
    await world.done(world.committed());
    world.cluster.faults = { late: 1 };
    expect(await world.code(world.commit("m", memberEpoch, 1))).toBe("timeout");
    world.cluster.faults = {};
    let next = { memberId: "m", memberEpoch };
    if (leaves) {
      await world.done(world.beat("m", -1));
      next = { memberId: "n", ...(await world.done(world.join("n"))) };
    }
    expect(await world.done(world.committed())).toEqual([]);
    await world.done(world.commit(next.memberId, next.memberEpoch, 2));
    await world.clock.advance(11_000);
    expect(world.offset).toBe(leaves ? 2 : 1);
  }
});

test("a request may be done twice", async () => {
  const world = await ClusterWorld.of();
  world.cluster.faults = { duplicate: 1 };
  await world.done(world.produce("a"));
  expect(world.texts).toEqual(["a", "a"]);
});

test("a call that never settles ends with its deadline, and another one begins", async () => {
  const world = await ClusterWorld.of();
  world.cluster.faults = { stuck: 1 };
  const before = world.clock.monotonic();
  expect(await world.code(world.produce("a"))).toBe("timeout");
  expect(world.clock.monotonic() - before).toBe(1_000);
  world.cluster.faults = { refuse: 1 };
  expect(await world.code(world.produce("b"))).toBe("unreachable");
  world.cluster.faults = { slow: 1 };
  expect(await world.code(world.produce("c", { deadlineMs: 10_000 }))).toBe("done");
  expect(world.clock.monotonic() - before).toBeGreaterThan(1_100);
  expect(world.texts).toEqual(["c"]);
  expect([...world.cluster.injected.keys()]).toEqual(["stuck", "refuse", "slow"]);
});

test("a full cluster takes nothing until there is room again", async () => {
  const world = await ClusterWorld.of();
  world.cluster.fill();
  expect(await world.code(world.produce("a"))).toBe("not_enough_replicas");
  world.cluster.fill(false);
  expect(await world.code(world.produce("b"))).toBe("done");
  expect(world.texts).toEqual(["b"]);
});

test("a paused relay hears everything once it goes on", async () => {
  const world = await ClusterWorld.of();
  let heard = "nothing";
  const call = world.produce("a").then(
    () => {
      heard = "done";
    },
    () => {
      heard = "failed";
    },
  );
  world.cluster.pause(RELAY);
  await world.clock.advance(5_000);
  expect(heard).toBe("nothing");
  world.cluster.resume(RELAY);
  await call;
  expect(heard).not.toBe("nothing");
});

test("a paused member is expelled, and its epoch does not count any more", async () => {
  const world = await ClusterWorld.of({ sessionTimeoutMs: 5_000 });
  const other = world.cluster.connect("relay-2");
  const { memberEpoch } = await world.done(world.join("m"));
  world.cluster.pause(RELAY);
  await world.clock.advance(5_000);
  const { memberEpoch: next, assignment } = await world.done(world.join("n", other));
  expect(assignment).toEqual([AT]);
  await world.done(world.commit("n", next, 5, other));
  world.cluster.resume(RELAY);
  expect(await world.code(world.commit("m", memberEpoch, 2))).toBe("fenced");
  expect(await world.code(world.beat("m", memberEpoch))).toBe("fenced");
  expect(world.offset).toBe(5);
});

test("a foreign client overwrites an empty group, and offsets expire", async () => {
  const world = await ClusterWorld.of();
  const { memberEpoch } = await world.done(world.join("m"));
  await world.done(world.commit("m", memberEpoch, 5));
  const foreign = [{ ...AT, offset: 0, metadata: "" }];
  expect(world.cluster.overwrite(GROUP, foreign)).toBe(false);
  await world.done(world.beat("m", -1));
  expect(world.cluster.overwrite(GROUP, foreign)).toBe(true);
  expect(await world.done(world.committed())).toEqual(foreign);
  expect(world.cluster.expireOffsets(GROUP)).toBe(true);
  expect(await world.done(world.committed())).toEqual([]);
  expect(world.cluster.expireOffsets(GROUP)).toBe(false);
  expect([...world.cluster.injected]).toEqual([
    ["group overwritten", 1],
    ["offsets expired", 1],
  ]);
});

test("records go by age: at once by a call, and from time to time", async () => {
  const world = await ClusterWorld.of();
  await world.done(world.produce("a"));
  await world.clock.advance(50_000);
  await world.done(world.produce("b"));
  expect(world.cluster.retain()).toBe(0);
  await world.clock.advance(20_000);
  expect(world.cluster.retain()).toBe(1);
  expect(await world.code(world.fetch(0))).toBe("offset_out_of_range");
  expect(await world.done(world.fetch(1))).toMatchObject({ first: 1, end: 2 });
  await world.clock.advance(300_000);
  expect(await world.done(world.fetch(2))).toMatchObject({ first: 2, end: 2 });
});

test("who is not allowed to, and a cluster without these groups, are refused", async () => {
  const world = await ClusterWorld.of({ groups: "classic" });
  expect(await world.code(world.join("m"))).toBe("unsupported");
  const stranger = world.cluster.connect("stranger", { isAuthorized: false });
  expect(await world.code(world.produce("a", { broker: stranger }))).toBe("unauthorized");
  expect(await world.code(world.committed(stranger))).toBe("unauthorized");
});

test("an older broker has no members, and takes from those that it got the newest epoch alone", async () => {
  const world = await ClusterWorld.of();
  const { memberEpoch: first } = await world.done(world.join("m"));
  await world.done(world.commit("m", first, 1));
  const subscription = { group: GROUP, memberId: "m", memberEpoch: first, topics: [AT.topic, "another"] };
  const { memberEpoch: second } = await world.done(world.broker.heartbeat({ ...subscription, ...DEADLINE }));
  expect(second).toBeGreaterThan(first);
  await world.done(world.commit("m", first, 2));
  const older = world.cluster.coordinatorOf(GROUP) as number;
  world.cluster.setOlder(older);
  expect(await world.code(world.commit("m", first, 3))).toBe("fenced");
  expect(await world.code(world.beat("m", second))).toBe("unsupported");
  await world.done(world.commit("m", second, 4));
  world.cluster.moveCoordinator(GROUP);
  await world.eventually(() => world.beat("m", second));
  await world.done(world.commit("m", first, 5));
  expect(world.offset).toBe(5);
});

test("brokers' clocks may differ", async () => {
  const world = await ClusterWorld.of({ clockSkewMs: 10_000 });
  await world.done(world.produce("a"));
  world.cluster.moveLeader(AT);
  await world.eventually(() => world.produce("b"));
  const { records } = await world.done(world.fetch(0));
  const stamps = records.map(({ appendedAtMs }) => appendedAtMs - world.clock.now());
  for (const stamp of stamps) expect(Math.abs(stamp)).toBeLessThanOrEqual(10_001);
  expect(Math.abs((stamps[0] as number) - (stamps[1] as number))).toBeGreaterThan(100);
});
