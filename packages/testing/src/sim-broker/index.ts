/** A Kafka cluster in memory. */
export type { ChaosKind, ChaosOptions } from "./cluster-chaos.ts";
export { ClusterChaos } from "./cluster-chaos.ts";
export type { ClusterFaults, Isolation } from "./fault-state.ts";
export type { SimClusterOptions, SimConnectionOptions } from "./sim-cluster.ts";
export { SimCluster } from "./sim-cluster.ts";
