import type { DeadLetters, Log } from "@waybill/log";
import { type Broker, BrokerError, type Companion, companionTopic } from "@waybill/log-kafka";
import { VirtualClock } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, test } from "vitest";
import { entryOf } from "../../../log-kafka/test/lib/world.ts";
import { companionRuntime } from "../../src/cluster/companions.ts";
import { EVENTS, OnePartition, TOPIC } from "./lib/one-partition.ts";

const NAMES = { environment: "production", destination: "segment" };
const PREFIX = "waybill";
const ADVANCE_MS = 10_000;

/** An append waits while another relay writes to the same companion topic: what becomes of it. */
async function overtaken(companion: Companion, directory: string): Promise<unknown> {
  const clock = new VirtualClock();
  const cluster = new SimCluster({ clock, latencyMs: 0, replicationMs: 0 });
  const topic = companionTopic(PREFIX, NAMES, companion);
  const settings = { topic, partitions: 1, replicationFactor: 3, configs: {}, deadlineMs: 1_000 };
  await cluster.connect("other").create(settings);
  let isDown = true;
  const connected = cluster.connect("relay");
  const produce: Broker["produce"] = async (request) => {
    if (isDown) throw new BrokerError("timeout", "no answer in time");
    return connected.produce(request);
  };
  const broker = new Proxy(connected, {
    get: (target, name: keyof Broker) => (name === "produce" ? produce : target[name].bind(target)),
  });
  const open = (over: Broker): Promise<Log> => {
    const runtime = companionRuntime({ broker: over, clock, prefix: PREFIX, ...NAMES }, 0, "/data");
    if (!("openLog" in runtime)) throw new Error("its logs are on a disk");
    return runtime.openLog({ directory });
  };
  const log = await open(broker);
  const appended = log.append(entryOf(["a"])).catch((error: unknown) => (error as { readonly reason?: string }).reason);
  await clock.advance(1_000);
  await (await open(cluster.connect("other"))).append(entryOf(["b"]));
  isDown = false;
  await clock.advance(ADVANCE_MS);
  return appended;
}

test("nothing is written after what another relay has written meanwhile, until that was read", async () => {
  expect(await overtaken("dead", "/data/dead/segment")).toBe("overtaken");
  expect(await overtaken("marks", "/data/dead/segment/marks")).toBe("overtaken");
  expect(await overtaken("fates", "/data/fates/segment")).toBe("overtaken");
});

test("a lane begins where Kafka has removed all of its dead letters, marks and outcomes, and gives no id again", async () => {
  const world = new OnePartition();
  const { clock, cluster } = world;
  const run = async <T>(work: Promise<T>): Promise<T> => {
    let isDone = false;
    void work.then(() => (isDone = true));
    await clock.until(() => isDone);
    return work;
  };
  world.status = 400;
  const one = await world.open("one");
  // Every other one is a copy: too many outcomes in turn for the lane's state.
  const numbers = Array.from({ length: 10 * EVENTS }, (_, number) => Math.floor(number / 2));
  await world.store(numbers);
  const deadLettersOf = ({ shards }: typeof one): DeadLetters | undefined =>
    shards[0]?.destination("segment")?.deadLetters;
  await clock.until(() => deadLettersOf(one)?.counts().waiting === 5 * EVENTS);
  await run(Promise.resolve(deadLettersOf(one)?.mark([0, 1, 2, 3, 4], "discarded")));
  await clock.advance(ADVANCE_MS);
  await world.close(one);
  const admin = cluster.connect("admin");
  for (const companion of ["dead", "marks", "fates"]) {
    const at = { topic: `${TOPIC}.segment.${companion}`, partition: 0, deadlineMs: 1_000 };
    const offset = await run(admin.offsetAt({ ...at, at: "end" }));
    expect(offset).toBeGreaterThan(0);
    await run(admin.removeBefore({ ...at, offset }));
  }
  const two = await world.open("two");
  await world.store([10 * EVENTS]);
  await clock.until(() => deadLettersOf(two)?.counts().waiting === 1);
  expect(deadLettersOf(two)?.log).toMatchObject({ first: 5 * EVENTS, head: 5 * EVENTS + 1 });
  expect(deadLettersOf(two)?.marks).toBe(5);
});
