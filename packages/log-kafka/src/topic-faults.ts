/** What about a topic would lose events that were accepted, or break their order. */
import type { TopicDescription } from "./broker.ts";

export interface TopicNeeds {
  readonly partitions: number;
  /** Partitions of the topic of events, beside which a companion is. Default {@link partitions}. */
  readonly ofEvents?: number;
  readonly replicationFactor: number;
  readonly minInSyncReplicas: number;
  /** Kafka keeps the last record of each key, and no other. Default: none has a key. */
  readonly isCompacted?: boolean;
  /** The relay keeps events for so long, ms, and up to so many bytes of an environment. */
  readonly retention: { readonly maxAgeMs: number; readonly hardMaxBytes: number };
}

export interface TopicFault {
  readonly topic: string;
  readonly reason: string;
  /** A command, or what to set in the configuration. */
  readonly repair: string;
}

export interface CheckedTopic {
  readonly faults: readonly TopicFault[];
  /** What is allowed and may lose events all the same; what the broker does not tell. */
  readonly warnings: readonly string[];
}

const UNLIMITED = "-1";

/** What is newer is not compacted: a relay reads all of it when it starts. */
const COMPACTED_SEGMENTS = { "segment.bytes": String(16 * 1024 * 1024), "segment.ms": "600000" };

/** The settings of a topic that the relay makes. Its own retention removes what is old. */
export function topicConfigs(
  { minInSyncReplicas, isCompacted = false }: Pick<TopicNeeds, "minInSyncReplicas" | "isCompacted">,
  maxMessageBytes: number,
): Readonly<Record<string, string>> {
  return {
    "cleanup.policy": isCompacted ? "compact" : "delete",
    ...(isCompacted ? COMPACTED_SEGMENTS : {}),
    "compression.type": "uncompressed",
    "max.message.bytes": String(maxMessageBytes),
    "message.timestamp.type": "LogAppendTime",
    "min.insync.replicas": String(minInSyncReplicas),
    "retention.bytes": UNLIMITED,
    "retention.ms": UNLIMITED,
    "unclean.leader.election.enable": "false",
  };
}

/** `bootstrap`: a broker's address, for the commands. */
export function checkTopic(found: TopicDescription, needs: TopicNeeds, bootstrap: string): CheckedTopic {
  const { topic } = found;
  const settings = new Settings(found, bootstrap);
  partitionFaults(found, needs, settings);
  settings.check("message.timestamp.type", (value) =>
    value === "LogAppendTime"
      ? undefined
      : {
          reason: `its events have the time of their sender (${value}): by that neither duplicates nor ages are known`,
          right: "LogAppendTime",
        },
  );
  settings.check("cleanup.policy", (value) => cleanupFault(value, needs));
  settings.check("min.insync.replicas", (value) => inSyncFault(Number(value), found, needs));
  settings.check("unclean.leader.election.enable", (value) =>
    value === "true"
      ? {
          reason: "a replica that is behind may become its leader, which loses what the others had acknowledged",
          right: "false",
        }
      : undefined,
  );
  if (needs.isCompacted === true) return { faults: settings.faults, warnings: settings.warnings };
  settings.check("retention.ms", (value) => ageFault(Number(value), needs));
  settings.check("retention.bytes", (value) => bytesFault(Number(value) * found.partitions.length, needs));
  for (const name of ["retention.ms", "retention.bytes"])
    if (Number(found.configs[name] ?? UNLIMITED) >= 0 && !settings.isFaulty(name))
      settings.warnings.push(
        `${topic}: Kafka removes events by ${name}=${found.configs[name]}, also those that a destination still needs`,
      );
  return { faults: settings.faults, warnings: settings.warnings };
}

interface SettingFault {
  readonly reason: string;
  readonly right: string;
}

class Settings {
  readonly faults: TopicFault[] = [];
  readonly warnings: string[] = [];
  readonly bootstrap: string;
  readonly #found: TopicDescription;
  readonly #faulty = new Set<string>();

  constructor(found: TopicDescription, bootstrap: string) {
    this.#found = found;
    this.bootstrap = bootstrap;
  }

  isFaulty(name: string): boolean {
    return this.#faulty.has(name);
  }

