/** Environments whose log is on Kafka: loaded by who has one. */

export { ClusterControl } from "./cluster-control.ts";
export { ClusterEnvironment } from "./cluster-environment.ts";
export { connectKafka, KafkaCertificates } from "./connect-kafka.ts";
