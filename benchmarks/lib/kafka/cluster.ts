/** A real Kafka of one or three brokers on this machine, for as long as a test or a run lasts. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@waybill/testing";
import { BrokerProcess } from "./broker-process.ts";
import { findKafka } from "./fetch-kafka.ts";
import { addressOf, type ClusterSecurity, type Ports, propertiesOf, usersOf } from "./settings.ts";

const GROUP_SESSION_MS = 3000;
const CLUSTER_ID_BYTES = 16;

export interface ClusterOptions {
  readonly brokers: 1 | 3;
  /** Kafka's. Default the one that everything is tested with. */
  readonly version?: string;
  /** Versions of features that a new cluster has, by Kafka's names. Default Kafka's own. */
  readonly features?: Readonly<Record<string, number>>;
  /** When a member of a group that does not answer is expelled. Default 3,000 ms. */
  readonly groupSessionMs?: number;
  /** TLS and SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512) for clients. Default neither. */
  readonly security?: ClusterSecurity;
  /** More settings of the brokers, by Kafka's names; they win. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Gets a line before anything is fetched. Default: standard error. */
  readonly tell?: (line: string) => void;
}

export interface Cluster {
  /** By id, from 1. */
  readonly brokers: readonly BrokerProcess[];
  /** For clients, `host:port` each. */
  readonly addresses: readonly string[];
  /** Kills the brokers and removes all that they wrote. */
  close(): Promise<void>;
}

/** Why there can be no cluster here, after fetching what may be fetched; `undefined`: there can. */
export async function whyNoKafka({
  tell = tellPeople,
  version,
}: Pick<ClusterOptions, "tell" | "version"> = {}): Promise<string | undefined> {
  const kafka = await findKafka(tell, version);
  return "missing" in kafka ? kafka.missing : undefined;
}

/**
 * Resolves once all brokers are ready. **Errors**: with the reason where Java or Maven is missing
 * or a broker does not start.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { tell = tellPeople, version, security, features = {} } = options;
  const kafka = await findKafka(tell, version);
  if ("missing" in kafka) throw new Error(kafka.missing);
  const directory = mkdtempSync(join(tmpdir(), "waybill-kafka-"));
  const brokers = await prepare(options, kafka.jars, directory);
  const close = async (): Promise<void> => {
    await Promise.all(brokers.map((broker) => broker.kill()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const clusterId = idOfCluster();
    const chosen = Object.entries(features).flatMap(([name, level]) => ["--feature", `${name}=${level}`]);
    const formatting = [...usersOf(security), ...chosen];
    await Promise.all(brokers.map((broker) => broker.format(clusterId, formatting)));
    for (const broker of brokers) broker.start();
    await Promise.all(brokers.map((broker) => broker.ready()));
    return { brokers, addresses: brokers.map(({ address }) => address), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function prepare(options: ClusterOptions, jars: string, directory: string): Promise<readonly BrokerProcess[]> {
  const { security, settings = {}, groupSessionMs = GROUP_SESSION_MS } = options;
  const ports: Ports[] = [];
  while (ports.length < options.brokers) ports.push(await freePorts());
  const keystore = join(directory, "keystore.pem");
  if (security !== undefined) writeFileSync(keystore, `${security.key}\n${security.cert}\n`);
  return ports.map((_, at) => {
    const node = { id: at + 1, ports, security, keystore, groupSessionMs, overrides: settings };
    const own = join(directory, `broker-${node.id}`);
    mkdirSync(own);
    writeFileSync(join(own, "server.properties"), propertiesOf({ ...node, directory: own }));
    return new BrokerProcess({ id: node.id, address: addressOf(node), jars, directory: own });
  });
}

async function freePorts(): Promise<Ports> {
  return { client: await freePort(), internal: await freePort(), controller: await freePort() };
}

/** 16 bytes in base64url; one that begins with a minus would be taken for an option. */
function idOfCluster(): string {
  const id = randomBytes(CLUSTER_ID_BYTES).toString("base64url");
  return id.startsWith("-") ? idOfCluster() : id;
}

function tellPeople(line: string): void {
  process.stderr.write(`${line}\n`);
}
