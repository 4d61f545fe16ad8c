import type { CommittedOffset, GroupMember, TopicPartition } from "@waybill/log-kafka";
import { expect } from "vitest";
import { type Check, DEADLINE, type TestMember, type World } from "./world.ts";

const METADATA_MAX = 4_096;

/** Groups of KIP-848, whose commits are fenced for each partition. */
export function testGroups(check: Check): void {
  testMembers(check);
  testLeaving(check);
  testCommits(check);
  testFencing(check);
  testExpelling(check);
}

function testMembers(check: Check): void {
  check("a member alone gets each partition, and hears of it once", async (world) => {
    const topic = await world.topic(3);
    const member = world.member(topic);
    await member.owns(0, 1, 2);
    const again = await member.beat();
    expect(again.assignment).toBeUndefined();
    expect(again.memberEpoch).toBeGreaterThan(0);
    expect(again.heartbeatIntervalMs).toBeGreaterThan(0);
  });

  check("a group tells who its members are and what they own", async (world) => {
    const topic = await world.topic(2);
    const empty = await world.settled(world.broker.describeGroup({ group: world.group, ...DEADLINE }));
    expect(empty).toEqual({ group: world.group, members: [] });
    const member = world.member(topic, await world.connect("relay-7"));
    await member.owns(0, 1);
    const { members } = await world.settled(world.broker.describeGroup({ group: world.group, ...DEADLINE }));
    expect(members.length).toBe(1);
    expect(members[0]).toMatchObject({ memberId: member.id, clientId: "relay-7", memberEpoch: member.epoch });
    expect(new Set(members[0]?.assignment.map(({ partition }) => partition))).toEqual(new Set([0, 1]));
    expect(members[0]?.host).not.toBe("");
  });

  check("a partition goes to the next member after the last one has let go of it", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    await a.owns(0, 1);
    await b.beat();
    await world.eventually(async () => {
      await a.beat();
      return a.assignment.length === 1;
    });
    for (let round = 0; round < 3; round++) {
      await a.beat();
      await b.beat();
      expect(b.assignment).toEqual([]);
    }
    a.owned = a.assignment;
    await a.beat();
    await b.ownsSome(1);
    expect(new Set([...a.owned, ...b.owned].map(({ partition }) => partition))).toEqual(new Set([0, 1]));
  });
}

function testLeaving(check: Check): void {
  check("who leaves gives everything back at once", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    await split(a, b);
    await a.leave();
    await b.owns(0, 1);
    await world.refused("fenced", a.send({ memberEpoch: 1 }));
  });

  check("a heartbeat whose answer was lost may be sent again, with everything in it", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    const full = { topics: [topic], rebalanceTimeoutMs: 60_000 };
    await a.owns(0, 1);
    const before = a.epoch;
    await b.beat();
    await world.eventually(async () => {
      await a.beat();
      return a.assignment.length === 1;
    });
    a.owned = a.assignment;
    await a.beat();
    expect(a.epoch).toBeGreaterThan(before);
    const after = a.epoch;
    expect((await a.beat({ ...full, memberEpoch: before })).assignment).toEqual(a.owned);
    expect(a.epoch).toBe(after);
    expect((await a.beat(full)).assignment).toEqual(a.owned);
  });

  check("a member that the group does not know is fenced", async (world) => {
    const topic = await world.topic();
    const [a, b] = [world.member(topic), world.member(topic)];
    await a.owns(0);
    await world.refused("fenced", b.send({ memberEpoch: 1 }));
    await world.refused("fenced", a.send({ memberEpoch: a.epoch + 5 }));
  });
}

