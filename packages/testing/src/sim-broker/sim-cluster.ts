import type { Clock, Random } from "@waybill/core";
import type { Broker, CommittedOffset, TopicPartition } from "@waybill/log-kafka";
import { SeededRandom } from "../seeded-random.ts";
import { ClusterCore } from "./cluster-core.ts";
import type { ClusterFaults, Isolation } from "./fault-state.ts";
import { SimBroker } from "./sim-broker.ts";
import { Wire } from "./wire.ts";

export interface SimClusterOptions {
  readonly clock: Clock;
  /** Default: seed 1. */
  readonly random?: Random;
  /** Default 3; their ids are 1, 2, 3. */
  readonly brokers?: number;
  /**
   * One way between a relay and a broker, at most; each message takes between half of it and all
   * of it. Default 1 ms. 0: no time at all.
   */
  readonly latencyMs?: number;
  /** The same between two brokers. Default 1 ms. */
  readonly replicationMs?: number;
  /** `group.consumer.heartbeat.interval.ms`. Default 5,000. */
  readonly heartbeatIntervalMs?: number;
  /** `group.consumer.session.timeout.ms`. Default 45,000. */
  readonly sessionTimeoutMs?: number;
  /** How long a broker has to be down until another one leads. Default 3,000. */
  readonly failoverMs?: number;
  /** `replica.lag.time.max.ms`. Default 30,000. */
  readonly replicaLagMs?: number;
  /** `log.retention.check.interval.ms`. Default 300,000. */
  readonly retentionCheckMs?: number;
  /** Each broker's clock is off by at most this. Default 0. */
  readonly clockSkewMs?: number;
  /** "classic": brokers that do not know groups of KIP-848. Default "consumer". */
  readonly groups?: "consumer" | "classic";
}

export interface SimConnectionOptions {
  /** 1 is a planted bug: what the leader alone has counts as produced. Default "all". */
  readonly acks?: "all" | 1;
  /** False is a planted bug: its commits are taken, whoever owns the partition. Default true. */
  readonly isFenced?: boolean;
  /** Whether it may do anything. Default true. */
  readonly isAuthorized?: boolean;
}

const DEFAULTS = {
  brokers: 3,
  latencyMs: 1,
  replicationMs: 1,
  heartbeatIntervalMs: 5_000,
  sessionTimeoutMs: 45_000,
  failoverMs: 3_000,
  replicaLagMs: 30_000,
  retentionCheckMs: 300_000,
  clockSkewMs: 0,
  groups: "consumer" as const,
};

/** A power cut takes at most so many of the records that a broker had last. */
const TAIL_RECORDS = 20;

/**
 * A Kafka cluster in memory, reached by the interface `Broker`: replicas, leaders, retention, and
 * consumer groups of KIP-848. Time is the clock's, chance the generator's: one seed, one history.
 * What may go wrong with each request is in `faults`; what goes wrong with brokers, relays and
 * groups is done by a call. `ClusterChaos` does it at random.
 */
export class SimCluster {
  readonly #core: ClusterCore;
  readonly #random: Random;
  /** Down brokers that lose the end of what they had. */
  readonly #unpowered = new Set<number>();

  constructor(options: SimClusterOptions) {
    this.#random = options.random ?? new SeededRandom(1);
    this.#core = new ClusterCore({ ...DEFAULTS, ...options, random: this.#random });
  }

