/** Topics and writing on real brokers: created, checked, written to while a leader dies. */
import { setTimeout as sleep } from "node:timers/promises";
import { nodeRuntime } from "@waybill/node";
import { expect, test } from "vitest";
import { decodeValue, KeyedTopic, openTopics, type Place, Producer, type TopicsOptions } from "../src/index.ts";
import { entryOf, eventsOf } from "./lib/entries.ts";
import { connectTo, leaderOf, readAll, until, withCluster } from "./lib/real-cluster.ts";

const cluster = withCluster({ brokers: 3 });
const TEST_MAX_MS = 180_000;
const { clock } = nodeRuntime();
const WRITERS = 20;

function optionsFor(topic: string): TopicsOptions {
  return {
    topics: [topic],
    bootstrap: cluster().addresses[0] ?? "",
    partitions: 2,
    replicationFactor: 3,
    minInSyncReplicas: 2,
    retention: { maxAgeMs: 86_400_000, hardMaxBytes: 1_000_000_000 },
  };
}

test(
  "relays that start together make the topics, and a real broker's own settings are all known",
  async () => {
    const options = { ...optionsFor("accept.made"), topics: ["accept.made", "accept.made.crm.dead"] };
    const brokers = await Promise.all([1, 2, 3].map(() => connectTo(cluster())));
    const opened = await Promise.all(brokers.map((broker) => openTopics(broker, clock, options)));
    for (const { topics, warnings } of opened) {
      expect(topics.map(({ topic }) => topic)).toEqual(options.topics);
      expect(topics.map(({ maxMessageBytes }) => maxMessageBytes)).toEqual([8_388_608, 8_388_608]);
      expect(warnings).toEqual([]);
    }
  },
  TEST_MAX_MS,
);

test(
  "a compacted topic is made as it is checked, and read in one order by all",
  async () => {
    const topic = "accept.desired";
    const options = { ...optionsFor(topic), partitions: 1, isCompacted: true };
    const broker = await connectTo(cluster());
    await openTopics(broker, clock, options);
    expect((await openTopics(broker, clock, options)).warnings).toEqual([]);
    const plain = { ...optionsFor(topic), partitions: 1 };
    await expect(openTopics(broker, clock, plain)).rejects.toThrow("it is compacted (compact)");
    const records: string[] = [];
    const open = async (): Promise<KeyedTopic> =>
      KeyedTopic.open({
        broker: await connectTo(cluster()),
        clock,
        topic,
        onRecord: ({ key, value }) => void records.push(`${key}=${value}`),
        onReading: () => undefined,
      });
    const one = await open();
    for (const [key, value] of [
      ["a", "1"],
      ["a", "2"],
      ["b", "3"],
      ["a", ""],
    ] as const)
      await one.write(key, value);
    await one.catchUp();
    one.close();
    const two = await open();
    two.close();
    expect(records).toEqual(["a=1", "a=2", "b=3", "a=", "a=1", "a=2", "b=3", "a="]);
  },
  TEST_MAX_MS,
);

test(
  "topics with the brokers' defaults are refused for what would lose events",
  async () => {
    const broker = await connectTo(cluster());
    await broker.create({
      topic: "accept.plain",
      partitions: 3,
      replicationFactor: 1,
      configs: {},
      deadlineMs: 20_000,
    });
    const refused = openTopics(broker, clock, {
      ...optionsFor("accept.plain"),
      retention: { maxAgeMs: 30 * 86_400_000, hardMaxBytes: 1_000_000_000 },
    });
    const message = await refused.then(
      () => "",
      (error: unknown) => (error as Error).message,
    );
    for (const reason of [
      "it has 3 partitions, kafka.partitions is 2",
      "has 1 replica, kafka.replicationFactor is 3",
      "message.timestamp.type=LogAppendTime",
      "retention.ms=-1",
    ])
      expect(message).toContain(reason);
  },
  TEST_MAX_MS,
);

test(
  "while a leader dies every answer is true: acknowledged is kept, else refused, and then it goes on by itself",
  async () => {
    const broker = await connectTo(cluster());
    const { topics } = await openTopics(broker, clock, optionsFor("accept.written"));
    const [{ topic, maxMessageBytes } = { topic: "", maxMessageBytes: 0 }] = topics;
    const producer = new Producer({
      broker,
      clock,
      topic,
      partitions: 2,
      maxMessageBytes,
      // Less than the brokers take to miss one of them: some are refused.
      callMs: 500,
      waitMs: 500,
    });
    const acknowledged: (Place & { readonly text: string })[] = [];
    let refused = 0;
    let isStopped = false;
    const write = async (name: string): Promise<void> => {
      for (let count = 0; !isStopped; count++) {
        const text = `${name}.${count}`.padEnd(300, "x");
        const part = { partition: count % 2, entry: entryOf([text]), indexes: undefined };
        try {
          const [place] = await producer.append([part]);
          acknowledged.push({ ...(place as Place), text });
        } catch (error) {
          expect(error).toMatchObject({ code: "WAYBILL_LOG_UNAVAILABLE", retryable: true });
          refused += 1;
          await sleep(50);
        }
      }
    };
    const writers = Array.from({ length: WRITERS }, (_, index) => write(`w${index}`));
    await until(() => Promise.resolve(acknowledged.length > 10 * WRITERS));
    const leader = await leaderOf(broker, { topic, partition: 0 });
    await cluster().brokers[leader - 1]?.kill();
    // Until another broker leads what it led, and takes records.
    const killedAt = acknowledged.length;
    const isBack = (): boolean => acknowledged.slice(killedAt).some(({ partition }) => partition === 0);
    await until(() => Promise.resolve(isBack() && producer.lastError === undefined));
    const healedAt = acknowledged.length;
    await until(() => Promise.resolve(acknowledged.length > healedAt + WRITERS));
    isStopped = true;
    await Promise.all(writers);
    await producer.close();
    for (const partition of [0, 1]) {
      const stored = new Map(
        (await readAll(broker, { topic, partition })).map(({ offset, value }) => [offset, textOf(value)]),
      );
      const lost = acknowledged.filter((one) => one.partition === partition && stored.get(one.offset) !== one.text);
      expect(lost).toEqual([]);
    }
    expect(refused).toBeGreaterThan(0);
  },
  TEST_MAX_MS,
);

function textOf(value: Uint8Array): string {
  const record = decodeValue(value);
  return record === undefined ? "" : eventsOf({ body: [record.body], ends: record.ends }).join(",");
}
