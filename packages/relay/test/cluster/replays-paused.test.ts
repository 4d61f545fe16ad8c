/** What a pause of a lane means for the replays beside it, and what they wait for. */
import { expect, test } from "vitest";
import { destinationKeySet } from "../../src/credentials/credentials.ts";
import { ALL, BATCH, ReplayWorld, type TestRelay } from "./lib/replay-world.ts";
import { storedEvent } from "./lib/stored-event.ts";

const LANES = { environment: "test", destination: "segment" };

/** A replay whose first batch is refused, again and again. */
async function refused(): Promise<{ readonly world: ReplayWorld; readonly one: TestRelay; readonly id: string }> {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(8);
  world.status = 503;
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await passes(world, 5);
  expect(world.requests.length).toBeGreaterThan(0);
  return { world, one, id };
}

async function passes(world: ReplayWorld, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) await world.pass(1_000);
}

/** A rotation that this relay cannot open. */
async function rotateSealed(world: ReplayWorld): Promise<void> {
  const keys = [`rotation/${destinationKeySet("test", "segment")}`];
  const values = [Buffer.from('{"sealed":"AAAA"}')];
  const broker = world.cluster.connect("other");
  await world.run(broker.produce({ topic: "waybill.desired", partition: 0, keys, values, deadlineMs: 5_000 }));
  await world.clock.advance(2_000);
}

test("after a pause that was confirmed no replay is sent, until a resume", async () => {
  const { world, one, id } = await refused();
  const { unconfirmed } = await world.run(one.control.steer(LANES, "pause"));
  expect(unconfirmed).toEqual([]);
  // What is in flight may end.
  await world.pass(1_000);
  const before = world.requests.length;
  await passes(world, 30);
  world.status = 200;
  await passes(world, 30);
  expect(world.requests).toHaveLength(before);
  world.requests.length = 0;
  await world.run(one.control.steer(LANES, "resume"));
  expect((await world.ended(one, id)).account).toMatchObject({ accepted: 24, delivered: 24 });
  expect(new Set(world.sent).size).toBe(24);
  await world.end();
});

test("no replay is sent with a key that was rotated, where the new one cannot be opened", async () => {
  const { world } = await refused();
  await rotateSealed(world);
  const before = world.requests.length;
  world.status = 200;
  await passes(world, 60);
  expect(world.requests).toHaveLength(before);
  await world.end();
});

test("a lane that a resume does not let go says why", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.run(one.control.steer(LANES, "pause"));
  await rotateSealed(world);
  await world.run(one.control.steer(LANES, "resume"));
  await world.clock.advance(2_000);
  const hold = one.control.holdOf(LANES);
  expect(hold).toContain("sealingKey");
  const shown = one.environment.laneEntries().map(({ mode, reason }) => `${mode}: ${reason}`);
  expect(new Set(shown)).toEqual(new Set([`paused: ${hold}`]));
  await world.end();
});

test("a replay goes on beside a user whose events are parked", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(20);
  world.onRequest = ({ ids }) => void (world.status = ids.some((id) => id.startsWith("poison")) ? 500 : 200);
  const writer = world.cluster.connect("writer");
  const produce = async (event: string, id: string): Promise<void> => {
    const values = [storedEvent(id, `of ${event}`, event)];
    await world.run(writer.produce({ topic: "waybill.test", partition: 0, values, deadlineMs: 5_000 }));
  };
  for (let number = 0; number <= BATCH; number++) await produce("Bad", `poison-${number}`);
  for (let number = 0; number < 40; number++) await produce("Good", `p0-${100 + number}`);
  await passes(world, 120);
  const lane = one.environment.shards.find(({ name }) => name === "test/0")?.destination("segment");
  expect(lane?.account()).toMatchObject({ delivered: 60, pending: BATCH + 1 });
  world.requests.length = 0;
  const wish = { destination: "segment", filter: { event: "Good" }, partitions: [0] };
  const { id } = await world.run(one.environment.clusterReplays.begin(wish));
  await passes(world, 120);
  expect(await world.view(one, id)).toMatchObject({ state: "done", account: { accepted: 40, delivered: 40 } });
  await world.end();
});
