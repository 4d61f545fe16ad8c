/** A broker's `server.properties`, for a cluster that lives as long as a test. */

export interface Ports {
  readonly client: number;
  readonly internal: number;
  readonly controller: number;
}

/** How clients of a secured cluster come in: TLS, and a name with a password. */
export interface ClusterSecurity {
  /** PEM; for `localhost`. */
  readonly cert: string;
  /** PEM, PKCS 8. */
  readonly key: string;
  readonly username: string;
  readonly password: string;
}

export interface NodeSettings {
  readonly id: number;
  /** By id, from 1. */
  readonly ports: readonly Ports[];
  readonly directory: string;
  readonly security: ClusterSecurity | undefined;
  /** PEM of certificate and key. */
  readonly keystore: string;
  /** Of groups of KIP-848, ms. */
  readonly groupSessionMs: number;
  /** Kafka's own names; they win. */
  readonly overrides: Readonly<Record<string, string>>;
}

const SCRAM = ["SCRAM-SHA-256", "SCRAM-SHA-512"] as const;
const SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
const HEARTBEATS_PER_SESSION = 6;

export function propertiesOf(node: NodeSettings): string {
  const settings = { ...commonOf(node), ...quick(node), ...(node.security && secure(node)), ...node.overrides };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

/** Arguments of `StorageTool format`, which makes the users. */
export function usersOf(security: ClusterSecurity | undefined): readonly string[] {
  if (security === undefined) return [];
  const { username, password } = security;
  return SCRAM.flatMap((mechanism) => ["--add-scram", `${mechanism}=[name=${username},password=${password}]`]);
}

/** What clients connect to. */
export function addressOf({ ports, id, security }: Pick<NodeSettings, "ports" | "id" | "security">): string {
  // The certificate is for a name.
  return `${security === undefined ? "127.0.0.1" : "localhost"}:${ports[id - 1]?.client}`;
}

function commonOf(node: NodeSettings): Readonly<Record<string, string>> {
  const { id, ports } = node;
  const own = ports[id - 1] as Ports;
  const copies = String(ports.length);
  // With one copy lost the others go on.
  const inSync = String(Math.max(1, ports.length - 1));
  return {
    "process.roles": "broker,controller",
    "node.id": String(id),
    listeners: `CLIENT://127.0.0.1:${own.client},INTERNAL://127.0.0.1:${own.internal},CONTROLLER://127.0.0.1:${own.controller}`,
    "advertised.listeners": `CLIENT://${addressOf(node)},INTERNAL://127.0.0.1:${own.internal}`,
    "listener.security.protocol.map": `CLIENT:${node.security === undefined ? "PLAINTEXT" : "SASL_SSL"},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    "inter.broker.listener.name": "INTERNAL",
    "controller.listener.names": "CONTROLLER",
    "controller.quorum.voters": ports.map(({ controller }, at) => `${at + 1}@127.0.0.1:${controller}`).join(","),
    "log.dirs": `${node.directory}/data`,
    "auto.create.topics.enable": "false",
    "default.replication.factor": copies,
    "min.insync.replicas": inSync,
    "offsets.topic.replication.factor": copies,
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": copies,
    "transaction.state.log.min.isr": inSync,
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": copies,
    "share.coordinator.state.topic.min.isr": inSync,
  };
}

/** Sessions are short, so that a test sees a death soon; threads and buffers are few. */
function quick({ groupSessionMs }: NodeSettings): Readonly<Record<string, string>> {
  const heartbeatMs = String(Math.ceil(groupSessionMs / HEARTBEATS_PER_SESSION));
  return {
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
    "replica.lag.time.max.ms": "3000",
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.session.timeout.ms": String(groupSessionMs),
    "group.consumer.min.session.timeout.ms": String(groupSessionMs),
    "group.consumer.heartbeat.interval.ms": heartbeatMs,
    "group.consumer.min.heartbeat.interval.ms": heartbeatMs,
    "group.coordinator.threads": "1",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",
  };
}

function secure({ keystore, security }: NodeSettings): Readonly<Record<string, string>> {
  const { username = "", password = "" } = security ?? {};
  const scram = SCRAM.map((name) => [`listener.name.client.${name.toLowerCase()}.sasl.jaas.config`, SCRAM_LOGIN]);
  return {
    "sasl.enabled.mechanisms": ["PLAIN", ...SCRAM].join(","),
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": keystore,
    "listener.name.client.plain.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required user_${username}="${password}";`,
    ...Object.fromEntries(scram),
  };
}