  add(reason: string, repair: string): void {
    this.faults.push({ topic: this.#found.topic, reason, repair });
  }

  check(name: string, faultOf: (value: string) => SettingFault | undefined): void {
    const { topic, configs } = this.#found;
    const value = configs[name];
    if (value === undefined) {
      this.warnings.push(`${topic}: the broker does not tell its ${name}, so that it is not checked`);
      return;
    }
    const fault = faultOf(value);
    if (fault === undefined) return;
    this.#faulty.add(name);
    this.add(
      fault.reason,
      `kafka-configs.sh --bootstrap-server ${this.bootstrap} --alter --entity-type topics --entity-name ${topic} --add-config ${name}=${fault.right}`,
    );
  }
}

function cleanupFault(policy: string, { isCompacted = false }: TopicNeeds): SettingFault | undefined {
  if (isCompacted)
    return policy === "compact"
      ? undefined
      : { reason: `it is not compacted (${policy}), so that what it has is removed by age`, right: "compact" };
  return policy.includes("compact")
    ? { reason: `it is compacted (${policy}), which removes events`, right: "delete" }
    : undefined;
}

function partitionFaults(found: TopicDescription, needs: TopicNeeds, settings: Settings): void {
  const { partitions, topic } = found;
  const { ofEvents = needs.partitions } = needs;
  if (partitions.length !== needs.partitions && needs.isCompacted === true)
    settings.add(
      `it has ${partitions.length} partitions, and must have ${needs.partitions}: the order of what is in it holds within one`,
      `kafka-topics.sh --bootstrap-server ${settings.bootstrap} --delete --topic ${topic}; the relay makes it anew`,
    );
  else if (partitions.length !== needs.partitions)
    settings.add(
      `it has ${partitions.length} partitions, kafka.partitions is ${needs.partitions}: with another number the events of a user would change their partition, and lose their order`,
      partitionsRepair(found, ofEvents, settings.bootstrap),
    );
  const replicas = Math.min(...partitions.map((partition) => partition.replicas.length));
  if (replicas < needs.replicationFactor)
    settings.add(
      `a partition of it has ${replicas} ${replicas === 1 ? "replica" : "replicas"}, kafka.replicationFactor is ${needs.replicationFactor}`,
      `kafka-reassign-partitions.sh with ${needs.replicationFactor} replicas for each partition of ${topic}, or kafka.replicationFactor: ${replicas}`,
    );
}

/** Kafka takes no partitions away. */
function partitionsRepair(
  { topic, partitions: { length } }: TopicDescription,
  ofEvents: number,
  bootstrap: string,
): string {
  if (length === ofEvents) return `kafka.partitions: ${length}`;
  if (length < ofEvents)
    return `kafka-topics.sh --bootstrap-server ${bootstrap} --alter --topic ${topic} --partitions ${ofEvents}`;
  return `choose another kafka.topicPrefix; or let everything be delivered, stop all relays, and give each topic of the environment ${length} partitions and kafka.partitions: ${length}`;
}

function inSyncFault(least: number, { partitions }: TopicDescription, needs: TopicNeeds): SettingFault | undefined {
  const replicas = Math.min(...partitions.map((partition) => partition.replicas.length));
  if (least < needs.minInSyncReplicas)
    return {
      reason: `it acknowledges what ${least} ${least === 1 ? "broker has" : "brokers have"}, kafka.minInSyncReplicas is ${needs.minInSyncReplicas}`,
      right: String(needs.minInSyncReplicas),
    };
  if (least <= replicas) return undefined;
  return {
    reason: `it wants ${least} replicas in sync and has ${replicas}, so that it takes nothing`,
    right: String(Math.min(needs.minInSyncReplicas, replicas)),
  };
}

function ageFault(ms: number, { retention }: TopicNeeds): SettingFault | undefined {
  if (ms < 0 || ms >= retention.maxAgeMs) return undefined;
  return {
    reason: `Kafka removes its events after ${ms} ms, retention.maxAge is ${retention.maxAgeMs} ms`,
    right: UNLIMITED,
  };
}

function bytesFault(bytes: number, { retention }: TopicNeeds): SettingFault | undefined {
  if (bytes < 0 || bytes >= retention.hardMaxBytes) return undefined;
  return {
    reason: `Kafka removes its events above ${bytes} bytes, retention.hardMaxBytes is ${retention.hardMaxBytes}`,
    right: UNLIMITED,
  };
}
