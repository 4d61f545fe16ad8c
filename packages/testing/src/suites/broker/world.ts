import type { Broker, BrokerErrorCode, Deadline, Heartbeat, HeartbeatAnswer, TopicPartition } from "@waybill/log-kafka";
import { BrokerError } from "@waybill/log-kafka/broker";
import { expect } from "vitest";

/** A cluster under test, and what its tests need besides. */
export interface BrokerUnderTest {
  /** A connection of its own; groups see `name` as its client id. The suite closes it. */
  connect(name: string): Promise<Broker>;
  /**
   * Waits for a call, and makes time pass meanwhile where time is virtual. Is called once at a
   * time.
   */
  settled<T>(result: Promise<T>): Promise<T>;
  /** Lets time pass. */
  wait(ms: number): Promise<void>;
  /** Epoch ms, by the clock that the brokers' clocks are near to. */
  now(): number;
  /** How many brokers there are. */
  readonly brokers: number;
  /**
   * `group.consumer.session.timeout.ms` of the brokers. What takes one is not tested where it is
   * absent.
   */
  readonly sessionTimeoutMs?: number;
}

export type MakeBroker = () => BrokerUnderTest | Promise<BrokerUnderTest>;

/** Registers a test in a world of its own. */
export type Check = (what: string, body: (world: World) => Promise<void>) => void;

/** Long enough for brokers that share a busy machine with each other. */
export const DEADLINE: Deadline = { deadlineMs: 10_000 };
const TRIES = 100;
const PAUSE_MS = 100;
const MEMBER_ID = "5a1e7f00-0000-4000-8000-000000000000";
const MEMBER_DIGITS = 12;

let count = 0;

/** One test's cluster, with names that no other test has. */
export class World {
  readonly under: BrokerUnderTest;
  readonly broker: Broker;
  readonly group: string;
  readonly #connections: Broker[];
  readonly #name: string;

  private constructor(under: BrokerUnderTest, broker: Broker, name: string) {
    this.under = under;
    this.broker = broker;
    this.group = `${name}.group`;
    this.#connections = [broker];
    this.#name = name;
  }

  static async run(make: MakeBroker, body: (world: World) => Promise<void>): Promise<void> {
    const under = await make();
    count += 1;
    const name = `contract.${under.now().toString(36)}.${count}`;
    const world = new World(under, await under.connect(`${name}.client`), name);
    try {
      await body(world);
    } finally {
      for (const connection of world.#connections) await under.settled(connection.close());
    }
  }

  async connect(name: string): Promise<Broker> {
    const broker = await this.under.connect(name);
    this.#connections.push(broker);
    return broker;
  }

  settled<T>(result: Promise<T>): Promise<T> {
    // Meanwhile nobody handles a failure: time has to pass first.
    result.catch(() => undefined);
    return this.under.settled(result);
  }

  /** A new topic, once each of its partitions has a leader. */
  async topic(partitions = 1, configs: Readonly<Record<string, string>> = {}): Promise<string> {
    count += 1;
    const topic = `${this.#name}.${count}`;
    await this.settled(
      this.broker.create({
        topic,
        partitions,
        replicationFactor: 1,
        configs: { "message.timestamp.type": "LogAppendTime", ...configs },
        ...DEADLINE,
      }),
    );
    await this.eventually(async () => {
      const [described] = await this.settled(this.broker.describe({ topics: [topic], ...DEADLINE }));
      return described?.partitions.every(({ leader }) => leader !== undefined) === true;
    });
    return topic;
  }

  /** Tries until it holds: a change takes a moment to be known to all brokers. */
  async eventually(holds: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (await holds()) return;
      await this.under.wait(PAUSE_MS);
    }
    throw new Error(`it did not hold within ${TRIES * PAUSE_MS} ms`);
  }

  async produce(at: TopicPartition, ...texts: readonly string[]): Promise<number> {
    const values = texts.map((text) => Buffer.from(text));
    return (await this.settled(this.broker.produce({ ...at, values, ...DEADLINE }))).offset;
  }

