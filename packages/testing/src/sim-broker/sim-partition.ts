import type { Clock, Timer } from "@waybill/core";
import { BrokerError, type Offset } from "@waybill/log-kafka";
import { ReplicaLog, type StoredRecord } from "./replica-log.ts";

/** What a partition has to know of the cluster around it. */
export interface PartitionHost {
  readonly clock: Clock;
  /** How long an in-sync replica that gets nothing new stays one. */
  readonly replicaLagMs: number;
  /** How long the next copy from leader to follower takes. */
  readonly replicationDelayMs: () => number;
  readonly isUp: (broker: number) => boolean;
  /** Whether the controller and the other brokers reach it. */
  readonly isLinked: (broker: number) => boolean;
  /** Whether it is too slow to follow. */
  readonly isLagging: (broker: number) => boolean;
}

interface Waiting {
  readonly broker: number;
  readonly end: Offset;
  readonly resolve: () => void;
  readonly reject: (error: BrokerError) => void;
}

/**
 * One partition with a copy of its records on each replica. The leader appends, the others follow
 * after a delay; what all in-sync replicas have is committed. As Kafka 4 with eligible leader
 * replicas (KIP-966): nothing is committed while fewer replicas than the minimum are in sync, and
 * whoever left below the minimum may still lead. A leader that is cut off from the others goes on
 * as if it led: it answers with what it had, and nothing that it takes is ever committed.
 */
export class SimPartition {
  readonly replicas: readonly number[];
  readonly minInSync: number;
  readonly #host: PartitionHost;
  readonly #logs: ReadonlyMap<number, ReplicaLog>;
  readonly #inSync: Set<number>;
  /** Left the in-sync replicas below the minimum, and have all that was committed. */
  readonly #eligible = new Set<number>();
  readonly #copying = new Set<number>();
  readonly #lagging = new Map<number, Timer>();
  /** What each follower has heard to be committed, and what a leader that was cut off knows. */
  readonly #known = new Map<number, Offset>();
  readonly #cutOff = new Set<number>();
  /** How far each follower has come, as the present leader knows it. */
  readonly #followed = new Map<number, Offset>();
  #leader: number | undefined;
  #committed: Offset = 0;
  #appends: Waiting[] = [];
  #watchers: (() => void)[] = [];

  constructor(replicas: readonly number[], minInSync: number, host: PartitionHost) {
    this.replicas = replicas;
    // As Kafka 4 has it: one replica alone is enough where there is one alone.
    this.minInSync = Math.min(minInSync, replicas.length);
    this.#host = host;
    this.#logs = new Map(replicas.map((broker) => [broker, new ReplicaLog()]));
    this.#inSync = new Set(replicas.filter((broker) => host.isUp(broker)));
    this.elect();
  }

  get leader(): number | undefined {
    return this.#leader;
  }

  /** Who leads, as this broker knows it. */
  leaderSeenBy(broker: number): number | undefined {
    return this.#cutOff.has(broker) ? broker : this.#leader;
  }

  isCutOff(broker: number): boolean {
    return this.#cutOff.has(broker);
  }

