/** Replays over all partitions: any relay is asked, and they go on when relays come and go. */
import { BrokerError, type ProduceRequest } from "@waybill/log-kafka";
import type { ReplayView, RunningRelay } from "@waybill/relay";
import type { Environment } from "@waybill/relay/headless";
import { expect, test } from "vitest";
import { send, until } from "../lib/world.ts";
import { areShared, ask, capture, startCluster } from "./lib/cluster-world.ts";
import { configOf } from "./lib/environment.ts";
import { ALL, BATCH, expectAllOnce, idsOf, PARTITIONS, ReplayWorld, type TestRelay } from "./lib/replay-world.ts";

const EVENTS = 20;
const DESIRED = "waybill.desired";

/** Keys about replays that have a value. */
function keptOf({ cluster }: ReplayWorld): readonly string[] {
  const last = new Map<string, number>();
  for (const { key = "", value } of cluster.records({ topic: DESIRED, partition: 0 })) last.set(key, value.length);
  return [...last].flatMap(([key, length]) => (key.startsWith("replay/") && length > 0 ? [key] : []));
}

test("a replay of all partitions is sent by the relays that have their lanes, and is one to each", async () => {
  const world = new ReplayWorld();
  const [one, two] = [await world.start("one"), await world.start("two")];
  await world.clock.until(() => world.areShared(one, two));
  await world.delivered(EVENTS);
  const { id, account } = await world.run(one.environment.clusterReplays.begin(ALL));
  expect(account).toMatchObject({ accepted: EVENTS * PARTITIONS, pending: EVENTS * PARTITIONS, balanced: true });
  const ended = await world.ended(two, id);
  expect(ended.account).toMatchObject({ accepted: EVENTS * PARTITIONS, delivered: EVENTS * PARTITIONS, pending: 0 });
  expect(ended.partitions?.map(({ partition, state }) => [partition, state])).toEqual([
    [0, "done"],
    [1, "done"],
    [2, "done"],
  ]);
  expect(await world.view(one, id)).toEqual(ended);
  expect(world.sent.toSorted()).toEqual(idsOf(EVENTS));
  expect(new Set(world.requests.map(({ relay }) => relay))).toEqual(new Set(["one", "two"]));
  await world.end();
});

test("a relay that stops hands its replays over, and nothing is sent twice", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(EVENTS);
  world.latencyMs = 50;
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  const two = await world.start("two");
  await world.clock.until(() => world.sent.length > EVENTS);
  await one.stop();
  expect(world.sent.length).toBeLessThan(EVENTS * PARTITIONS);
  expect((await world.ended(two, id)).account).toMatchObject({ accepted: 60, delivered: 60, balanced: true });
  expect(expectAllOnce(world, EVENTS)).toBe(0);
  await world.end();
});

test("a relay that was stopped for long changes nothing of what others went on with", async () => {
  const world = new ReplayWorld();
  const [one, two] = [await world.start("one"), await world.start("two")];
  await world.clock.until(() => world.areShared(one, two));
  await world.delivered(EVENTS);
  world.latencyMs = 200;
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await world.clock.until(() => world.requests.some(({ relay }) => relay === "one"));
  world.cluster.pause("one");
  const ended = await world.ended(two, id);
  world.cluster.resume("one");
  await world.clock.advance(120_000);
  expect(await world.view(two, id)).toEqual(ended);
  expect(await world.view(one, id)).toEqual(ended);
  expect(ended.account).toMatchObject({ accepted: 60, delivered: 60, balanced: true });
  expect(expectAllOnce(world, EVENTS)).toBeLessThanOrEqual(PARTITIONS * BATCH);
  await world.end();
});

test("what retention has left of a batch that was on its way when its relay died goes again alone", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(EVENTS);
  world.requests.length = 0;
  world.latencyMs = 5_000;
  const wish = { ...ALL, partitions: [0] };
  const { id } = await world.run(one.environment.clusterReplays.begin(wish));
  await world.clock.until(() => world.requests.length > 0);
  // The partition's checkpoint, beside the plan.
  await world.run(one.environment.sync());
  one.kill();
  const removed = BATCH / 2;
  const asked = { topic: "waybill.test", partition: 0, offset: removed, deadlineMs: 5_000 };
  await world.run(world.cluster.connect("retention").removeBefore(asked));
  const two = await world.start("two");
  const { account } = await world.ended(two, id);
  const [first, again] = world.requests.map(({ ids }) => ids);
  expect(again).toEqual(first?.slice(removed));
  expect(account).toMatchObject({ accepted: EVENTS, delivered: EVENTS - removed, expired: removed, pending: 0 });
  await world.end();
});

