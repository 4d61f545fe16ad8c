import type { Clock, Random } from "@waybill/core";
import { BrokerError, type NewTopic, type TopicDescription, type TopicPartition } from "@waybill/log-kafka";
import { keyOf } from "./assign-partitions.ts";
import { FaultState } from "./fault-state.ts";
import type { StoredRecord } from "./replica-log.ts";
import { type FrozenGroup, SimGroup } from "./sim-group.ts";
import { type PartitionHost, SimPartition } from "./sim-partition.ts";

export interface ClusterSettings {
  readonly clock: Clock;
  readonly random: Random;
  readonly brokers: number;
  readonly latencyMs: number;
  readonly replicationMs: number;
  readonly heartbeatIntervalMs: number;
  readonly sessionTimeoutMs: number;
  readonly failoverMs: number;
  readonly replicaLagMs: number;
  readonly retentionCheckMs: number;
  readonly clockSkewMs: number;
  readonly groups: "consumer" | "classic";
}

interface Topic {
  readonly configs: Readonly<Record<string, string>>;
  readonly partitions: readonly SimPartition[];
  retainedAtMs: number;
}

interface PlacedRecord {
  readonly offset: number;
  readonly key: string | undefined;
  readonly value: Uint8Array;
}

interface Coordination {
  readonly group: SimGroup;
  /** What the group's coordinator writes; who leads it coordinates. */
  readonly log: SimPartition;
  coordinator: number | undefined;
  /** What the coordinators know that were cut off from the others. */
  readonly frozen: Map<number, FrozenGroup>;
}

/** Replicas of the brokers' own topics, where there are as many brokers. */
const OWN_REPLICAS = 3;
/** The brokers' own defaults. */
const DEFAULT_RETENTION_MS = 604_800_000;
const DEFAULT_DELETE_RETENTION_MS = 86_400_000;
const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;
const NAME = /^[a-zA-Z0-9._-]{1,249}$/;

/** Brokers, topics and groups, without the network in front of them. */
export class ClusterCore {
  readonly settings: ClusterSettings;
  readonly faults: FaultState;
  /** How often each broker was started; missing: it is down. */
  readonly #up = new Map<number, number>();
  readonly #cutOff = new Set<number>();
  readonly #lagging = new Set<number>();
  readonly #older = new Set<number>();
  readonly #skewMs = new Map<number, number>();
  readonly #topics = new Map<string, Topic>();
  readonly #groups = new Map<string, Coordination>();
  readonly #host: PartitionHost;
  /** What to call when a broker goes down. */
  readonly #connections = new Map<number, Set<() => void>>();
  #starts = 0;

