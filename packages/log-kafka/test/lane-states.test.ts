import { BrokerError, type BrokerErrorCode } from "@waybill/log-kafka";
import { settle } from "@waybill/testing";
import { expect, test } from "vitest";
import { numbersIn, OneBroker } from "./lib/one-broker.ts";
import { ALL, newToyGroup, sorted } from "./lib/toy-group.ts";
import { GROUP, SESSION_MS, TOPIC, type ToyState } from "./lib/toy-relay.ts";

const failed = (code: BrokerErrorCode): BrokerError => new BrokerError(code, `it is ${code}`);

/** What became of each by now. */
async function outcomes(writes: readonly Promise<void>[]): Promise<readonly string[]> {
  const found = writes.map(() => "waits");
  for (const [index, write] of writes.entries())
    write.then(
      () => (found[index] = "written"),
      (error: BrokerError) => (found[index] = error.code),
    );
  await settle();
  return found;
}

test("all that is dirty shares a commit; one is under way, and the next takes the newest of everything", async () => {
  const b = new OneBroker();
  const [zero, one, two] = [await b.open(0), await b.open(1), await b.open(2)];
  const writes = [zero.write({ n: 1 }), one.write({ n: 2 })];
  await settle();
  expect(b.commits).toHaveLength(1);
  writes.push(two.write({ n: 3 }), zero.write({ n: 4 }), zero.write({ n: 5 }));
  expect(await outcomes(writes)).toEqual(["waits", "waits", "waits", "waits", "waits"]);
  const first = b.next();
  expect(first.request).toMatchObject({ group: "g", memberId: "m", memberEpoch: 1 });
  expect(numbersIn(first.request)).toEqual(["0=1", "1=2"]);
  expect(first.request.offsets.map(({ offset }) => offset)).toEqual([1, 2]);
  expect(b.commits).toHaveLength(0);
  first.answer();
  expect(await outcomes(writes)).toEqual(["written", "written", "waits", "waits", "waits"]);
  const second = b.next();
  expect(new Set(numbersIn(second.request))).toEqual(new Set(["0=5", "2=3"]));
  second.answer();
  expect(await outcomes(writes)).toEqual(["written", "written", "written", "written", "written"]);
});

test("lanes of another epoch have a commit of their own, after it", async () => {
  const b = new OneBroker();
  const [zero, one, two] = [await b.open(0, 1), await b.open(1, 4), await b.open(2, 1)];
  const writes = [zero.write({ n: 1 }), one.write({ n: 2 }), two.write({ n: 3 })];
  await settle();
  expect(b.commits).toHaveLength(1);
  const first = b.next();
  expect(first.request.memberEpoch).toBe(1);
  expect(numbersIn(first.request)).toEqual(["0=1", "2=3"]);
  first.answer();
  await settle();
  const second = b.next();
  expect(second.request.memberEpoch).toBe(4);
  expect(numbersIn(second.request)).toEqual(["1=2"]);
  second.answer();
  expect(await outcomes(writes)).toEqual(["written", "written", "written"]);
});

test("a state that is stored already is committed again: its acknowledgement shows whose the lane is", async () => {
  const b = new OneBroker();
  const lane = await b.open(0);
  const same = lane.write({ n: 0 });
  await settle();
  b.next().answer();
  await same;
  const again = lane.write({ n: 0 });
  await settle();
  b.next().answer(failed("fenced"));
  await expect(again).rejects.toMatchObject({ code: "fenced" });
});

test("one lane of several is refused: each goes alone, the others are written", async () => {
  const b = new OneBroker();
  const lanes = [await b.open(0), await b.open(1), await b.open(2)];
  const writes = lanes.map((lane, index) => lane.write({ n: 10 + index }));
  await settle();
  b.next().answer(failed("fenced"));
  for (const error of [undefined, failed("fenced"), undefined]) {
    await settle();
    const { request, answer } = b.next();
    expect(request.offsets).toHaveLength(1);
    answer(error);
  }
  expect(await outcomes(writes)).toEqual(["written", "fenced", "written"]);
  expect(b.lost.map(({ partition }) => partition)).toEqual([1]);
  expect(lanes.map((lane) => lane.isOurs?.())).toEqual([true, false, true]);
  expect(await outcomes([(lanes[1] as (typeof lanes)[0]).write({ n: 99 })])).toEqual(["fenced"]);
  expect(b.commits).toHaveLength(0);
});