  get inSync(): readonly number[] {
    return this.replicas.filter((broker) => this.#inSync.has(broker));
  }

  /** The records that a broker has. */
  logOf(broker: number): ReplicaLog {
    return this.#logs.get(broker) as ReplicaLog;
  }

  /** The offset after the last record that this broker knows to be committed. */
  endAt(broker: number): Offset {
    return Math.min(this.#known.get(broker) ?? 0, this.logOf(broker).end);
  }

  /** The offset after the last record that is committed, whoever knows it. */
  get end(): Offset {
    return this.#committed;
  }

  /** **Errors**: `not_leader`, when the broker that was asked does not lead. */
  checkLeader(broker: number): void {
    if (this.leaderSeenBy(broker) !== broker)
      throw new BrokerError("not_leader", `broker ${broker} does not lead the partition`);
  }

  /**
   * Appends to the leader. **Errors**: `not_leader`; `not_enough_replicas`, unless the append
   * counts as done before it is replicated. Nothing was done then.
   */
  append(broker: number, records: readonly StoredRecord[], isAtOnce = false): Offset {
    this.checkLeader(broker);
    if (!isAtOnce && !this.#cutOff.has(broker) && this.#inSync.size < this.minInSync)
      throw tooFew(this.#inSync.size, this.minInSync);
    const log = this.logOf(broker);
    const offset = log.end;
    for (const record of records) log.append(record);
    if (!this.#cutOff.has(broker)) {
      this.#spread();
      this.#advance();
    }
    return offset;
  }

  /** Resolves once everything before `end`, as the leader `broker` has it, is committed. */
  committed(broker: number, end: Offset): Promise<void> {
    if (broker === this.#leader && this.endAt(broker) >= end) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#appends.push({ broker, end, resolve, reject });
    });
  }

  /** Resolves with the next change of leader or of what is committed, or after `maxWaitMs`. */
  changed(maxWaitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#host.clock.after(maxWaitMs, resolve);
      this.#watchers.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  trim(first: Offset): void {
    for (const log of this.#logs.values()) log.trim(Math.min(first, log.end));
    this.#notify();
  }

  /** Chooses who leads, when who led may not any more. Prefers `wanted` where that is allowed. */
  elect(wanted?: number): void {
    const may = (broker: number): boolean => this.#mayServe(broker) && this.#inSync.has(broker);
    const next =
      [wanted, this.#leader, ...this.replicas].find((broker) => broker !== undefined && may(broker)) ??
      this.replicas.find((broker) => this.#mayServe(broker) && this.#eligible.has(broker)) ??
      this.#longest();
    if (next === this.#leader) return;
    const before = this.#leader;
    this.#leader = next;
    this.#followed.clear();
    if (before !== undefined) this.#failAppends(before, new BrokerError("not_leader", "another broker leads now"));
    if (next !== undefined) {
      this.#inSync.add(next);
      this.#eligible.delete(next);
      this.#committed = Math.min(this.#committed, this.logOf(next).end);
      this.#spread();
      this.#advance();
    }
    this.#notify();
  }

  /** The controller has noticed that a broker is gone, or cut off. */
  brokerGone(broker: number): void {
    if (!this.#logs.has(broker)) return;
    this.#cutOff.delete(broker);
    if (this.#leader === broker) {
      this.#leader = undefined;
      if (this.#host.isUp(broker)) this.#cutOff.add(broker);
    }
    if (!this.#cutOff.has(broker)) this.#failAppends(broker, new BrokerError("unreachable", `${broker} is gone`));
    this.#leaveInSync(broker);
    this.elect();
    this.#notify();
  }

  /** A broker is back, with what it has. `lost` of its last records are gone. */
  brokerBack(broker: number, lost: (records: number) => number): void {
    const log = this.#logs.get(broker);
    if (log === undefined) return;
    if (this.#cutOff.delete(broker))
      this.#failAppends(broker, new BrokerError("not_leader", "another broker leads, since a while"));
    const gone = lost(log.end - log.first);
    if (gone > 0) {
      log.truncate(log.end - gone);
      this.#inSync.delete(broker);
      this.#eligible.delete(broker);
    }
    this.elect();
    this.spread();
    this.#notify();
  }

  /** Followers may have become able to follow, or not able any more. */
  spread(): void {
    this.#spread();
  }

  #mayServe(broker: number): boolean {
    return this.#host.isUp(broker) && this.#host.isLinked(broker);
  }

  /** When nobody is sure to have everything: once all are back, who has most. */
  #longest(): number | undefined {
    if (this.#inSync.size > 0 || this.#eligible.size > 0) return undefined;
    if (!this.replicas.every((broker) => this.#mayServe(broker))) return undefined;
    return this.replicas.reduce((best, broker) => (this.logOf(broker).end > this.logOf(best).end ? broker : best));
  }

  #leaveInSync(broker: number): void {
    if (!this.#inSync.delete(broker)) return;
    if (this.#inSync.size < this.minInSync) {
      this.#eligible.add(broker);
      if (this.#leader !== undefined) this.#failAppends(this.#leader, tooFew(this.#inSync.size, this.minInSync));
    }
    this.#advance();
  }

  #spread(): void {
    for (const broker of this.replicas) if (broker !== this.#leader) this.#copyTo(broker);
  }

  #copyTo(broker: number): void {
    if (this.#copying.has(broker)) return;
    const delayMs = this.#host.replicationDelayMs();
    if (delayMs === 0) {
      this.#copy(broker);
      return;
    }
    this.#copying.add(broker);
    this.#host.clock.after(delayMs, () => {
      this.#copying.delete(broker);
      this.#copy(broker);
    });
  }

  #copy(broker: number): void {
    const leader = this.#leader;
    if (leader === undefined || leader === broker || !this.#host.isUp(leader) || !this.#host.isUp(broker)) return;
    if (!this.#host.isLinked(leader) || !this.#host.isLinked(broker)) return;
    if (this.#host.isLagging(broker)) {
      this.#watchLag(broker);
      return;
    }
    this.#lagging.get(broker)?.cancel();
    this.#lagging.delete(broker);
    this.logOf(broker).follow(this.logOf(leader));
    this.#followed.set(broker, this.logOf(broker).end);
    this.#known.set(broker, this.endAt(leader));
    this.#inSync.add(broker);
    this.#eligible.delete(broker);
    if (this.#inSync.size >= this.minInSync) this.#eligible.clear();
    this.#advance();
  }

  #watchLag(broker: number): void {
    if (this.#lagging.has(broker) || !this.#inSync.has(broker)) return;
    const timer = this.#host.clock.after(this.#host.replicaLagMs, () => {
      this.#lagging.delete(broker);
      if (broker !== this.#leader && this.#host.isLagging(broker)) this.#leaveInSync(broker);
    });
    this.#lagging.set(broker, timer);
  }

  #advance(): void {
    const leader = this.#leader;
    if (leader === undefined || this.#inSync.size < this.minInSync) return;
    const isLeader = (broker: number): boolean => broker === leader;
    const ends = this.inSync.map((one) => (isLeader(one) ? this.logOf(one).end : (this.#followed.get(one) ?? 0)));
    const end = Math.min(...ends);
    if (end <= this.endAt(leader)) return;
    this.#known.set(leader, end);
    const from = this.#committed;
    this.#committed = Math.max(from, end);
    for (let offset = from; offset < end; offset++) this.logOf(leader).at(offset)?.apply?.();
    const isDone = (one: Waiting): boolean => one.broker === leader && one.end <= end;
    const done = this.#appends.filter(isDone);
    this.#appends = this.#appends.filter((one) => !isDone(one));
    for (const one of done) one.resolve();
    this.#notify();
  }

  #failAppends(broker: number, error: BrokerError): void {
    const failed = this.#appends.filter((one) => one.broker === broker);
    this.#appends = this.#appends.filter((one) => one.broker !== broker);
    for (const { reject } of failed) reject(error);
  }

  #notify(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const watch of watchers) watch();
  }
}

function tooFew(inSync: number, minimum: number): BrokerError {
  return new BrokerError("not_enough_replicas", `${inSync} replicas are in sync, ${minimum} have to be`);
}