test("a replay that is ended stays where it is, also where no relay had the lane then", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(EVENTS);
  world.latencyMs = 100;
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await world.clock.until(() => world.sent.length > EVENTS);
  one.kill();
  const two = await world.start("two");
  // By then it is missing, and the lanes are still its own.
  await world.clock.advance(16_000);
  const before = await world.view(two, id);
  expect(before?.state).toBe("waiting");
  expect(before?.reason).toMatch(/partition \d: no relay has its lane/);
  expect(await world.run(two.environment.clusterReplays.cancel(id))).toBe(true);
  const sent = world.sent.length;
  expect((await world.view(two, id))?.state).toBe("cancelled");
  await world.clock.until(() => world.areShared(two));
  await world.clock.advance(10_000);
  expect(world.sent).toHaveLength(sent);
  const after = await world.view(two, id);
  expect(after?.state).toBe("cancelled");
  expect(after?.account).toEqual(before?.account);
  expect(after?.account.balanced).toBe(true);
  expect(await world.run(two.environment.clusterReplays.cancel("none"))).toBe(false);
  await world.end();
});

test("a replay is ended while its requests are on their way", async () => {
  const world = new ReplayWorld();
  const [one, two] = [await world.start("one"), await world.start("two")];
  await world.clock.until(() => world.areShared(one, two));
  await world.delivered(EVENTS);
  world.latencyMs = 100;
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await world.clock.until(() => world.sent.length > BATCH);
  expect(await world.run(two.environment.clusterReplays.cancel(id))).toBe(true);
  await world.clock.advance(5_000);
  const sent = world.sent.length;
  await world.clock.advance(60_000);
  expect(world.sent).toHaveLength(sent);
  const view = await world.view(one, id);
  expect(view?.state).toBe("cancelled");
  expect(view?.account.balanced).toBe(true);
  expect(view?.account.pending).toBeGreaterThan(0);
  await world.end();
});

test("only what is asked for is sent: by fields, from a time on, of one partition", async () => {
  const world = new ReplayWorld();
  const [one, two] = [await world.start("one"), await world.start("two")];
  await world.clock.until(() => world.areShared(one, two));
  await world.delivered(EVENTS);
  const { clusterReplays } = one.environment;
  const even = await world.run(clusterReplays.begin({ ...ALL, filter: { event: "Even" }, partitions: [1] }));
  await world.ended(two, even.id);
  expect(world.sent).toEqual(Array.from({ length: EVENTS / 2 }, (_, index) => `p1-${2 * index}`));
  world.requests.length = 0;
  const none = await world.run(clusterReplays.begin({ ...ALL, filter: { sinceMs: world.clock.now() } }));
  expect(none.account.accepted).toBe(0);
  expect((await world.ended(two, none.id)).partitions).toEqual([]);
  expect(await world.run(clusterReplays.choose({ ...ALL, filter: { event: "Odd" } }))).toHaveLength(PARTITIONS);
  await expect(world.run(clusterReplays.begin({ ...ALL, destination: "crm" }))).rejects.toThrow(
    "no destination test/crm",
  );
  await world.end();
});

test("what retention removes before its turn is expired, and the ledger balances", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(EVENTS);
  await world.run(one.control.steer({ environment: "test", destination: "segment" }, "pause"));
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await world.clock.advance(5_000);
  expect(world.sent).toEqual([]);
  await world.run(one.environment.sync());
  await one.stop();
  const writer = world.cluster.connect("writer");
  await world.run(writer.removeBefore({ topic: "waybill.test", partition: 2, offset: 15, deadlineMs: 5_000 }));
  const two = await world.start("two");
  await world.run(two.control.steer({ environment: "test", destination: "segment" }, "resume"));
  const ended = await world.ended(two, id);
  expect(ended.account).toMatchObject({ accepted: 60, delivered: 45, expired: 15, balanced: true });
  expect(ended.partitions?.[2]?.account).toMatchObject({ accepted: 20, delivered: 5, expired: 15 });
  await world.end();
});

