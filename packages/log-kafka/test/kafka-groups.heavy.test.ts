/** Groups on three real brokers: what is committed is fenced for each partition. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Broker, HeartbeatAnswer, TopicPartition } from "../src/index.ts";
import {
  again,
  alterConfigs,
  codeOf,
  connectTo,
  DEADLINE,
  leaderOf,
  newTopic,
  until,
  withCluster,
} from "./lib/real-cluster.ts";

/** Of the group whose member is to be expelled. */
const SHORT_SESSION_MS = 3000;
/** Of all others: a machine that holds a test up expels nobody. */
const SESSION_MS = 45_000;
const cluster = withCluster({
  brokers: 3,
  groupSessionMs: SHORT_SESSION_MS,
  settings: { "group.consumer.session.timeout.ms": String(SESSION_MS) },
});
const TEST_MAX_MS = 180_000;
const HEARTBEAT_MS = 200;
const OFFSETS_TOPIC = "__consumer_offsets";
const OFFSETS_PARTITIONS = 4;

/** A member that gives up at once what it has to, and knows at which epoch each partition came. */
class Member {
  readonly id: string = randomUUID();
  /** By partition. */
  readonly epochs = new Map<number, number>();
  epoch = 0;
  error: string | undefined;
  readonly #broker: Broker;
  readonly #group: string;
  readonly #topic: string;
  #isFirst = true;
  #isPaused = false;
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor(broker: Broker, group: string, topic: string) {
    this.#broker = broker;
    this.#group = group;
    this.#topic = topic;
    this.#done = this.#run();
  }

  pause(): void {
    this.#isPaused = true;
  }