test.each(["timeout", "unreachable", "not_enough_replicas"] as const)(
  "no answer (%s), and what was sent is stored: it was written",
  async (code) => {
    const b = new OneBroker();
    const lane = await b.open(0);
    const write = lane.write({ n: 1 });
    await settle();
    const { request, answer } = b.next();
    b.store(request);
    b.reads.push(failed("unreachable"), failed("not_leader"));
    answer(failed(code));
    await b.clock.advance(1_000);
    expect(await outcomes([write])).toEqual(["written"]);
    expect(b.lost).toEqual([]);
    expect(b.retries).toHaveLength(3);
    expect(lane.isOurs?.()).toBe(true);
  },
);

test("no answer, and what was sent is not stored: it may still come, so nothing is written in this tenure", async () => {
  const b = new OneBroker();
  const [zero, one] = [await b.open(0), await b.open(1)];
  const writes = [zero.write({ n: 1 }), one.write({ n: 2 })];
  await settle();
  const { request, answer } = b.next();
  // Of two partitions one was stored.
  b.store({ ...request, offsets: request.offsets.slice(1) });
  answer(failed("timeout"));
  expect(await outcomes(writes)).toEqual(["fenced", "written"]);
  expect(b.lost).toMatchObject([{ partition: 0, error: { message: expect.stringContaining("last commit") } }]);
  expect(await outcomes([zero.write({ n: 3 })])).toEqual(["fenced"]);
  expect(b.commits).toHaveLength(0);
});

test("no answer, and the same state was stored before: that says nothing of this commit, also for the next owner", async () => {
  const b = new OneBroker();
  const lane = await b.open(0);
  const before = lane.write({ n: 1 });
  await settle();
  b.next().answer();
  await before;
  const again = lane.write({ n: 1 });
  await settle();
  // It is on its way still, and would undo what came after it.
  b.next().answer(failed("timeout"));
  expect(await outcomes([again])).toEqual(["fenced"]);
  const next = await b.open(0, 2);
  const first = next.write({ n: 1 });
  await settle();
  b.next().answer(failed("timeout"));
  expect(await outcomes([first])).toEqual(["fenced"]);
});

test("while nobody knows what became of a commit nothing else is sent; a lane that is lost meanwhile ends", async () => {
  const b = new OneBroker();
  const lane = await b.open(0);
  const first = lane.write({ n: 1 });
  await settle();
  const second = lane.write({ n: 2 });
  for (let read = 0; read < 40; read++) b.reads.push(failed("unreachable"));
  b.next().answer(failed("timeout"));
  await b.clock.advance(3_000);
  expect(await outcomes([first, second])).toEqual(["waits", "waits"]);
  expect(b.commits).toHaveLength(0);
  b.ours.delete(0);
  await b.clock.advance(1_000);
  expect(await outcomes([first, second])).toEqual(["fenced", "fenced"]);
});

test("a coordinator that has moved did nothing: the same commit goes again, with what is new", async () => {
  const b = new OneBroker();
  const lane = await b.open(0);
  const first = lane.write({ n: 1 });
  await settle();
  const second = lane.write({ n: 2 });
  await settle();
  b.next().answer(failed("not_leader"));
  await b.clock.advance(1_000);
  const { request, answer } = b.next();
  expect(numbersIn(request)).toEqual(["0=2"]);
  answer();
  expect(await outcomes([first, second])).toEqual(["written", "written"]);
});