  constructor(settings: ClusterSettings) {
    this.settings = settings;
    const { clock, replicaLagMs, replicationMs, random, clockSkewMs } = settings;
    this.faults = new FaultState(random);
    for (const broker of this.brokers) {
      this.#up.set(broker, this.#starts++);
      if (clockSkewMs > 0) this.#skewMs.set(broker, Math.floor(clockSkewMs * (2 * random.next() - 1)));
    }
    this.#host = {
      clock,
      replicaLagMs,
      replicationDelayMs: () => (replicationMs === 0 ? 0 : replicationMs * (0.5 + 0.5 * random.next())),
      isUp: (broker) => this.#up.has(broker),
      isLinked: (broker) => !this.#cutOff.has(broker),
      isLagging: (broker) => this.#lagging.has(broker),
    };
  }

  get brokers(): readonly number[] {
    return Array.from({ length: this.settings.brokers }, (_, index) => index + 1);
  }

  get topics(): readonly string[] {
    return [...this.#topics.keys()];
  }

  get groups(): readonly string[] {
    return [...this.#groups.keys()];
  }

  isUp(broker: number): boolean {
    return this.#up.has(broker);
  }

  isCutOff(broker: number): boolean {
    return this.#cutOff.has(broker);
  }

  /** Whether it is of Kafka 4.0 to 4.2. */
  isOlder(broker: number): boolean {
    return this.#older.has(broker);
  }

  setOlder(broker: number, isOlder: boolean): void {
    if (isOlder) this.#older.add(broker);
    else this.#older.delete(broker);
  }

  /** Whether nothing is wrong with a broker, and each replica of everything is in sync. */
  get isWhole(): boolean {
    const isWell = (broker: number): boolean =>
      this.#up.has(broker) && !this.#cutOff.has(broker) && !this.#lagging.has(broker);
    let isWhole = this.brokers.every(isWell);
    this.#eachPartition(({ inSync, replicas }) => {
      isWhole &&= inSync.length === replicas.length;
    });
    return isWhole;
  }

  /** A broker's clock. */
  nowAt(broker: number): number {
    return this.settings.clock.now() + (this.#skewMs.get(broker) ?? 0);
  }

  /** Differs before and after a restart. */
  incarnationOf(broker: number): number | undefined {
    return this.#up.get(broker);
  }

  create({ topic, partitions, replicationFactor, configs }: NewTopic): void {
    if (this.#topics.has(topic)) throw new BrokerError("exists", `topic ${topic} exists`);
    if (!NAME.test(topic) || topic === "." || topic === "..") throw new BrokerError("invalid", `no topic's name`);
    if (!(partitions > 0)) throw new BrokerError("invalid", `${partitions} partitions`);
    const alive = this.brokers.filter((broker) => this.isUp(broker));
    if (!(replicationFactor > 0) || replicationFactor > alive.length)
      throw new BrokerError("invalid", `${replicationFactor} replicas on ${alive.length} brokers`);
    const minInSync = Number(configs["min.insync.replicas"] ?? 1);
    const placed = Array.from({ length: partitions }, (_, partition) => {
      const replicas = Array.from(
        { length: replicationFactor },
        (_, index) => alive[(partition + index) % alive.length] as number,
      );
      return new SimPartition(replicas, minInSync, this.#host);
    });
    this.#topics.set(topic, { configs: { ...configs }, partitions: placed, retainedAtMs: this.settings.clock.now() });
  }

  describe(topics: readonly string[]): readonly TopicDescription[] {
    return topics.flatMap((topic) => {
      const found = this.#topics.get(topic);
      if (found === undefined) return [];
      const partitions = found.partitions.map(({ leader, replicas, inSync }) => ({
        leader,
        replicas,
        inSyncReplicas: inSync,
      }));
      return { topic, partitions, configs: { ...found.configs } };
    });
  }

  partitionsOf(topic: string): number {
    return this.#topics.get(topic)?.partitions.length ?? 0;
  }

  find(one: TopicPartition): SimPartition | undefined {
    return this.#topics.get(one.topic)?.partitions[one.partition];
  }

  isCompacted(topic: string): boolean {
    return this.#topics.get(topic)?.configs["cleanup.policy"]?.includes("compact") === true;
  }

  records(one: TopicPartition): readonly PlacedRecord[] {
    const partition = this.find(one);
    const broker = partition?.leader ?? partition?.inSync[0];
    if (partition === undefined || broker === undefined) return [];
    const log = partition.logOf(broker);
    const offsets = Array.from(
      { length: Math.min(partition.end, log.end) - log.first },
      (_, index) => log.first + index,
    );
    return offsets.flatMap((offset) => {
      const { key, value, isGone } = log.at(offset) as StoredRecord;
      return isGone === true ? [] : [{ offset, key, value }];
    });
  }

  /** A broker's view of a partition that it leads. **Errors**: `unknown_topic`, `not_leader`. */
  led(one: TopicPartition, broker: number): SimPartition {
    const partition = this.find(one);
    if (partition === undefined) throw new BrokerError("unknown_topic", `${keyOf(one)} does not exist`);
    partition.checkLeader(broker);
    this.#retainInTime(one.topic);
    return partition;
  }

  maxMessageBytes(topic: string): number {
    return Number(this.#topics.get(topic)?.configs["max.message.bytes"] ?? DEFAULT_MAX_MESSAGE_BYTES);
  }

  group(group: string): SimGroup {
    return this.#coordination(group).group;
  }

  groupLog(group: string): SimPartition {
    return this.#coordination(group).log;
  }

  /** What this broker knows of a group that it coordinates. **Errors**: `not_leader`. */
  groupSeenBy(group: string, broker: number): SimGroup | FrozenGroup {
    const coordination = this.#coordination(group);
    coordination.log.checkLeader(broker);
    return coordination.frozen.get(broker) ?? coordination.group;
  }

  /**
   * Runs `change` on a group once its record is on all in-sync replicas: what is not there when the
   * coordinator dies did not happen. **Errors**: `not_leader` also where too few replicas are in
   * sync, as Kafka has it: the change may be kept.
   */
  async coordinate<T>(group: string, broker: number, change: (group: SimGroup) => T): Promise<T> {
    const coordination = this.#coordination(group);
    let done: { readonly value: T } | { readonly error: unknown } | undefined;
    const apply = (): void => {
      try {
        done = { value: change(coordination.group) };
      } catch (error) {
        done = { error };
      }
    };
    const { log } = coordination;
    const batch = { appendedAtMs: this.nowAt(broker), bytes: 0 };
    try {
      const offset = log.append(broker, [{ batch, value: new Uint8Array(0), apply }]);
      await log.committed(broker, offset + 1);
    } catch (error) {
      const isTooFew = error instanceof BrokerError && error.code === "not_enough_replicas";
      throw isTooFew ? new BrokerError("not_leader", `the coordinator is not available: ${error.message}`) : error;
    }
    // What was applied is not needed any more.
    log.trim(log.end);
    if (done === undefined) throw new BrokerError("not_leader", `broker ${broker} does not coordinate ${group}`);
    if ("error" in done) throw done.error;
    return done.value;
  }

  stop(broker: number): void {
    this.#up.delete(broker);
    this.#cutOff.delete(broker);
    const connections = this.#connections.get(broker) ?? [];
    this.#connections.delete(broker);
    for (const breaks of connections) breaks();
  }

  /** Resolves with `work`, or to `undefined` once the broker goes down. */
  whileUp<T>(broker: number, work: Promise<T>): Promise<T | undefined> {
    const connections = this.#connections.get(broker) ?? new Set();
    this.#connections.set(broker, connections);
    return new Promise((resolve, reject) => {
      const breaks = (): void => resolve(undefined);
      connections.add(breaks);
      work.then(resolve, reject).finally(() => connections.delete(breaks));
    });
  }

  /** The controller takes a broker for dead. */
  notice(broker: number): void {
    this.#eachPartition((partition) => partition.brokerGone(broker));
    for (const { group, log, frozen } of this.#groups.values())
      if (log.isCutOff(broker)) frozen.set(broker, group.freeze());
    this.#followCoordinators();
  }

  start(broker: number, lost: (records: number) => number): void {
    this.notice(broker);
    this.#up.set(broker, this.#starts++);
    this.#welcome(broker, lost);
  }

  /** Moves leaders away from a broker that is about to stop. */
  resign(broker: number): void {
    this.#eachPartition((partition) => {
      if (partition.leader === broker) moveAway(partition, undefined);
    });
    this.#followCoordinators();
  }

  /** From the other brokers and the controller, not from the relays. */
  cutOff(broker: number): void {
    this.#cutOff.add(broker);
  }

  rejoin(broker: number): void {
    if (this.#cutOff.delete(broker)) this.#welcome(broker, () => 0);
  }

  setLagging(broker: number, isLagging: boolean): void {
    if (isLagging) this.#lagging.add(broker);
    else this.#lagging.delete(broker);
    this.#eachPartition((partition) => partition.spread());
  }

  moveLeader(one: TopicPartition, to: number | undefined): boolean {
    return moveAway(this.find(one), to);
  }

  moveCoordinator(group: string, to: number | undefined): boolean {
    const isMoved = moveAway(this.groupLog(group), to);
    this.#followCoordinators();
    return isMoved;
  }

  /**
   * Removes by age, as `retention.ms` says; compacts what is compacted. Returns how many records
   * went.
   */
  retain(topic: string): number {
    const found = this.#topics.get(topic);
    if (found === undefined) return 0;
    if (this.isCompacted(topic)) return this.#compact(found);
    found.retainedAtMs = this.settings.clock.now();
    const retentionMs = Number(found.configs["retention.ms"] ?? DEFAULT_RETENTION_MS);
    if (retentionMs < 0) return 0;
    let removed = 0;
    for (const partition of found.partitions) {
      if (partition.leader === undefined) continue;
      const log = partition.logOf(partition.leader);
      const { first } = log;
      const end = partition.endAt(partition.leader);
      let keep = first;
      while (keep < end && (log.at(keep)?.batch.appendedAtMs ?? 0) < found.retainedAtMs - retentionMs) keep += 1;
      partition.trim(keep);
      removed += keep - first;
    }
    return removed;
  }

  /**
   * Keeps the last record of each key; one that removes it stays for a time, so that who reads the
   * topic sees it. As with Kafka the newest record stays, whatever it is.
   */
  #compact({ configs, partitions }: Topic): number {
    const keptMs = Number(configs["delete.retention.ms"] ?? DEFAULT_DELETE_RETENTION_MS);
    const goneBeforeMs = this.settings.clock.now() - keptMs;
    let removed = 0;
    for (const partition of partitions) {
      if (partition.leader === undefined) continue;
      const log = partition.logOf(partition.leader);
      const keys = new Set<string | undefined>();
      for (let offset = partition.endAt(partition.leader) - 1; offset >= log.first; offset--) {
        const record = log.at(offset) as StoredRecord;
        const isRemoval = record.value.length === 0 && record.batch.appendedAtMs <= goneBeforeMs;
        const isOver = keys.size > 0 && (keys.has(record.key) || isRemoval);
        keys.add(record.key);
        if (!isOver || record.isGone === true) continue;
        record.isGone = true;
        removed += 1;
      }
    }
    return removed;
  }

  #retainInTime(topic: string): void {
    const found = this.#topics.get(topic);
    const { clock, retentionCheckMs } = this.settings;
    if (found !== undefined && clock.now() - found.retainedAtMs >= retentionCheckMs) this.retain(topic);
  }

  #eachPartition(visit: (partition: SimPartition) => void): void {
    for (const { partitions } of this.#topics.values()) for (const partition of partitions) visit(partition);
    for (const { log } of this.#groups.values()) visit(log);
  }

  #welcome(broker: number, lost: (records: number) => number): void {
    this.#eachPartition((partition) => partition.brokerBack(broker, lost));
    for (const { frozen } of this.#groups.values()) frozen.delete(broker);
    this.#followCoordinators();
  }

  #followCoordinators(): void {
    for (const coordination of this.#groups.values()) {
      const { leader } = coordination.log;
      if (leader === undefined || leader === coordination.coordinator) continue;
      coordination.coordinator = leader;
      coordination.group.moved();
    }
  }

  #coordination(name: string): Coordination {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const { clock, heartbeatIntervalMs, sessionTimeoutMs, brokers } = this.settings;
    const group = new SimGroup(name, {
      clock,
      heartbeatIntervalMs,
      sessionTimeoutMs,
      partitionsOf: (topic) => this.partitionsOf(topic),
      isCoordinated: () => this.groupLog(name).leader !== undefined,
    });
    const replicas = Array.from(
      { length: Math.min(OWN_REPLICAS, brokers) },
      (_, index) => ((hash(name) + index) % brokers) + 1,
    );
    const log = new SimPartition(replicas, brokers < OWN_REPLICAS ? 1 : 2, this.#host);
    const coordination: Coordination = { group, log, coordinator: log.leader, frozen: new Map() };
    this.#groups.set(name, coordination);
    return coordination;
  }
}

function moveAway(partition: SimPartition | undefined, to: number | undefined): boolean {
  if (partition === undefined) return false;
  const before = partition.leader;
  partition.elect(to ?? partition.inSync.find((one) => one !== before));
  return partition.leader !== before;
}

function hash(text: string): number {
  let sum = 0;
  for (let index = 0; index < text.length; index++) sum = (sum * 31 + text.charCodeAt(index)) >>> 0;
  return sum;
}