  async leave(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
    const { id: memberId } = this;
    await again(() => this.#broker.heartbeat({ group: this.#group, memberId, memberEpoch: -1, ...DEADLINE }));
    this.epochs.clear();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }

  commit(partition: number, memberEpoch: number, metadata = `${this.id}@${memberEpoch}`): Promise<void> {
    const offsets = [{ topic: this.#topic, partition, offset: 0, metadata }];
    return again(() =>
      this.#broker.commit({ group: this.#group, memberId: this.id, memberEpoch, offsets, ...DEADLINE }),
    );
  }

  async #run(): Promise<void> {
    for (; !this.#isStopped; await sleep(HEARTBEAT_MS)) {
      if (this.#isPaused) continue;
      const code = await codeOf(this.#beat());
      if (code === "fenced") this.error = code;
      if (code === "fenced") return;
    }
  }

  async #beat(): Promise<void> {
    const topics = this.#isFirst ? { topics: [this.#topic], rebalanceTimeoutMs: 5000 } : {};
    const answer = await this.#heartbeat(topics);
    this.#isFirst = false;
    if (answer.assignment === undefined) return;
    const wanted = answer.assignment.map(({ partition }) => partition);
    for (const partition of this.epochs.keys()) if (!wanted.includes(partition)) this.epochs.delete(partition);
    for (const partition of wanted) if (!this.epochs.has(partition)) this.epochs.set(partition, answer.memberEpoch);
    await this.#heartbeat({});
  }

  async #heartbeat(more: object): Promise<HeartbeatAnswer> {
    const owned = [...this.epochs.keys()].map((partition) => ({ topic: this.#topic, partition }));
    const own = { group: this.#group, memberId: this.id, memberEpoch: this.epoch, owned };
    const answer = await this.#broker.heartbeat({ ...own, ...more, ...DEADLINE });
    this.epoch = answer.memberEpoch;
    return answer;
  }
}

async function has(member: Member, partitions: number): Promise<void> {
  await until(() => Promise.resolve(member.epochs.size === partitions));
}

async function storedOf(broker: Broker, group: string, at: TopicPartition): Promise<string | undefined> {
  const [stored] = await again(() => broker.committed({ group, partitions: [at], ...DEADLINE }));
  return stored?.metadata;
}

test(
  "an epoch that was captured is good as long as the partition is kept, and never again",
  async () => {
    const broker = await connectTo(cluster());
    const topic = await newTopic(broker, { partitions: 2 });
    const group = `g-${randomUUID()}`;
    const first = new Member(broker, group, topic);
    await has(first, 2);
    const captured = new Map(first.epochs);
    await first.commit(0, captured.get(0) as number);
    await first.commit(1, captured.get(1) as number);
    const second = new Member(broker, group, topic);
    await has(second, 1);
    const [lost = 0] = second.epochs.keys();
    const kept = 1 - lost;
    await first.commit(kept, captured.get(kept) as number);
    expect(await codeOf(first.commit(lost, captured.get(lost) as number))).toBe("fenced");
    await second.commit(lost, second.epochs.get(lost) as number, "the new owner");
    await second.leave();
    await has(first, 2);
    expect(first.epochs.get(lost)).toBeGreaterThan(captured.get(lost) as number);
    expect(await codeOf(first.commit(lost, captured.get(lost) as number))).toBe("fenced");
    expect(await storedOf(broker, group, { topic, partition: lost })).toBe("the new owner");
    await first.commit(lost, first.epochs.get(lost) as number, "regained");
    await first.commit(kept, captured.get(kept) as number, "kept");
    expect(await storedOf(broker, group, { topic, partition: lost })).toBe("regained");
    expect(await storedOf(broker, group, { topic, partition: kept })).toBe("kept");
    await first.leave();
  },
  TEST_MAX_MS,
);

test(
  "the current epoch would overwrite the state of another owner, so that it must not be used",
  async () => {
    const broker = await connectTo(cluster());
    const topic = await newTopic(broker, { partitions: 2 });
    const group = `g-${randomUUID()}`;
    const [first, second] = [new Member(broker, group, topic), new Member(broker, group, topic)];
    await has(first, 1);
    await has(second, 1);
    const [foreign = 0] = second.epochs.keys();
    expect(await codeOf(first.commit(foreign, first.epoch))).toBe(undefined);
    await first.leave();
    await second.leave();
  },
  TEST_MAX_MS,
);

test(
  "who was paused for longer than the session is fenced, and owns nothing",
  async () => {
    const broker = await connectTo(cluster());
    const topic = await newTopic(broker, { partitions: 1 });
    const group = `g-${randomUUID()}`;
    const session = { "consumer.session.timeout.ms": String(SHORT_SESSION_MS) };
    await alterConfigs(cluster(), { type: "group", name: group }, session);
    const zombie = new Member(broker, group, topic);
    await has(zombie, 1);
    const captured = zombie.epochs.get(0) as number;
    zombie.pause();
    const next = new Member(broker, group, topic);
    await has(next, 1);
    await next.commit(0, next.epochs.get(0) as number, "next");
    expect(await codeOf(zombie.commit(0, captured))).toBe("fenced");
    expect(await codeOf(zombie.commit(0, zombie.epoch + 1))).toBe("fenced");
    const memberEpoch = zombie.epoch;
    expect(await codeOf(broker.heartbeat({ group, memberId: zombie.id, memberEpoch, ...DEADLINE }))).toBe("fenced");
    expect(await storedOf(broker, group, { topic, partition: 0 })).toBe("next");
    const { members } = await broker.describeGroup({ group, ...DEADLINE });
    expect(members.map(({ memberId, clientId, assignment }) => ({ memberId, clientId, assignment }))).toEqual([
      { memberId: next.id, clientId: "test", assignment: [{ topic, partition: 0 }] },
    ]);
    await zombie.stop();
    await next.leave();
    // A client without a membership overwrites an empty group: Kafka lets it.
    const offsets = [{ topic, partition: 0, offset: 0, metadata: "foreign" }];
    await broker.commit({ group, memberId: "", memberEpoch: -1, offsets, ...DEADLINE });
    expect(await storedOf(broker, group, { topic, partition: 0 })).toBe("foreign");
  },
  TEST_MAX_MS,
);

test(
  "the coordinator is killed under commits: the last acknowledged one is kept, and so is the epoch",
  async () => {
    const broker = await connectTo(cluster());
    const topic = await newTopic(broker);
    const group = `g-${randomUUID()}`;
    const member = new Member(broker, group, topic);
    await has(member, 1);
    const captured = member.epochs.get(0) as number;
    const coordinator = await leaderOf(broker, { topic: OFFSETS_TOPIC, partition: partitionOf(group) });
    const killed = cluster().brokers[coordinator - 1];
    let last = 0;
    let failures = 0;
    const commit = async (): Promise<void> => {
      const offsets = [{ topic, partition: 0, offset: last + 1, metadata: String(last + 1) }];
      const own = { group, memberId: member.id, memberEpoch: captured, offsets, deadlineMs: 1000 };
      const code = await codeOf(broker.commit(own));
      if (code === undefined) last += 1;
      else failures += 1;
      expect(["timeout", "unreachable", "not_leader", undefined]).toContain(code);
      if (code !== undefined) await sleep(50);
    };
    while (last < 50) await commit();
    const killing = killed?.kill();
    while (last < 100) await commit();
    await killing;
    expect(failures).toBeGreaterThan(0);
    expect(await storedOf(broker, group, { topic, partition: 0 })).toBe("100");
    expect({ error: member.error, captured: member.epochs.get(0) }).toEqual({ error: undefined, captured });
    await member.leave();
    killed?.start();
    await killed?.ready();
  },
  TEST_MAX_MS,
);

test(
  "a commit has up to 4,096 characters, however many bytes they are",
  async () => {
    const broker = await connectTo(cluster());
    const topic = await newTopic(broker, { partitions: 2 });
    const commit = (metadata: string, partition: number): Promise<void> => {
      const offsets = [{ topic, partition, offset: 1, metadata }];
      return again(() => broker.commit({ group: "wide", memberId: "", memberEpoch: -1, offsets, ...DEADLINE }));
    };
    await commit("x".repeat(4096), 0);
    await commit("€".repeat(4096), 1);
    expect(await codeOf(commit("y".repeat(4097), 0))).toBe("metadata_too_large");
    expect(await storedOf(broker, "wide", { topic, partition: 0 })).toBe("x".repeat(4096));
    expect(await storedOf(broker, "wide", { topic, partition: 1 })).toBe("€".repeat(4096));
  },
  TEST_MAX_MS,
);

/** As the brokers choose it: by Java's hash of the name. */
function partitionOf(group: string): number {
  let hash = 0;
  for (let at = 0; at < group.length; at++) hash = (Math.imul(31, hash) + group.charCodeAt(at)) | 0;
  return (hash & 0x7fff_ffff) % OFFSETS_PARTITIONS;
}
