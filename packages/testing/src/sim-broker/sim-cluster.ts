import type { Clock, Random } from "@waybill/core";
import type { Broker } from "@waybill/log-kafka";
import { SeededRandom } from "../seeded-random.ts";
import { ClusterCore } from "./cluster-core.ts";
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
};

/**
 * A Kafka cluster in memory, behind the interface `Broker`: replicas, leaders, retention, and
 * consumer groups of KIP-848. Time is the clock's, chance the generator's: one seed, one history.
 */
export class SimCluster {
  readonly #core: ClusterCore;

  constructor(options: SimClusterOptions) {
    this.#core = new ClusterCore({ ...DEFAULTS, ...options, random: options.random ?? new SeededRandom(1) });
  }

  /** A connection of its own for the relay `name`, which groups see as its client id. */
  connect(name: string): Broker {
    return new SimBroker(this.#core, new Wire(name, this.#core));
  }
}