test("two replays of a destination run at once, the others in turn", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(EVENTS);
  world.latencyMs = 50;
  const ids: string[] = [];
  for (let index = 0; index < 4; index++) ids.push((await world.run(one.environment.clusterReplays.begin(ALL))).id);
  const running = (): number => {
    const views = one.environment.shards[0]?.replays.views() ?? [];
    return views.filter(({ state }) => state === "running").length;
  };
  let most = 0;
  world.onRequest = () => void (most = Math.max(most, running()));
  for (const id of ids) await world.ended(one, id);
  expect(most).toBe(2);
  expect(world.sent).toHaveLength(4 * EVENTS * PARTITIONS);
  await world.end();
});

test("replays that are over are forgotten once they are old, by all relays", async () => {
  const world = new ReplayWorld();
  const [one, two] = [await world.start("one"), await world.start("two")];
  await world.clock.until(() => world.areShared(one, two));
  await world.delivered(4);
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await world.ended(one, id);
  await world.run(one.environment.clusterReplays.retain(60_000, world.clock.now()));
  expect(await world.view(two, id)).toBeDefined();
  const cancelled = await world.run(one.environment.clusterReplays.begin({ ...ALL, eventsPerSecond: 0.1 }));
  expect(await world.run(one.environment.clusterReplays.cancel(cancelled.id))).toBe(true);
  await world.clock.advance(61_000);
  const sent = [...world.sent];
  await world.run(one.environment.clusterReplays.retain(60_000, world.clock.now()));
  expect(await world.view(two, id)).toBeUndefined();
  expect(one.control.replaysOf("test")).toEqual([]);
  await world.clock.advance(60_000);
  expect(world.sent).toEqual(sent);
  expect(keptOf(world)).toEqual([]);
  await world.end();
});

test.each([1, 2, 3, 4, 5])("nor are they run again where who forgets them dies at write %i", async (wanted) => {
  const world = new ReplayWorld();
  let isForgetting = false;
  let writes = 0;
  const one = await world.start("one", {
    around: (broker, relay) => {
      const produce = broker.produce.bind(broker);
      return Object.assign(broker, {
        produce: (asked: ProduceRequest) => {
          if (isForgetting && asked.topic === DESIRED) writes += 1;
          if (isForgetting && writes === wanted) relay().kill();
          return produce(asked);
        },
      });
    },
  });
  await world.clock.until(() => world.areShared(one));
  await world.delivered(4);
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await world.ended(one, id);
  const cancelled = await world.run(one.environment.clusterReplays.begin({ ...ALL, eventsPerSecond: 0.1 }));
  await world.run(one.environment.clusterReplays.cancel(cancelled.id));
  await world.clock.advance(61_000);
  const sent = [...world.sent];
  isForgetting = true;
  await world.run(one.environment.clusterReplays.retain(60_000, world.clock.now()).catch(() => undefined));
  expect(world.isRunning("one")).toBe(false);
  const two = await world.start("two");
  await world.clock.until(() => world.areShared(two));
  await world.run(two.environment.clusterReplays.retain(60_000, world.clock.now()));
  await world.clock.advance(60_000);
  expect(world.sent).toEqual(sent);
  expect(two.control.replaysOf("test")).toEqual([]);
  expect(keptOf(world)).toEqual([]);
  await world.end();
});

test("live traffic goes first, and the rate is that of all partitions together", async () => {
  const world = new ReplayWorld();
  const [one, two] = [await world.start("one"), await world.start("two")];
  await world.clock.until(() => world.areShared(one, two));
  await world.delivered(EVENTS);
  const beganAtMs = world.clock.monotonic();
  const { id } = await world.run(one.environment.clusterReplays.begin({ ...ALL, eventsPerSecond: 6 }));
  await world.clock.advance(1_000);
  await world.produce(4, 100);
  const isLive = (id_: string): boolean => Number(id_.slice(3)) >= 100;
  await world.clock.until(() => world.sent.filter(isLive).length === 4 * PARTITIONS);
  expect(world.clock.monotonic() - beganAtMs).toBeLessThan(5_000);
  await world.ended(two, id);
  // 60 events at 6 a second.
  expect(world.clock.monotonic() - beganAtMs).toBeGreaterThan(9_000);
  await world.end();
});

test("a replay whose credential was refused goes on when a reload brings another one", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(EVENTS);
  world.status = 401;
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await world.clock.advance(2_000);
  expect((await world.view(one, id))?.state).toBe("halted");
  world.status = 200;
  const prepared = await world.run(one.environment.prepare(configOf("new", { batch: { maxEvents: BATCH } })));
  await world.run(prepared.commit(1_000));
  // Sooner than a halted lane tries again by itself.
  await world.clock.advance(5_000);
  expect(await world.view(one, id)).toMatchObject({ state: "done", account: { delivered: EVENTS * PARTITIONS } });
  await world.end();
});

