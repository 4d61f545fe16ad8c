/** Environments whose log is on Kafka: loaded by who has one. */

export { ClusterEnvironment } from "./cluster-environment.ts";
export { connectKafka } from "./connect-kafka.ts";
export { RelayDirectory } from "./relay-directory.ts";