test("no answer to a commit that was refused before: the first may be what is stored, and the second still come", async () => {
  const b = new OneBroker();
  const [zero, one] = [await b.open(0), await b.open(1)];
  const moved = zero.write({ n: 1 });
  await settle();
  const { request, answer } = b.next();
  // The coordinator had written it, and could not tell whether others had.
  b.store(request);
  answer(failed("not_leader"));
  await b.clock.advance(1_000);
  b.next().answer(failed("timeout"));
  expect(await outcomes([moved])).toEqual(["fenced"]);
  expect(b.lost).toMatchObject([{ partition: 0 }]);
  // The same where one of several was refused, and this one was stored.
  const three = await b.open(3);
  const writes = [one.write({ n: 2 }), three.write({ n: 3 })];
  await settle();
  const both = b.next();
  b.store({ ...both.request, offsets: both.request.offsets.slice(0, 1) });
  both.answer(failed("metadata_too_large"));
  await settle();
  b.next().answer(failed("timeout"));
  await settle();
  b.next().answer(failed("metadata_too_large"));
  expect(await outcomes(writes)).toEqual(["fenced", "metadata_too_large"]);
  expect(b.lost.map(({ partition }) => partition)).toEqual([0, 1]);
  expect(b.commits).toHaveLength(0);
});

test("what a broker does not take is an error, and the lane stays", async () => {
  const b = new OneBroker();
  const lane = await b.open(0);
  const refused = lane.write({ n: 1 });
  await settle();
  b.next().answer(failed("metadata_too_large"));
  expect(await outcomes([refused])).toEqual(["metadata_too_large"]);
  const long = { n: 2, text: "x".repeat(4_200) };
  expect(lane.fits(long)).toBe(false);
  expect(await outcomes([lane.write(long)])).toEqual(["metadata_too_large"]);
  const write = lane.write({ n: 3 });
  await settle();
  b.next().answer();
  await write;
  expect(lane.isOurs?.()).toBe(true);
});

test("nothing is committed: the host tells the first state, which is written; or that there was one", async () => {
  const b = new OneBroker();
  const options = {
    partition: { topic: "t", partition: 0 },
    tenure: b.tenure(),
    parse: (value: unknown) => value as { n: number },
    offsetOf: () => 5,
  };
  const gone = b.states.open({
    ...options,
    first: () => {
      throw new Error("the state of a is gone");
    },
  });
  await expect(gone).rejects.toThrow("is gone");
  expect(b.commits).toHaveLength(0);
  let isOpen = false;
  const opened = b.states.open({ ...options, first: async () => ({ n: 8 }) });
  void opened.then(() => (isOpen = true));
  await settle();
  expect(isOpen).toBe(false);
  b.next().answer();
  expect((await opened).initial).toEqual({ n: 8 });
  expect(b.stored.get(0)?.offset).toBe(5);
});

test("a lane whose partition goes again before its state was read is not opened", async () => {
  const b = new OneBroker();
  b.reads.push(failed("unreachable"));
  const opened = b.states.open({
    partition: { topic: "t", partition: 0 },
    tenure: b.tenure(),
    parse: (value) => value as { n: number },
    first: () => expect.unreachable(),
    offsetOf: () => 0,
  });
  const gone = expect(opened).rejects.toMatchObject({ code: "fenced" });
  await settle();
  b.ours.delete(0);
  await b.clock.advance(1_000);
  await gone;
});

test.each(["answer", "request", "late", "moved"] as const)(
  "over a cluster: commits with a fault (%s)",
  async (fault) => {
    const w = await newToyGroup();
    const one = w.add();
    await w.clock.advance(3_000);
    const { memberId } = one.member.view;
    one.broker.fail("commit", fault, 20_000);
    await w.clock.advance(10_000);
    const isLost = fault === "request" || fault === "late";
    expect(one.lostReasons.length).toBe(isLost ? 1 : 0);
    expect(one.member.view.memberId === memberId).toBe(!isLost);
    expect(w.owned(one)).toEqual(ALL);
    const { length } = w.watcher.sends;
    await w.clock.advance(30_000);
    expect(new Set(w.watcher.sends.slice(length).map(({ partition }) => partition)).size).toBe(ALL.length);
    expect(w.watcher.violations).toEqual([]);
  },
);