/** So many in each partition; what comes next is taken. */
async function withDeadLetters(count: number): Promise<{ readonly world: ReplayWorld; readonly one: TestRelay }> {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  world.status = 400;
  await world.produce(count);
  await world.clock.until(() => one.environment.shards.every((shard) => rejectedIn(shard) === count));
  world.status = 200;
  world.requests.length = 0;
  world.latencyMs = 50;
  return { world, one };
}

test("a retry of dead letters goes on with the lane, and each is marked", async () => {
  const { world, one } = await withDeadLetters(10);
  const ids: string[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const part = { partition, from: 0, to: 10, total: 10 };
    const wish = { destination: "segment", choice: { state: "waiting" as const }, part };
    ids.push((await world.run(one.environment.clusterReplays.retry(wish))).id);
  }
  await world.clock.until(() => world.sent.length > 3 * BATCH);
  await one.stop();
  expect(world.sent.length).toBeLessThan(30);
  const two = await world.start("two");
  for (const id of ids)
    expect((await world.ended(two, id)).account).toMatchObject({ accepted: 10, delivered: 10, balanced: true });
  expect(world.sent.toSorted()).toEqual(idsOf(10));
  const waiting = two.environment.shards.map((shard) => shard.destination("segment")?.deadLetters.counts().waiting);
  expect(waiting).toEqual([0, 0, 0]);
  await world.end();
});

test("a retry that is ended while the vendor has a batch of it learns the answer, and no other one sends it", async () => {
  const { world, one } = await withDeadLetters(8);
  world.latencyMs = 500;
  const part = { partition: 1, from: 0, to: 8, total: 8 };
  const wish = { destination: "segment", choice: { state: "waiting" as const }, part };
  const first = await world.run(one.environment.clusterReplays.retry(wish));
  const second = await world.run(one.environment.clusterReplays.retry(wish));
  for (let turn = 0; turn < 1_000 && world.requests.length < 1; turn++) await world.pass(20);
  expect(await world.run(one.environment.clusterReplays.cancel(first.id))).toBe(true);
  expect((await world.ended(one, second.id)).account).toMatchObject({ delivered: 4, balanced: true });
  expect((await world.view(one, first.id))?.account).toMatchObject({ delivered: 4, pending: 4 });
  expect(world.sent.toSorted()).toEqual([...new Set(world.sent)].toSorted());
  await world.end();
});

test.each([3, 4])(
  "two retries of the same dead letters send each once, also when their relay dies at request %i",
  async (requests) => {
    const { world, one } = await withDeadLetters(40);
    const part = { partition: 1, from: 0, to: 40, total: 40 };
    const wish = { destination: "segment", choice: { state: "waiting" as const }, part };
    const ids: string[] = [];
    for (let retry = 0; retry < 2; retry++) ids.push((await world.run(one.environment.clusterReplays.retry(wish))).id);
    for (let turn = 0; turn < 1_000 && world.requests.length < requests; turn++) await world.pass(20);
    expect(world.requests.length).toBe(requests);
    one.kill();
    const two = await world.start("two");
    const accounts: ReplayView["account"][] = [];
    for (const id of ids) accounts.push((await world.ended(two, id)).account);
    // What was on its way goes once more, as it was.
    const batches = new Set(world.requests.map((request) => request.ids.join()));
    const sent = [...batches].flatMap((batch) => batch.split(","));
    expect(sent.toSorted()).toEqual(
      idsOf(40)
        .filter((id) => id.startsWith("p1-"))
        .toSorted(),
    );
    expect(accounts.map(({ balanced }) => balanced)).toEqual([true, true]);
    expect(accounts.reduce((sum, { delivered }) => sum + delivered, 0)).toBe(40);
    await world.end();
  },
);

function rejectedIn(shard: Environment): number | undefined {
  return shard.destination("segment")?.account().rejected;
}

async function replaysOf(relay: RunningRelay): Promise<readonly ReplayView[]> {
  const { status, text } = await send(relay.adminUrl, "GET", "/v1/replays", "");
  expect(status).toBe(200);
  return JSON.parse(text) as readonly ReplayView[];
}

