/** A mark of a dead letter that comes late, of a relay that has lost the lane. */
import { type Broker, BrokerError, type FetchRequest, type ProduceRequest } from "@waybill/log-kafka";
import type { Environment } from "@waybill/relay/headless";
import { expect, test } from "vitest";
import { ReplayWorld, type Request, type TestRelay } from "./lib/replay-world.ts";

const COUNT = 12;
const PARTITION = 1;
const DISCARDED = 2;
const MARKS = "waybill.test.segment.marks";
/** Of a broker that is behind, after it was asked first. */
const STALE_MS = 5_000;

function shardOf({ environment }: TestRelay): Environment {
  const shard = environment.shards.find(({ name }) => name === `test/${PARTITION}`);
  if (shard === undefined) throw new Error("no lane");
  return shard;
}

/** All of a lane are dead letters. One is discarded as its relay dies, and nobody has read it. */
async function withLateMark(): Promise<{
  readonly world: ReplayWorld;
  readonly two: TestRelay;
  arrive(): Promise<void>;
}> {
  const world = new ReplayWorld();
  const { clock, cluster } = world;
  const late: ProduceRequest[] = [];
  const one = await world.start("one", {
    around: (broker) => {
      const produce = broker.produce.bind(broker);
      return Object.assign(broker, {
        produce: (asked: ProduceRequest) => {
          if (asked.topic !== MARKS) return produce(asked);
          late.push(asked);
          const unanswered = new BrokerError("timeout", "no answer in time");
          return new Promise((_, reject) => clock.after(asked.deadlineMs, () => reject(unanswered)));
        },
      });
    },
  });
  await clock.until(() => world.areShared(one));
  world.status = 400;
  await world.produce(COUNT);
  await clock.until(() =>
    one.environment.shards.every((shard) => shard.destination("segment")?.account().rejected === COUNT),
  );
  world.status = 200;
  world.requests.length = 0;
  const discarded = shardOf(one).destination("segment")?.deadLetters.mark([DISCARDED], "discarded");
  void discarded?.catch(() => undefined);
  await clock.until(() => late.length > 0);
  one.kill();
  const two = await world.start("two");
  await clock.until(() => world.areShared(two));
  const arrive = async (): Promise<void> => {
    await world.run(cluster.connect("late").produce({ ...(late[0] as ProduceRequest), deadlineMs: 5_000 }));
    await world.pass(2_000);
  };
  return { world, two, arrive };
}

interface Retrying {
  readonly before?: () => Promise<void>;
  /** Of the next relay. */
  readonly around?: (broker: Broker) => Broker;
}

/** Its relay dies amid the first request of a retry of all: what it and the next one have sent. */
async function retried(
  world: ReplayWorld,
  two: TestRelay,
  { before, around = (one) => one }: Retrying,
): Promise<readonly Request[]> {
  world.latencyMs = 5_000;
  const part = { partition: PARTITION, from: 0, to: COUNT, total: COUNT };
  const wish = { destination: "segment", choice: { state: "waiting" as const }, part };
  const { id } = await world.run(two.environment.clusterReplays.retry(wish));
  for (let turn = 0; turn < 1_000 && world.requests.length < 1; turn++) await world.pass(20);
  await before?.();
  two.kill();
  world.latencyMs = 5;
  const three = await world.start("three", { around });
  const { account } = await world.ended(three, id);
  expect(account).toMatchObject({ accepted: COUNT, pending: 0 });
  return world.requests;
}

test("a mark that comes late is known, and changes nothing of a batch that was planned after it", async () => {
  const { world, two, arrive } = await withLateMark();
  await arrive();
  expect(shardOf(two).destination("segment")?.deadLetters.counts()).toMatchObject({ waiting: COUNT - 1, discarded: 1 });
  const [planned, again] = await retried(world, two, {});
  expect(again).toEqual({ relay: "three", ids: planned?.ids });
  expect(world.sent).not.toContain(`p${PARTITION}-${DISCARDED}`);
  await world.end();
});

test("nor of one that was planned before it", async () => {
  const { world, two, arrive } = await withLateMark();
  const [planned, again] = await retried(world, two, { before: arrive });
  expect(planned?.ids).toContain(`p${PARTITION}-${DISCARDED}`);
  expect(again).toEqual({ relay: "three", ids: planned?.ids });
  await world.end();
});

test("nor where the next relay reads the marks from a broker that is behind", async () => {
  const { world, two, arrive } = await withLateMark();
  await arrive();
  const { clock } = world;
  let untilMs = 0;
  const isBehind = (asked: { readonly topic: string; readonly partition: number }): boolean => {
    if (asked.topic !== MARKS || asked.partition !== PARTITION) return false;
    untilMs ||= clock.monotonic() + STALE_MS;
    return clock.monotonic() < untilMs;
  };
  const around = (broker: Broker): Broker => {
    const { fetch, offsetAt } = { fetch: broker.fetch.bind(broker), offsetAt: broker.offsetAt.bind(broker) };
    return Object.assign(broker, {
      fetch: async (asked: FetchRequest) => {
        const fetched = await fetch(asked);
        return isBehind(asked) ? { ...fetched, end: 0, records: [] } : fetched;
      },
      offsetAt: async (asked: Parameters<Broker["offsetAt"]>[0]) => (isBehind(asked) ? 0 : offsetAt(asked)),
    });
  };
  const [planned, again] = await retried(world, two, { around });
  expect(planned?.ids).not.toContain(`p${PARTITION}-${DISCARDED}`);
  expect(again).toEqual({ relay: "three", ids: planned?.ids });
  await world.end();
});
