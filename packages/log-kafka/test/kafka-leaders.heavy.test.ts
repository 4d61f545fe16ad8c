/** Three real brokers; some die, hang or are out of sync: what was acknowledged is kept. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Broker, Offset, TopicPartition } from "../src/index.ts";
import {
  again,
  codeOf,
  connectTo,
  DEADLINE,
  leaderOf,
  newTopic,
  readAll,
  until,
  withCluster,
} from "./lib/real-cluster.ts";

const cluster = withCluster({ brokers: 3 });
const TEST_MAX_MS = 180_000;
const SENDERS = 4;
const VALUE_BYTES = 300;
/** What is after the deadline of a call, on a machine that does other work too. */
const LATE_MS = 5_000;

/** Sends numbered records one after another, each until it is acknowledged. */
class Sender {
  readonly acknowledged = new Map<string, Offset>();
  isStopped = false;
  readonly #done: Promise<void>;

  constructor(broker: Broker, at: TopicPartition, name: string) {
    this.#done = this.#send(broker, at, name);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.#done;
  }

  async #send(broker: Broker, at: TopicPartition, name: string): Promise<void> {
    for (let count = 0; !this.isStopped; count++) {
      const text = `${name}-${count} `.padEnd(VALUE_BYTES, "x");
      const { offset } = await again(() => broker.produce({ ...at, values: [Buffer.from(text)], deadlineMs: 2000 }));
      this.acknowledged.set(text, offset);
    }
  }
}

function countOf(senders: readonly Sender[]): number {
  return senders.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
}

async function moreThan(senders: readonly Sender[], more: number): Promise<void> {
  const before = countOf(senders);
  await until(() => Promise.resolve(countOf(senders) >= before + more));
}

/** Each acknowledged record is at the offset that was answered. */
async function expectKept(broker: Broker, at: TopicPartition, senders: readonly Sender[]): Promise<void> {
  const stored = new Map(
    (await readAll(broker, at)).map(({ offset, value }) => [offset, Buffer.from(value).toString()]),
  );
  const lost = senders.flatMap(({ acknowledged }) =>
    [...acknowledged].filter(([text, offset]) => stored.get(offset) !== text),
  );
  expect(lost).toEqual([]);
  expect(countOf(senders)).toBeGreaterThan(100);
}

async function sendersTo(broker: Broker, at: TopicPartition): Promise<readonly Sender[]> {
  return Array.from({ length: SENDERS }, (_, index) => new Sender(broker, at, `s${index}`));
}

