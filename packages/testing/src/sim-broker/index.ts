/** A Kafka cluster in memory. */
export type { SimClusterOptions } from "./sim-cluster.ts";
export { SimCluster } from "./sim-cluster.ts";
