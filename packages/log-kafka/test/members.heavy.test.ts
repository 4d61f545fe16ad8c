import { expect, test } from "vitest";
import { ALL, HEARTBEAT_MS, newToyGroup } from "./lib/toy-group.ts";
import { GROUP, SESSION_MS, TOPIC } from "./lib/toy-relay.ts";

test("a member joins, owns everything, and leaves at once when it is closed", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  expect(w.owned(one)).toEqual(ALL);
  const two = w.add();
  await w.clock.advance(5_000);
  expect(w.owned(one, two)).toEqual(ALL);
  const closed = one.member.close();
  await w.clock.advance(HEARTBEAT_MS + 500);
  await closed;
  expect(w.owned(two)).toEqual(ALL);
  expect(w.watcher.violations).toEqual([]);
  expect(one.lostReasons).toEqual([]);
});

test("a partition that is revoked stays ours until the host has let go, and its last commit is written", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  let letGo = (): void => undefined;
  one.ending = new Promise((resolve) => (letGo = resolve));
  const two = w.add();
  await w.clock.advance(20_000);
  expect(w.owned(two)).toEqual([]);
  expect(w.owned(one)).toEqual(ALL);
  letGo();
  await w.clock.advance(3_000);
  expect(w.owned(two)).toHaveLength(2);
  expect(w.watcher.violations).toEqual([]);
  expect(one.errors).toEqual([]);
});

test("a relay that was stopped for longer than a session sends nothing when it goes on, by its own clock", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  one.clock.stop();
  const two = w.add();
  await w.clock.advance(SESSION_MS + 3_000);
  expect(w.owned(two)).toEqual(ALL);
  const before = w.watcher.sends.length;
  const { length } = one.broker.commits;
  const late = w.watcher.sends.filter(({ by }) => by.startsWith(one.member.view.memberId)).length;
  one.clock.go();
  await w.clock.advance(0);
  expect(one.lostReasons).toEqual([`no heartbeat was answered for ${SESSION_MS} ms`]);
  expect(one.broker.commits).toHaveLength(length);
  expect(late).toBeGreaterThan(0);
  expect(w.watcher.sends.length).toBe(before);
  await w.clock.advance(5_000);
  expect(w.owned(one, two)).toEqual(ALL);
  expect(w.watcher.violations).toEqual([]);
});

test("a relay that is cut off lets go when the session is over, before others may begin", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  one.broker.isCutOff = true;
  const two = w.add();
  await w.clock.advance(SESSION_MS - 2_000);
  expect(w.owned(two)).toEqual([]);
  await w.clock.advance(2_500);
  expect(w.owned(one)).toEqual([]);
  await w.clock.advance(3_000);
  expect(w.owned(two)).toEqual(ALL);
  one.broker.isCutOff = false;
  await w.clock.advance(5_000);
  expect(w.owned(one)).toHaveLength(2);
  expect(w.watcher.violations).toEqual([]);
});

test("an expelled member has lost everything at once, and comes back under another id", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  const { memberId } = one.member.view;
  // Somebody has taken it out of the group.
  const expelled = w.cluster.connect("admin").heartbeat({ group: GROUP, memberId, memberEpoch: -1, deadlineMs: 1_000 });
  await w.clock.advance(HEARTBEAT_MS + 500);
  await expelled;
  expect(one.lostReasons).toHaveLength(1);
  await w.clock.advance(1_000);
  expect(one.member.view.memberId).not.toBe(memberId);
  expect(w.owned(one)).toEqual(ALL);
  expect(w.watcher.violations).toEqual([]);
});

test("a partition that went and came back has a new epoch; the tenure of before is over", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  const [first] = one.tenures;
  if (first === undefined) throw new Error("nothing was assigned");
  const two = w.add();
  await w.clock.advance(5_000);
  const gone = w.owned(two);
  const closed = two.member.close();
  await w.clock.advance(3_000);
  await closed;
  expect(w.owned(one)).toEqual(ALL);
  const again = one.tenures.find(({ partitions }) => partitions.includes(gone[0] as number) && partitions.length < 4);
  expect(again?.tenure.memberId).toBe(first.tenure.memberId);
  expect(again?.tenure.memberEpoch).toBeGreaterThan(first.tenure.memberEpoch);
  for (const partition of ALL) {
    const one = { topic: TOPIC, partition };
    expect(first.tenure.isOurs(one)).toBe(!gone.includes(partition));
    expect(again?.tenure.isOurs(one)).toBe(gone.includes(partition));
  }
  // The broker thinks so too: a commit with the epoch of before is refused, what was kept goes on.
  const { memberId, memberEpoch } = first.tenure;
  const offsets = [{ topic: TOPIC, partition: gone[0] as number, offset: 0, metadata: "" }];
  const refused = w.cluster.connect("x").commit({ group: GROUP, memberId, memberEpoch, offsets, deadlineMs: 1_000 });
  refused.catch(() => undefined);
  await w.clock.advance(1_000);
  await expect(refused).rejects.toMatchObject({ code: "fenced" });
  expect(w.watcher.violations).toEqual([]);
});

test.each(["request", "answer", "late", "moved"] as const)("heartbeats with a fault on the way (%s)", async (fault) => {
  const w = await newToyGroup();
  const one = w.add();
  one.broker.fail("heartbeat", fault, 3_000);
  await w.clock.advance(8_000);
  const two = w.add();
  for (const relay of [one, two, one, two]) {
    relay.broker.fail("heartbeat", fault, 3_000);
    await w.clock.advance(2_500);
  }
  await w.clock.advance(SESSION_MS + 5_000);
  expect(w.owned(one)).toHaveLength(2);
  expect(w.owned(one, two)).toEqual(ALL);
  expect(w.watcher.violations).toEqual([]);
});

test("a member that is closed while nothing answers ends nevertheless", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  one.broker.isCutOff = true;
  const closed = one.member.close();
  let isClosed = false;
  void closed.then(() => (isClosed = true));
  await w.clock.advance(SESSION_MS + 10_000);
  expect(isClosed).toBe(true);
});

/** At each step of a rebalance, the process is killed that has just done something. */
test("two members, killed at every step of a rebalance", async () => {
  for (let step = 0; step < 16; step++) {
    const w = await newToyGroup(step + 1);
    const one = w.add();
    await w.clock.advance(3_000);
    const two = w.add();
    await w.clock.advance(step * 150);
    const [victim, survivor] = step % 2 === 0 ? [one, two] : [two, one];
    victim.kill();
    await w.clock.advance(SESSION_MS + 5_000);
    expect(w.owned(survivor)).toEqual(ALL);
    const three = w.add();
    await w.clock.advance(5_000);
    expect(w.owned(survivor, three)).toEqual(ALL);
    expect(w.watcher.violations, `step ${step}`).toEqual([]);
  }
});
