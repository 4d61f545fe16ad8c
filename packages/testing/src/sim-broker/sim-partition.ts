import type { Clock, Timer } from "@waybill/core";
import { BrokerError, type Offset } from "@waybill/log-kafka";
import { ReplicaLog, type StoredRecord } from "./replica-log.ts";

/** What a partition has to know of the cluster around it. */
export interface PartitionHost {
  readonly clock: Clock;
  /** How long an ISR member that gets nothing new stays one. */
  readonly replicaLagMs: number;
  /** How long the next copy from leader to follower takes. */
  readonly replicationDelayMs: () => number;
  readonly isUp: (broker: number) => boolean;
  /** Whether these two brokers reach each other. */
  readonly isLinked: (leader: number, follower: number) => boolean;
}

interface Waiting {
  readonly end: Offset;
  readonly resolve: () => void;
  readonly reject: (error: BrokerError) => void;
}

/**
 * One partition with a copy of its records on each replica. The leader appends, the others follow
 * after a delay; what all in-sync replicas have is committed. As Kafka 4 with eligible leader
 * replicas (KIP-966): nothing is committed while fewer replicas than the minimum are in sync, and
 * whoever left below the minimum may still lead.
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
  #leader: number | undefined;
  #highWatermark: Offset = 0;
  #appends: Waiting[] = [];
  #watchers: (() => void)[] = [];

  constructor(replicas: readonly number[], minInSync: number, host: PartitionHost) {
    this.replicas = replicas;
    this.minInSync = minInSync;
    this.#host = host;
    this.#logs = new Map(replicas.map((broker) => [broker, new ReplicaLog()]));
    this.#inSync = new Set(replicas.filter((broker) => host.isUp(broker)));
    this.elect();
  }

  get leader(): number | undefined {
    return this.#leader;
  }

  get inSync(): readonly number[] {
    return this.replicas.filter((broker) => this.#inSync.has(broker));
  }

  /** The offset after the last record that is committed. */
  get end(): Offset {
    return this.#highWatermark;
  }

  get first(): Offset {
    return this.#log?.first ?? 0;
  }

  /** The offset after the last record that the leader has. */
  get leaderEnd(): Offset {
    return this.#log?.end ?? 0;
  }

  at(offset: Offset): StoredRecord | undefined {
    return this.#log?.at(offset);
  }

  /** **Errors**: `not_leader`, when the broker that was asked does not lead. */
  checkLeader(broker: number): void {
    if (this.#leader !== broker) throw new BrokerError("not_leader", `broker ${broker} does not lead the partition`);
  }

  /** Appends to the leader. **Errors**: `not_leader`, `not_enough_replicas`: nothing was done. */
  append(broker: number, records: readonly StoredRecord[]): Offset {
    this.checkLeader(broker);
    if (this.#inSync.size < this.minInSync) throw tooFew(this.#inSync.size, this.minInSync);
    const log = this.#logOf(broker);
    const offset = log.end;
    for (const record of records) log.append(record);
    this.#spread();
    this.#advance();
    return offset;
  }

  /** Resolves once everything before `end` is committed. */
  committed(end: Offset): Promise<void> {
    if (this.#highWatermark >= end) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#appends.push({ end, resolve, reject });
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
    const { isUp } = this.#host;
    const may = (broker: number): boolean => isUp(broker) && this.#inSync.has(broker);
    const next =
      [wanted, this.#leader, ...this.replicas].find((broker) => broker !== undefined && may(broker)) ??
      this.replicas.find((broker) => isUp(broker) && this.#eligible.has(broker)) ??
      this.#longest();
    if (next === this.#leader) return;
    this.#leader = next;
    this.#failAppends(new BrokerError("not_leader", "the partition has another leader now"));
    if (next !== undefined) {
      this.#inSync.add(next);
      this.#eligible.delete(next);
      this.#highWatermark = Math.min(this.#highWatermark, this.#logOf(next).end);
      this.#spread();
      this.#advance();
    }
    this.#notify();
  }

  /** The controller has noticed that a broker is gone. */
  brokerGone(broker: number): void {
    if (!this.#logs.has(broker)) return;
    this.#leaveInSync(broker);
    if (this.#leader === broker) {
      this.#leader = undefined;
      this.#failAppends(new BrokerError("unreachable", `broker ${broker} is gone`));
    }
    this.elect();
  }

  /** A broker is back, with what it has. `lost` of its last records are gone. */
  brokerBack(broker: number, lost: (records: number) => number): void {
    const log = this.#logs.get(broker);
    if (log === undefined) return;
    const gone = lost(log.end - log.first);
    if (gone > 0) {
      log.truncate(log.end - gone);
      this.#inSync.delete(broker);
      this.#eligible.delete(broker);
    }
    this.elect();
    this.#spread();
  }

  /** Brokers may reach each other again, or not any more. */
  relink(): void {
    this.#spread();
  }

  get #log(): ReplicaLog | undefined {
    return this.#logOf(this.#leader ?? (this.inSync[0] as number | undefined) ?? (this.replicas[0] as number));
  }

  #logOf(broker: number): ReplicaLog {
    return this.#logs.get(broker) as ReplicaLog;
  }

  /** When nobody is sure to have everything: once all are back, who has most. */
  #longest(): number | undefined {
    if (this.#inSync.size > 0 || this.#eligible.size > 0) return undefined;
    if (!this.replicas.every((broker) => this.#host.isUp(broker))) return undefined;
    return this.replicas.reduce((best, broker) => (this.#logOf(broker).end > this.#logOf(best).end ? broker : best));
  }

  #leaveInSync(broker: number): void {
    if (!this.#inSync.delete(broker)) return;
    if (this.#inSync.size < this.minInSync) {
      this.#eligible.add(broker);
      this.#failAppends(tooFew(this.#inSync.size, this.minInSync));
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
    const { isUp, isLinked } = this.#host;
    if (leader === undefined || leader === broker || !isUp(leader) || !isUp(broker)) return;
    if (!isLinked(leader, broker)) {
      this.#watchLag(broker);
      return;
    }
    this.#lagging.get(broker)?.cancel();
    this.#lagging.delete(broker);
    this.#logOf(broker).follow(this.#logOf(leader));
    this.#inSync.add(broker);
    this.#eligible.delete(broker);
    if (this.#inSync.size >= this.minInSync) this.#eligible.clear();
    this.#advance();
  }

  #watchLag(broker: number): void {
    if (this.#lagging.has(broker) || !this.#inSync.has(broker)) return;
    const timer = this.#host.clock.after(this.#host.replicaLagMs, () => {
      this.#lagging.delete(broker);
      if (broker !== this.#leader) this.#leaveInSync(broker);
    });
    this.#lagging.set(broker, timer);
  }

  #advance(): void {
    if (this.#leader === undefined || this.#inSync.size < this.minInSync) return;
    const end = Math.min(...this.inSync.map((broker) => this.#logOf(broker).end));
    if (end <= this.#highWatermark) return;
    const from = this.#highWatermark;
    this.#highWatermark = end;
    for (let offset = from; offset < end; offset++) this.at(offset)?.apply?.();
    const waiting = this.#appends;
    this.#appends = waiting.filter((one) => one.end > end);
    for (const one of waiting) if (one.end <= end) one.resolve();
    this.#notify();
  }

  #failAppends(error: BrokerError): void {
    const failed = this.#appends;
    this.#appends = [];
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
