import {
  type Broker,
  BrokerError,
  type CommittedOffset,
  type HeartbeatAnswer,
  type TopicPartition,
} from "@waybill/log-kafka";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { SimCluster, type SimClusterOptions } from "@waybill/testing/kafka";

const TOPIC = "events";
export const AT: TopicPartition = { topic: TOPIC, partition: 0 };
export const GROUP = "lanes";
export const DEADLINE = { deadlineMs: 1_000 };
export const RELAY = "relay-1";

/** A cluster with one topic of three replicas, two of which have to be in sync, and one relay. */
export class ClusterWorld {
  readonly clock = new VirtualClock();
  readonly cluster: SimCluster;
  readonly broker: Broker;

  constructor(options: Partial<SimClusterOptions> = {}) {
    this.cluster = new SimCluster({ clock: this.clock, random: new SeededRandom(1), ...options });
    this.broker = this.cluster.connect(RELAY);
  }

  static async of(options: Partial<SimClusterOptions> = {}, partitions = 1): Promise<ClusterWorld> {
    const world = new ClusterWorld(options);
    const configs = { "min.insync.replicas": "2", "retention.ms": "60000" };
    const topic = { topic: TOPIC, partitions, replicationFactor: 3, configs, ...DEADLINE };
    await world.done(world.broker.create(topic));
    return world;
  }

  async done<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await this.clock.until(() => isSettled);
    return promise;
  }

  /** The code of the error that the call has to be rejected with. */
  async code(promise: Promise<unknown>): Promise<string> {
    try {
      await this.done(promise);
      return "done";
    } catch (error) {
      return (error as BrokerError).code;
    }
  }

  produce(text: string, { broker = this.broker, deadlineMs = 1_000 } = {}): Promise<{ readonly offset: number }> {
    return broker.produce({ ...AT, values: [Buffer.from(text)], deadlineMs });
  }

  fetch(offset: number, { broker = this.broker, maxWaitMs = 0 } = {}): ReturnType<Broker["fetch"]> {
    return broker.fetch({ ...AT, offset, maxBytes: 10_000, maxWaitMs, deadlineMs: maxWaitMs + 1_000 });
  }

  /** What is committed, whatever is wrong. */
  get texts(): readonly string[] {
    return this.cluster.records(AT).map(({ value }) => Buffer.from(value).toString());
  }

  get leader(): number {
    return this.cluster.leaderOf(AT) as number;
  }

  join(memberId: string, broker: Broker = this.broker): Promise<HeartbeatAnswer> {
    const joining = { group: GROUP, memberId, memberEpoch: 0, topics: [TOPIC], owned: [], rebalanceTimeoutMs: 10_000 };
    return broker.heartbeat({ ...joining, ...DEADLINE });
  }

  beat(memberId: string, memberEpoch: number, broker: Broker = this.broker): Promise<HeartbeatAnswer> {
    return broker.heartbeat({ group: GROUP, memberId, memberEpoch, ...DEADLINE });
  }

  commit(memberId: string, memberEpoch: number, offset: number, broker: Broker = this.broker): Promise<void> {
    const offsets = [{ ...AT, offset, metadata: `${offset}` }];
    return broker.commit({ group: GROUP, memberId, memberEpoch, offsets, ...DEADLINE });
  }

  get offset(): number | undefined {
    return this.cluster.offsets(GROUP, [AT])[0]?.offset;
  }

  committed(broker: Broker = this.broker): Promise<readonly CommittedOffset[]> {
    return broker.committed({ group: GROUP, partitions: [AT], ...DEADLINE });
  }

  /** Tries until it is done. */
  async eventually<T>(call: () => Promise<T>): Promise<T> {
    for (let attempt = 0; attempt < 100; attempt++) {
      try {
        return await this.done(call());
      } catch (error) {
        if (!(error instanceof BrokerError) || !error.isTransient) throw error;
        await this.clock.advance(100);
      }
    }
    throw new Error("it never was done");
  }
}
