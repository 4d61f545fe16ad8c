import type { Random } from "@waybill/core";
import type { ClusterFaults, Isolation } from "./fault-state.ts";
import type { SimCluster } from "./sim-cluster.ts";

/** What may be done to a cluster at random. */
export type ChaosKind =
  | "kill"
  | "power"
  | "stop"
  | "cutOff"
  | "lag"
  | "older"
  | "isolate"
  | "pause"
  | "leader"
  | "coordinator"
  | "expel"
  | "full"
  | "retain"
  | "requests"
  | "expire"
  | "overwrite";

export interface ChaosOptions {
  readonly cluster: SimCluster;
  readonly random: Random;
  /** Names of the relays that may be isolated or paused. */
  readonly relays: () => readonly string[];
  /**
   * Default: all but `expire` and `overwrite`, after which a lane has to halt, and `retain`, which
   * loses what nobody has delivered yet.
   */
  readonly kinds?: readonly ChaosKind[];
}

const DEFAULT_KINDS: readonly ChaosKind[] = [
  "kill",
  "power",
  "stop",
  "cutOff",
  "lag",
  "older",
  "isolate",
  "pause",
  "leader",
  "coordinator",
  "expel",
  "full",
  "requests",
];
/** How likely each fault of a request is, at most, while requests have faults. */
const REQUEST_FAULTS: readonly (keyof ClusterFaults)[] = ["refuse", "stuck", "loseAnswer", "late", "duplicate", "slow"];
const REQUEST_FAULT_MAX = 0.2;
/** Before another kind is tried instead of one that is not possible now. */
const TRIES = 5;

/**
 * Does to a cluster what goes wrong with clusters, one thing with each `strike`, as its generator
 * says. One machine at most loses power before every replica is whole again: then nothing that was
 * acknowledged is lost.
 */
export class ClusterChaos {
  readonly #options: ChaosOptions;
  readonly #kinds: readonly ChaosKind[];
  readonly #ongoing = new Map<string, () => void>();

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#kinds = options.kinds ?? DEFAULT_KINDS;
  }

  /** What lasts now. */
  get ongoing(): readonly string[] {
    return [...this.#ongoing.keys()];
  }

  /**
   * Begins something, or ends what lasts. Returns its name, `undefined` when nothing was possible.
   */
  strike(): string | undefined {
    if (this.#ongoing.size > 0 && this.#options.random.next() < this.#ongoing.size / (this.#ongoing.size + 1)) {
      const name = this.#pick(this.ongoing) as string;
      this.#end(name);
      return `${name} ends`;
    }
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const kind = this.#pick(this.#kinds);
      if (kind === undefined) return undefined;
      const name = this.#begin(kind);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  /** Ends everything that lasts. */
  heal(): void {
    for (const name of this.ongoing) this.#end(name);
  }

  #begin(kind: ChaosKind): string | undefined {
    const { cluster } = this.#options;
    switch (kind) {
      case "kill":
      case "power":
      case "stop":
      case "cutOff":
      case "lag":
      case "older":
        return this.#beginAtBroker(kind);
      case "isolate":
      case "pause":
        return this.#beginAtRelay(kind);
      case "leader":
      case "retain":
        return this.#atTopics(kind);
      case "full":
        cluster.fill();
        return this.#lasts(kind, () => cluster.fill(false));
      case "requests":
        cluster.faults = Object.fromEntries(REQUEST_FAULTS.map((fault) => [fault, this.#chance()]));
        return this.#lasts(kind, () => {
          cluster.faults = {};
        });
      default:
        return this.#atGroup(kind);
    }
  }

  #beginAtBroker(kind: "kill" | "power" | "stop" | "cutOff" | "lag" | "older"): string | undefined {
    const { cluster } = this.#options;
    const broker = this.#pick(cluster.brokers.filter((one) => cluster.isUp(one)));
    if (broker === undefined || (kind === "power" && !cluster.isWhole)) return undefined;
    const name = `${kind} ${broker}`;
    if (this.#ongoing.has(name)) return undefined;
    if (kind === "cutOff") {
      cluster.cutOff(broker);
      return this.#lasts(name, () => cluster.rejoin(broker));
    }
    if (kind === "lag") {
      cluster.lag(broker);
      return this.#lasts(name, () => cluster.catchUp(broker));
    }
    if (kind === "older") {
      cluster.setOlder(broker);
      return this.#lasts(name, () => cluster.setOlder(broker, false));
    }
    if (kind === "stop") cluster.stop(broker);
    else cluster.kill(broker, { losesPower: kind === "power" });
    return this.#lasts(name, () => cluster.restart(broker));
  }

  #beginAtRelay(kind: "isolate" | "pause"): string | undefined {
    const { cluster, random, relays } = this.#options;
    const relay = this.#pick(relays());
    const name = `${kind} ${relay}`;
    if (relay === undefined || this.#ongoing.has(name)) return undefined;
    if (kind === "pause") {
      cluster.pause(relay);
      return this.#lasts(name, () => cluster.resume(relay));
    }
    const some = cluster.brokers.filter(() => random.next() < 0.5);
    const how: Isolation = random.next() < 0.5 ? "silent" : "refused";
    cluster.isolate(relay, some.length > 0 ? some : cluster.brokers, how);
    return this.#lasts(name, () => cluster.heal(relay));
  }

  #atTopics(kind: "leader" | "retain"): string | undefined {
    const { cluster, random } = this.#options;
    if (kind === "retain") return cluster.retain() > 0 ? kind : undefined;
    const topic = this.#pick(cluster.topics);
    if (topic === undefined) return undefined;
    const partition = Math.floor(random.next() * cluster.partitionsOf(topic));
    return cluster.moveLeader({ topic, partition }) ? `leader ${topic}/${partition}` : undefined;
  }

  #atGroup(kind: "coordinator" | "expel" | "expire" | "overwrite"): string | undefined {
    const { cluster } = this.#options;
    const group = this.#pick(cluster.groups);
    if (group === undefined) return undefined;
    if (kind === "coordinator") return cluster.moveCoordinator(group) ? `${kind} ${group}` : undefined;
    if (kind === "expire") return cluster.expireOffsets(group) ? `${kind} ${group}` : undefined;
    if (kind === "expel") {
      const member = this.#pick(cluster.members(group));
      if (member === undefined) return undefined;
      cluster.expel(group, member);
      return `${kind} ${member}`;
    }
    const topic = this.#pick(cluster.topics);
    if (topic === undefined) return undefined;
    const isDone = cluster.overwrite(group, [{ topic, partition: 0, offset: 0, metadata: "" }]);
    return isDone ? `${kind} ${group}` : undefined;
  }

  #lasts(name: string, end: () => void): string {
    this.#ongoing.set(name, end);
    return name;
  }

  #end(name: string): void {
    const end = this.#ongoing.get(name);
    this.#ongoing.delete(name);
    end?.();
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#options.random.next() * from.length)];
  }

  #chance(): number {
    return this.#options.random.next() * REQUEST_FAULT_MAX;
  }
}