test(
  "a fetch that waits does not hold up sends and commits, and ends with the first record",
  async () => {
    const broker = await connectTo(cluster());
    const topic = await newTopic(broker, { partitions: 6 });
    const wait = { offset: 0, maxBytes: 1000, maxWaitMs: 60_000, deadlineMs: 65_000 };
    const waiting = Promise.all(
      Array.from({ length: 6 }, (_, partition) => again(() => broker.fetch({ topic, partition, ...wait }))),
    );
    await sleep(300);
    const startedAt = performance.now();
    for (let partition = 0; partition < 6; partition++)
      await again(() => broker.produce({ topic, partition, values: [Buffer.from("a")], ...DEADLINE }));
    const commit = { group: "waits", memberId: "", memberEpoch: -1, ...DEADLINE };
    await again(() => broker.commit({ ...commit, offsets: [{ topic, partition: 0, offset: 1, metadata: "" }] }));
    const fetched = await waiting;
    expect(fetched.map(({ records }) => records.length)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(performance.now() - startedAt).toBeLessThan(50_000);
  },
  TEST_MAX_MS,
);

test(
  "no acknowledged record is lost when the leader is killed under the senders, twice",
  async () => {
    const broker = await connectTo(cluster());
    const at = { topic: await newTopic(broker), partition: 0 };
    const senders = await sendersTo(broker, at);
    for (let kill = 0; kill < 2; kill++) {
      await moreThan(senders, 100);
      const leader = cluster().brokers[(await leaderOf(broker, at)) - 1];
      await leader?.kill();
      await moreThan(senders, 100);
      leader?.start();
      await leader?.ready();
      await until(
        async () =>
          (await broker.describe({ topics: [at.topic], ...DEADLINE }))[0]?.partitions[0]?.inSyncReplicas.length === 3,
      );
    }
    await Promise.all(senders.map((sender) => sender.stop()));
    await expectKept(broker, at, senders);
  },
  TEST_MAX_MS,
);

test(
  "a send to a leader that hangs ends at its deadline; the others go on with the next leader",
  async () => {
    const broker = await connectTo(cluster());
    const at = { topic: await newTopic(broker), partition: 0 };
    await again(() => broker.produce({ ...at, values: [Buffer.from("before")], ...DEADLINE }));
    const frozen = cluster().brokers[(await leaderOf(broker, at)) - 1];
    frozen?.freeze();
    try {
      const startedAt = performance.now();
      expect(await codeOf(broker.produce({ ...at, values: [Buffer.from("hung")], deadlineMs: 700 }))).toBe("timeout");
      expect(performance.now() - startedAt).toBeLessThan(LATE_MS);
      const { offset } = await again(() => broker.produce({ ...at, values: [Buffer.from("next")], deadlineMs: 700 }));
      expect(offset).toBeGreaterThan(0);
      expect(await leaderOf(broker, at)).not.toBe(frozen?.id);
    } finally {
      frozen?.thaw();
    }
    // What the frozen one alone had received is not a record. An attempt that ended at its deadline
    // while the next leader waited for the frozen one may be: "next" can be there more than once.
    await sleep(2000);
    await again(() => broker.produce({ ...at, values: [Buffer.from("after")], ...DEADLINE }));
    const texts = (await readAll(broker, at)).map(({ value }) => Buffer.from(value).toString());
    expect([...new Set(texts)]).toEqual(["before", "next", "after"]);
  },
  TEST_MAX_MS,
);

test(
  "with too few in sync nothing is taken, and it is again by itself",
  async () => {
    const broker = await connectTo(cluster());
    const at = { topic: await newTopic(broker, { replicas: 2 }), partition: 0 };
    await again(() => broker.produce({ ...at, values: [Buffer.from("before")], ...DEADLINE }));
    const [described] = await broker.describe({ topics: [at.topic], ...DEADLINE });
    const leader = await leaderOf(broker, at);
    const follower = cluster().brokers[(described?.partitions[0]?.replicas.find((id) => id !== leader) ?? 1) - 1];
    await follower?.kill();
    const codes = new Set<string | undefined>();
    await until(async () => {
      codes.add(await codeOf(broker.produce({ ...at, values: [Buffer.from("during")], deadlineMs: 1000 })));
      return codes.has("not_enough_replicas");
    });
    expect([...codes].filter((code) => code !== "timeout" && code !== "not_leader")).toEqual(["not_enough_replicas"]);
    follower?.start();
    await follower?.ready();
    await again(() => broker.produce({ ...at, values: [Buffer.from("after")], ...DEADLINE }));
    expect((await readAll(broker, at)).map(({ value }) => Buffer.from(value).toString()).at(-1)).toBe("after");
  },
  TEST_MAX_MS,
);

test(
  "without a quorum each call ends at its deadline, and all goes on when there is one",
  async () => {
    const broker = await connectTo(cluster());
    const at = { topic: await newTopic(broker), partition: 0 };
    const leader = await leaderOf(broker, at);
    const others = cluster().brokers.filter(({ id }) => id !== leader);
    for (const other of others) other.freeze();
    try {
      const calls = Array.from({ length: 3 }, async () => {
        const startedAt = performance.now();
        const code = await codeOf(broker.produce({ ...at, values: [Buffer.from("x")], deadlineMs: 1000 }));
        return { code, isLate: performance.now() - startedAt > LATE_MS };
      });
      for (const { code, isLate } of await Promise.all(calls)) {
        expect(["timeout", "unreachable", "not_leader", "not_enough_replicas"]).toContain(code);
        expect(isLate).toBe(false);
      }
    } finally {
      for (const other of others) other.thaw();
    }
    await again(() => broker.produce({ ...at, values: [Buffer.from("after")], ...DEADLINE }));
    expect((await readAll(broker, at)).map(({ value }) => Buffer.from(value).toString()).at(-1)).toBe("after");
  },
  TEST_MAX_MS,
);