function testCommits(check: Check): void {
  check("a commit is read back as it was, for the partitions that have one", async (world) => {
    const topic = await world.topic(3);
    const member = world.member(topic);
    await member.owns(0, 1, 2);
    const offsets = [
      { topic, partition: 0, offset: 7, metadata: "one" },
      { topic, partition: 2, offset: 8, metadata: "" },
    ];
    await world.settled(commitAs(world, member, offsets));
    expect(await committed(world, topic)).toEqual(offsets);
    await world.settled(commitAs(world, member, [{ topic, partition: 0, offset: 3, metadata: "two" }]));
    expect(await committed(world, topic)).toEqual([
      { topic, partition: 0, offset: 3, metadata: "two" },
      { topic, partition: 2, offset: 8, metadata: "" },
    ]);
  });

  check("a member reads what is committed with its own epoch, and is fenced with another one", async (world) => {
    const topic = await world.topic();
    const member = world.member(topic);
    await member.owns(0);
    const offset = { topic, partition: 0, offset: 7, metadata: "one" };
    await world.settled(commitAs(world, member, [offset]));
    const { id: memberId, epoch: memberEpoch } = member;
    const asked = { group: world.group, partitions: [offset], ...DEADLINE };
    const read = (as: GroupMember): Promise<readonly CommittedOffset[]> =>
      world.broker.committed({ ...asked, member: as });
    expect(await world.settled(read({ memberId, memberEpoch }))).toEqual([offset]);
    await world.refused("fenced", read({ memberId, memberEpoch: memberEpoch + 1 }));
    await world.refused("fenced", read({ memberId: "nobody", memberEpoch }));
  });

  check("metadata has 4,096 characters at most; another partition's commit is stored", async (world) => {
    const topic = await world.topic(2);
    const member = world.member(topic);
    await member.owns(0, 1);
    const longest = "€".repeat(METADATA_MAX);
    await world.settled(commitAs(world, member, [{ topic, partition: 0, offset: 1, metadata: longest }]));
    const both = [
      { topic, partition: 0, offset: 2, metadata: `${longest}x` },
      { topic, partition: 1, offset: 2, metadata: "short" },
    ];
    await world.refused("metadata_too_large", commitAs(world, member, both));
    expect(await committed(world, topic)).toEqual([
      { topic, partition: 0, offset: 1, metadata: longest },
      { topic, partition: 1, offset: 2, metadata: "short" },
    ]);
  });

  check("a commit without a member is accepted while the group is empty, and only then", async (world) => {
    const topic = await world.topic();
    const simple = (offset: number): Promise<void> =>
      world.broker.commit({
        group: world.group,
        memberId: "",
        memberEpoch: -1,
        ...DEADLINE,
        offsets: [{ topic, partition: 0, offset, metadata: "foreign" }],
      });
    await world.settled(simple(1));
    expect(await committed(world, topic)).toMatchObject([{ offset: 1 }]);
    const member = world.member(topic);
    await member.owns(0);
    await world.refused("fenced", simple(2));
    await member.leave();
    await world.settled(simple(3));
    expect(await committed(world, topic)).toMatchObject([{ offset: 3 }]);
  });
}