  /** A connection of its own for the relay `name`, which groups see as its client id. */
  connect(name: string, { acks = "all", isFenced = true, isAuthorized = true }: SimConnectionOptions = {}): Broker {
    return new SimBroker(this.#core, new Wire(name, this.#core, isAuthorized), { acks, isFenced });
  }

  get brokers(): readonly number[] {
    return this.#core.brokers;
  }

  get topics(): readonly string[] {
    return this.#core.topics;
  }

  get groups(): readonly string[] {
    return this.#core.groups;
  }

  partitionsOf(topic: string): number {
    return this.#core.partitionsOf(topic);
  }

  isUp(broker: number): boolean {
    return this.#core.isUp(broker);
  }

  /** Whether nothing is wrong with a broker, and each replica of everything is in sync. */
  get isWhole(): boolean {
    return this.#core.isWhole;
  }

  leaderOf(one: TopicPartition): number | undefined {
    return this.#core.find(one)?.leader;
  }

  coordinatorOf(group: string): number | undefined {
    return this.#core.groupLog(group).leader;
  }

  /** Every committed value of a partition with its offset, whatever is wrong at the moment. */
  records(one: TopicPartition): ReturnType<ClusterCore["records"]> {
    return this.#core.records(one);
  }

  /** The offset after the last record that a broker has, committed or not. */
  endOf(one: TopicPartition, broker: number): number {
    return this.#core.find(one)?.logOf(broker).end ?? 0;
  }

  /** What was committed last for a group, whatever is wrong at the moment. */
  offsets(group: string, partitions: readonly TopicPartition[]): readonly CommittedOffset[] {
    return this.#core.group(group).committed(partitions);
  }

  members(group: string): readonly string[] {
    return this.#core.group(group).memberIds;
  }

  /** Faults that were injected so far, by kind. */
  get injected(): ReadonlyMap<string, number> {
    return this.#core.faults.injected;
  }

  /** What may go wrong with each request from now on. */
  get faults(): ClusterFaults {
    return this.#core.faults.chances;
  }

  set faults(chances: ClusterFaults) {
    this.#core.faults.chances = chances;
  }

  /**
   * A broker dies; after `failoverMs` others lead. It keeps what it has written, unless its machine
   * loses power: then what it had last is gone, which nobody may miss.
   */
  kill(broker: number, { losesPower = false }: { readonly losesPower?: boolean } = {}): void {
    if (!this.#core.isUp(broker)) return;
    this.#core.faults.count(losesPower ? "power cut" : "broker killed");
    if (losesPower) this.#unpowered.add(broker);
    this.#core.stop(broker);
    this.#noticeLater(broker);
  }

  /** A broker hands what it leads to others, and ends. */
  stop(broker: number): void {
    if (!this.#core.isUp(broker)) return;
    this.#core.faults.count("broker stopped");
    this.#core.resign(broker);
    this.#core.stop(broker);
    this.#core.notice(broker);
  }

  restart(broker: number): void {
    if (this.#core.isUp(broker)) return;
    const loses = this.#unpowered.delete(broker);
    const lost = (records: number): number =>
      loses ? Math.floor(this.#random.next() * (Math.min(TAIL_RECORDS, records) + 1)) : 0;
    this.#core.start(broker, lost);
  }

  /** Without `to`: to any other in-sync replica. Returns whether there was one. */
  moveLeader(one: TopicPartition, to?: number): boolean {
    return this.#counted("leader moved", this.#core.moveLeader(one, to));
  }

  moveCoordinator(group: string, to?: number): boolean {
    return this.#counted("coordinator moved", this.#core.moveCoordinator(group, to));
  }

  /**
   * Relays still reach this broker, brokers do not. Others lead after `failoverMs`, and the broker
   * goes on as if nothing had happened.
   */
  cutOff(broker: number): void {
    if (!this.#core.isUp(broker) || this.#core.isCutOff(broker)) return;
    this.#core.faults.count("broker cut off");
    this.#core.cutOff(broker);
    this.#noticeLater(broker);
  }

  /** Ends `cutOff`. */
  rejoin(broker: number): void {
    this.#core.rejoin(broker);
  }

  /**
   * A broker is too slow to follow: acknowledgements wait for it, until after `replicaLagMs` it
   * leaves the in-sync replicas.
   */
  lag(broker: number): void {
    this.#core.faults.count("broker lagging");
    this.#core.setLagging(broker, true);
  }

  /** Ends `lag`. */
  catchUp(broker: number): void {
    this.#core.setLagging(broker, false);
  }

  /**
   * From now on a broker is of Kafka 4.0 to 4.2, or of 4.3 again. Of groups that it coordinates
   * heartbeats are `unsupported`, and a commit has to name the newest epoch of its member.
   */
  setOlder(broker: number, isOlder = true): void {
    if (isOlder) this.#core.faults.count("broker older");
    this.#core.setOlder(broker, isOlder);
  }

  /** A relay does not reach these brokers. Default: all of them, without an answer. */
  isolate(relay: string, brokers: readonly number[] = this.brokers, how: Isolation = "silent"): void {
    this.#core.faults.count("relay isolated");
    this.#core.faults.isolate(relay, brokers, how);
  }

  /** Ends `isolate`. */
  heal(relay: string): void {
    this.#core.faults.rejoin(relay);
  }

  /** As SIGSTOP: what is answered to the relay, and its deadlines, wait for `resume`. */
  pause(relay: string): void {
    this.#core.faults.count("relay paused");
    this.#core.faults.pause(relay);
  }

  resume(relay: string): void {
    this.#core.faults.resume(relay);
  }

  /** From now on no broker has room for a record, or has again. */
  fill(isFull = true): void {
    this.#core.faults.isFull = isFull;
  }

  /** As if the member had been silent for a session. */
  expel(group: string, memberId: string): void {
    this.#core.faults.count("member expelled");
    this.#core.group(group).expel(memberId);
  }

  /** As after `offsets.retention.minutes` of a group without members. */
  expireOffsets(group: string): boolean {
    return this.#counted("offsets expired", this.#core.group(group).expireOffsets() > 0);
  }

  /** A client that nobody knows commits for a group, where it is empty. */
  overwrite(group: string, offsets: readonly CommittedOffset[]): boolean {
    if (this.members(group).length > 0) return false;
    this.#core.group(group).commit({ group, memberId: "", memberEpoch: -1, offsets, deadlineMs: 0 });
    return this.#counted("group overwritten", true);
  }

  /** Removes by age now what `retention.ms` allows, and compacts the topics that are compacted. */
  retain(): number {
    const removed = this.topics.reduce((sum, topic) => sum + this.#core.retain(topic), 0);
    this.#counted("records expired", removed > 0);
    return removed;
  }

  #noticeLater(broker: number): void {
    const incarnation = this.#core.incarnationOf(broker);
    const { clock, failoverMs } = this.#core.settings;
    clock.after(failoverMs, () => {
      const isGone = !this.#core.isUp(broker) || this.#core.isCutOff(broker);
      if (isGone && this.#core.incarnationOf(broker) === incarnation) this.#core.notice(broker);
    });
  }

  #counted(kind: string, isDone: boolean): boolean {
    if (isDone) this.#core.faults.count(kind);
    return isDone;
  }
}