  /** What a partition has from an offset on. */
  async read(at: TopicPartition, offset: number): Promise<readonly string[]> {
    const texts: string[] = [];
    for (let next = offset; ; ) {
      const fetched = await this.settled(
        this.broker.fetch({ ...at, offset: next, maxBytes: 1_000_000, maxWaitMs: 0, ...DEADLINE }),
      );
      texts.push(...fetched.records.map(({ value }) => Buffer.from(value).toString()));
      const last = fetched.records.at(-1);
      if (last === undefined) return texts;
      next = last.offset + 1;
    }
  }

  member(topic: string, broker: Broker = this.broker): TestMember {
    count += 1;
    return new TestMember(this, { topic, broker });
  }

  async refused(code: BrokerErrorCode, result: Promise<unknown>): Promise<void> {
    const error = await this.settled(result).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect(error, `expected ${code}`).toBeInstanceOf(BrokerError);
    expect((error as BrokerError).code).toBe(code);
  }
}

/** A member of the world's group that follows the broker, one heartbeat at a time. */
export class TestMember {
  readonly id: string;
  epoch = 0;
  owned: readonly TopicPartition[] = [];
  /** The last answer that had one. */
  assignment: readonly TopicPartition[] = [];
  readonly #world: World;
  readonly #topic: string;
  readonly #broker: Broker;

  constructor(world: World, { topic, broker }: { readonly topic: string; readonly broker: Broker }) {
    this.#world = world;
    this.#topic = topic;
    this.#broker = broker;
    this.id = MEMBER_ID.slice(0, -MEMBER_DIGITS) + String(count).padStart(MEMBER_DIGITS, "0");
  }

  /** A heartbeat, which joins when the member has no epoch yet. */
  send(more: Partial<Heartbeat> = {}): Promise<HeartbeatAnswer> {
    const isJoining = this.epoch === 0;
    const heartbeat: Heartbeat = {
      group: this.#world.group,
      memberId: this.id,
      memberEpoch: this.epoch,
      owned: this.owned,
      ...(isJoining && { topics: [this.#topic], rebalanceTimeoutMs: 60_000 }),
      ...DEADLINE,
      ...more,
    };
    return this.#broker.heartbeat(heartbeat);
  }

  /** A heartbeat that has to be answered. */
  async beat(more: Partial<Heartbeat> = {}): Promise<HeartbeatAnswer> {
    const answer = await this.#world.settled(this.send(more));
    this.epoch = answer.memberEpoch;
    this.assignment = answer.assignment ?? this.assignment;
    return answer;
  }

  /** Takes and gives up what it has to, until it owns these partitions and no others. */
  async owns(...partitions: readonly number[]): Promise<void> {
    await this.#world.eventually(async () => {
      await this.beat();
      this.owned = this.assignment;
      const isSettled = numbers(this.owned) === numbers(partitions.map((partition) => ({ partition })));
      if (isSettled) await this.beat();
      return isSettled;
    });
  }

  /** Until it owns this many. */
  async ownsSome(many: number): Promise<void> {
    await this.#world.eventually(async () => {
      await this.beat();
      this.owned = this.assignment;
      if (this.owned.length === many) await this.beat();
      return this.owned.length === many;
    });
  }

  async leave(): Promise<void> {
    await this.beat({ memberEpoch: -1 });
    this.epoch = 0;
    this.owned = [];
    this.assignment = [];
  }

  /** Commits as this member, with an epoch that it had. */
  commit(epoch: number, offset: number, ...partitions: readonly TopicPartition[]): Promise<void> {
    return this.#broker.commit({
      group: this.#world.group,
      memberId: this.id,
      memberEpoch: epoch,
      offsets: partitions.map(({ topic, partition }) => ({ topic, partition, offset, metadata: `by ${this.id}` })),
      ...DEADLINE,
    });
  }
}

function numbers(partitions: readonly { readonly partition: number }[]): string {
  return partitions
    .map(({ partition }) => partition)
    .sort((one, other) => one - other)
    .join();
}