function testFencing(check: Check): void {
  check("the epoch at which a partition came commits it as long as it is kept", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    const captured = await split(a, b);
    const kept = a.owned[0] as TopicPartition;
    expect(a.epoch).toBeGreaterThan(captured);
    await world.settled(a.commit(captured, 5, kept));
    await b.leave();
    await a.ownsSome(2);
    await world.settled(a.commit(captured, 6, kept));
    expect(await committed(world, topic)).toMatchObject([{ ...kept, offset: 6 }]);
  });

  check("who lost a partition is fenced, also after it got it back", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    const captured = await split(a, b);
    const lost = b.owned[0] as TopicPartition;
    await world.settled(b.commit(b.epoch, 5, lost));
    await world.refused("fenced", a.commit(captured, 6, lost));
    await b.leave();
    await a.ownsSome(2);
    await world.refused("fenced", a.commit(captured, 7, lost));
    expect(await committed(world, topic)).toMatchObject([{ ...lost, offset: 5 }]);
    await world.settled(a.commit(a.epoch, 8, lost));
    expect(await committed(world, topic)).toMatchObject([{ ...lost, offset: 8 }]);
  });

  check("a partition that is being given up may be committed for the last time", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    await a.owns(0, 1);
    const captured = a.epoch;
    await b.beat();
    await world.eventually(async () => {
      await a.beat();
      return a.assignment.length === 1;
    });
    const leaving = a.owned.find(({ partition }) => partition !== a.assignment[0]?.partition) as TopicPartition;
    await world.settled(a.commit(captured, 5, leaving));
    expect(await committed(world, topic)).toMatchObject([{ ...leaving, offset: 5 }]);
  });

  check("one partition that is not the member's any more refuses the whole commit", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    const captured = await split(a, b);
    await world.refused("fenced", a.commit(captured, 5, a.owned[0] as TopicPartition, b.owned[0] as TopicPartition));
    expect(await committed(world, topic)).toEqual([]);
  });

  check("a trap: with its present epoch a member commits what is not its own", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    await split(a, b);
    await world.settled(a.commit(a.epoch, 5, b.owned[0] as TopicPartition));
    await world.refused("fenced", a.commit(a.epoch + 1, 6, a.owned[0] as TopicPartition));
    expect(await committed(world, topic)).toMatchObject([{ ...b.owned[0], offset: 5 }]);
  });
}

function testExpelling(check: Check): void {
  check("who does not let go in time is expelled", async (world) => {
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    await a.beat({ rebalanceTimeoutMs: 1_500 });
    await a.owns(0, 1);
    const captured = a.epoch;
    await b.beat();
    await world.eventually(async () => {
      await a.beat();
      return a.assignment.length === 1;
    });
    await b.owns(0, 1);
    await world.refused("fenced", a.send());
    await world.refused("fenced", a.commit(captured, 5, { topic, partition: 0 }));
  });

  check("answers how long a session is, also of a group that has no members yet", async (world) => {
    const { group, under } = world;
    const sessionMs = await world.settled(world.broker.sessionOf({ group, ...DEADLINE }));
    expect(sessionMs).toBe(under.sessionTimeoutMs ?? sessionMs);
    expect(sessionMs).toBeGreaterThan(0);
  });

  check("who is silent for a session is expelled, if the session is short enough to wait for", async (world) => {
    const { sessionTimeoutMs } = world.under;
    if (sessionTimeoutMs === undefined) return;
    const topic = await world.topic(2);
    const [a, b] = [world.member(topic), world.member(topic)];
    const captured = await split(a, b);
    const kept = a.owned[0] as TopicPartition;
    for (let waited = 0; waited < sessionTimeoutMs + 1_000; waited += 500) {
      await world.under.wait(500);
      await b.beat();
    }
    await b.owns(0, 1);
    await world.refused("fenced", a.commit(captured, 5, kept));
    await world.refused("fenced", a.send());
    expect(await committed(world, topic)).toEqual([]);
  });
}

/** One member has both partitions, then each has one. Resolves to the first one's first epoch. */
export async function split(a: TestMember, b: TestMember): Promise<number> {
  await a.owns(0, 1);
  const captured = a.epoch;
  await b.beat();
  await a.ownsSome(1);
  await b.ownsSome(1);
  return captured;
}

function commitAs(world: World, member: TestMember, offsets: readonly CommittedOffset[]): Promise<void> {
  const { id: memberId, epoch: memberEpoch } = member;
  return world.broker.commit({ group: world.group, memberId, memberEpoch, offsets, ...DEADLINE });
}

async function committed(world: World, topic: string): Promise<readonly CommittedOffset[]> {
  const partitions = [0, 1, 2].map((partition) => ({ topic, partition }));
  const stored = await world.settled(world.broker.committed({ group: world.group, partitions, ...DEADLINE }));
  return [...stored].sort((one, other) => one.partition - other.partition);
}