test("the coordinator moves, and one is killed: commits go on by themselves, and no state goes back", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  w.cluster.moveCoordinator(GROUP);
  await w.clock.advance(3_000);
  expect(w.owned(one)).toEqual(ALL);
  expect(one.lostReasons).toEqual([]);
  const coordinator = w.cluster.coordinatorOf(GROUP);
  w.cluster.kill(coordinator as number);
  await w.clock.advance(3 * SESSION_MS);
  expect(w.owned(one)).toEqual(ALL);
  const { length } = w.watcher.sends;
  await w.clock.advance(3_000);
  expect(w.watcher.sends.length).toBeGreaterThan(length);
  expect(w.watcher.violations).toEqual([]);
});

test("a state is never read from a coordinator that is cut off, and tells what was committed before", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  const stale = w.cluster.coordinatorOf(GROUP) as number;
  w.cluster.cutOff(stale);
  await w.clock.advance(2 * SESSION_MS);
  const two = w.add();
  await w.clock.advance(2 * SESSION_MS);
  expect(w.owned(one, two)).toEqual(ALL);
  expect(w.cluster.coordinatorOf(GROUP)).not.toBe(stale);
  w.cluster.rejoin(stale);
  await w.clock.advance(SESSION_MS);
  expect(w.watcher.violations).toEqual([]);
});

test("a foreign client overwrites the states of a group without members: lanes halt, and write nothing", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  const closed = one.member.close();
  await w.clock.advance(3_000);
  await closed;
  const admin = w.cluster.connect("admin");
  const offsets = [{ topic: TOPIC, partition: 2, offset: 0, metadata: "" }];
  const written = admin.commit({ group: GROUP, memberId: "", memberEpoch: -1, offsets, deadlineMs: 1_000 });
  await w.clock.advance(1_000);
  await written;
  const two = w.add();
  const { length } = w.watcher.sends;
  await w.clock.advance(5_000);
  expect(two.errors).toMatchObject([{ code: "WAYBILL_LOG_DAMAGED", reason: "lane_state" }]);
  const moving = new Set(w.watcher.sends.slice(length).map(({ partition }) => partition));
  expect(sorted(moving)).toEqual([0, 1, 3]);
  const read = admin.committed({ group: GROUP, partitions: [{ topic: TOPIC, partition: 2 }], deadlineMs: 1_000 });
  await w.clock.advance(1_000);
  expect(await read).toMatchObject([{ offset: 0, metadata: "" }]);
});

test("a zombie with an epoch of before: its commit is refused, and it never writes again", async () => {
  const w = await newToyGroup();
  const one = w.add();
  await w.clock.advance(3_000);
  const [first] = one.tenures;
  if (first === undefined) throw new Error("nothing was assigned");
  // It does not look at the clock, nor at what the member hears.
  const opening = one.states.open<ToyState>({
    partition: { topic: TOPIC, partition: 0 },
    tenure: { ...first.tenure, isOurs: () => true },
    parse: (value) => value as ToyState,
    first: () => expect.unreachable(),
    offsetOf: () => 0,
  });
  await w.clock.advance(100);
  const zombie = await opening;
  one.kill();
  const two = w.add();
  await w.clock.advance(SESSION_MS + 5_000);
  expect(w.owned(two)).toEqual(ALL);
  const { memberId, memberEpoch } = first.tenure;
  const metadata = "of before";
  const offsets = [{ topic: TOPIC, partition: 0, offset: 0, metadata }];
  const refused = w.cluster.connect("zombie").commit({ group: GROUP, memberId, memberEpoch, offsets, deadlineMs: 900 });
  refused.catch(() => undefined);
  await w.clock.advance(1_000);
  await expect(refused).rejects.toMatchObject({ code: "fenced" });
  expect(zombie.initial.write).toBeGreaterThan(0);
  expect(w.watcher.violations).toEqual([]);
});