test("the admin API of any relay counts, begins, shows and ends a replay of an environment", async () => {
  const { emulator, start } = await startCluster();
  const [one, two] = [await start("one"), await start("two")];
  await until(() => areShared(one, two));
  await capture(one, 0, 40);
  await until(() => emulator.received === 40);
  const body = { destination: "emulator" };
  expect((await ask(two, "/v1/replays/test", { ...body, dryRun: true })).json).toEqual({ events: 40 });
  const { status, json } = await ask(one, "/v1/replays/test", body);
  expect([status, json["environment"], (json["account"] as { accepted: number }).accepted]).toEqual([202, "test", 40]);
  let found: readonly ReplayView[] = [];
  const look = async (): Promise<boolean> => (found = await replaysOf(two)).every(({ state }) => state === "done");
  for (let tries = 0; tries < 500 && !(await look()); tries++);
  expect(found.map(({ id, state, account }) => [id, state, account.delivered])).toEqual([[json["id"], "done", 40]]);
  expect(emulator.duplicates).toBe(40);

  const slow = (await ask(two, "/v1/replays/test%2F1", { ...body, eventsPerSecond: 0.1 })).json;
  expect((slow["partitions"] as { partition: number }[]).map(({ partition }) => partition)).toEqual([1]);
  const path = `/v1/replays/test/${String(slow["id"])}`;
  expect((await send(one.adminUrl, "DELETE", path, "")).status).toBe(204);
  expect((await replaysOf(two)).map(({ state }) => state)).toEqual(["done", "cancelled"]);
  expect((await send(one.adminUrl, "DELETE", "/v1/replays/test/none", "")).status).toBe(404);
  expect((await ask(one, "/v1/replays/test", { destination: "crm" })).json["code"]).toBe("unknown_lane");
  expect((await ask(one, "/v1/replays/test%2F9", body)).json["code"]).toBe("unknown_lane");
  expect((await ask(one, "/v1/replays/nowhere", body)).json["code"]).toBe("unknown_environment");
});

test("while the ends of replays cannot be written two of them are in a lane's state, and the lane goes on", async () => {
  const world = new ReplayWorld();
  let isRefused = false;
  const one = await world.start("one", {
    around: (broker) => {
      const produce = broker.produce.bind(broker);
      return Object.assign(broker, {
        produce: async (asked: ProduceRequest) => {
          if (isRefused && asked.topic === DESIRED) throw new BrokerError("not_enough_replicas", "1 of 3");
          return produce(asked);
        },
      });
    },
  });
  await world.clock.until(() => world.areShared(one));
  await world.delivered(4);
  const lanes = { environment: "test", destination: "segment" };
  await world.run(one.control.steer(lanes, "pause"));
  for (let index = 0; index < 20; index++)
    await world.run(one.environment.clusterReplays.begin({ ...ALL, partitions: [0] }));
  await world.run(one.control.steer(lanes, "resume"));
  isRefused = true;
  for (let seconds = 0; seconds < 40; seconds++) await world.pass(1_000);
  await world.produce(4, 100);
  await world.pass(5_000);
  expect(world.sent.filter((id) => Number(id.slice(3)) >= 100)).toHaveLength(4 * PARTITIONS);
  const [stored] = world.cluster.offsets("waybill.test.segment", [{ topic: "waybill.test", partition: 0 }]);
  expect(stored?.metadata.match(/"done":true/g)).toHaveLength(2);
  isRefused = false;
  for (let seconds = 0; seconds < 40; seconds++) await world.pass(1_000);
  const views = await world.run(one.environment.clusterReplays.views([]));
  expect(views.map(({ state, account }) => `${state} ${account.delivered}`)).toEqual(Array(20).fill("done 4"));
  await world.end();
});

test("the ledger of a replay is what was sent, also once its destination is removed, and when it is cancelled then", async () => {
  const world = new ReplayWorld();
  const one = await world.start("one");
  await world.clock.until(() => world.areShared(one));
  await world.delivered(EVENTS);
  world.latencyMs = 100;
  const { id } = await world.run(one.environment.clusterReplays.begin(ALL));
  await world.clock.until(() => world.sent.length > EVENTS);
  const removal = await world.run(one.environment.prepare({ ...configOf("old"), destinations: [] }));
  await world.run(removal.commit(1_000));
  const accepted = EVENTS * PARTITIONS;
  const delivered = world.sent.length;
  expect(delivered).toBeLessThan(accepted);
  const account = { accepted, delivered, pending: accepted - delivered };
  expect(await world.view(one, id)).toMatchObject({ state: "paused", account });
  expect(await world.run(one.environment.clusterReplays.cancel(id))).toBe(true);
  expect(await world.view(one, id)).toMatchObject({ state: "cancelled", account });
  await world.end();
});
