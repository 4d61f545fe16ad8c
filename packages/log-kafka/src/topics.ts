/**
 * The topics at a start: those that are missing are created, those that are there are checked. One
 * that would lose events is refused, with the command that repairs it: nothing is changed by us in
 * a topic that exists.
 */
import { type Clock, messageOf, WaybillError } from "@waybill/core";
import { type Broker, BrokerError, type TopicDescription } from "./broker.ts";
import { type CheckedTopic, checkTopic, type TopicFault, type TopicNeeds, topicConfigs } from "./topic-faults.ts";

export interface TopicsOptions extends TopicNeeds {
  /** Each is created and checked alike. */
  readonly topics: readonly string[];
  /** A broker's address, for the commands that repair. */
  readonly bootstrap: string;
  /** How long a cluster that is about to start may take. Default 30 s. */
  readonly patienceMs?: number;
  /** A call has failed, and is made again. */
  readonly onFailed?: (error: BrokerError) => void;
  /** Largest record of a topic that is created. Default 8 MiB. */
  readonly maxMessageBytes?: number;
}

export interface OpenedTopic {
  readonly topic: string;
  readonly created: boolean;
  /** The largest batch of records that it takes, in the broker's own count. */
  readonly maxMessageBytes: number;
}

export interface OpenedTopics {
  /** In the order of the options. */
  readonly topics: readonly OpenedTopic[];
  /** A line each: what is allowed and may lose events all the same. */
  readonly warnings: readonly string[];
}

const PATIENCE_MS = 30_000;
const CALL_MS = 10_000;
/** A topic is there some time after its creation was answered. */
const AGAIN_MS = 200;
/** A request is 1.5 MiB at most by default, and an event alone may be as large. */
const MESSAGE_MAX_BYTES = 8 * 1024 * 1024;
/** Kafka's own default, for a broker that does not tell. */
const KAFKA_MESSAGE_MAX_BYTES = 1_048_588;

/**
 * **Errors**: `WAYBILL_LOG_TOPIC` with every reason, not retryable; `WAYBILL_LOG_UNAVAILABLE`
 * (retryable) when the cluster did not answer in time. Any number of relays may do it at once.
 */
export async function openTopics(broker: Broker, clock: Clock, options: TopicsOptions): Promise<OpenedTopics> {
  const opening = new Opening(broker, clock, options);
  const before = await opening.describe();
  const missing = options.topics.filter((topic) => !before.has(topic));
  for (const topic of missing) await opening.create(topic);
  const found = missing.length === 0 ? before : await opening.appeared(missing);
  const described = options.topics.map((topic) => found.get(topic) as TopicDescription);
  const checks = checksOf(described, options);
  const faults = checks.flatMap((check) => check.faults);
  if (faults.length > 0)
    throw new WaybillError(
      "WAYBILL_LOG_TOPIC",
      `Kafka's topics would lose events:\n${faults.map(({ topic, reason, repair }) => `${topic}: ${reason}\n  ${repair}`).join("\n")}`,
      { hint: "Beneath each is what repairs it. The relay changes no topic that is there." },
    );
  return {
    topics: described.map(({ topic, configs }) => ({
      topic,
      created: missing.includes(topic),
      maxMessageBytes: Number(configs["max.message.bytes"] ?? KAFKA_MESSAGE_MAX_BYTES),
    })),
    warnings: checks.flatMap(({ warnings }) => warnings),
  };
}

/**
 * By topic what is wrong with it now, empty where nothing is; topics that are not found are not in
 * it. **Errors**: {@link BrokerError}.
 */
export async function faultsOfTopics(
  broker: Broker,
  options: TopicsOptions,
): Promise<ReadonlyMap<string, readonly TopicFault[]>> {
  const described = await broker.describe({ topics: options.topics, deadlineMs: CALL_MS });
  const found = options.topics.flatMap((name) => described.find(({ topic }) => topic === name) ?? []);
  const checks = checksOf(found, options);
  return new Map(found.map(({ topic }, at) => [topic, checks[at]?.faults ?? []]));
}

/** The topic of events comes before its companions, if it is there. */
function checksOf(found: readonly TopicDescription[], options: TopicsOptions): readonly CheckedTopic[] {
  const [first, ...others] = found;
  const isOfEvents = first !== undefined && others.every(({ topic }) => topic.startsWith(`${first.topic}.`));
  const needs = isOfEvents ? { ...options, ofEvents: first.partitions.length } : options;
  return found.map((one) => checkTopic(one, needs, options.bootstrap));
}

/** The calls of one start, each tried again while time is left. */
class Opening {
  readonly #broker: Broker;
  readonly #clock: Clock;
  readonly #options: TopicsOptions;
  readonly #untilMs: number;

  constructor(broker: Broker, clock: Clock, options: TopicsOptions) {
    this.#broker = broker;
    this.#clock = clock;
    this.#options = options;
    this.#untilMs = clock.monotonic() + (options.patienceMs ?? PATIENCE_MS);
  }

  async describe(): Promise<ReadonlyMap<string, TopicDescription>> {
    const { topics } = this.#options;
    const found = await this.#again(() => this.#broker.describe({ topics, deadlineMs: CALL_MS })).catch(
      (error: unknown) => {
        throw error instanceof BrokerError ? unanswered(error.message, error) : error;
      },
    );
    return new Map(found.map((one) => [one.topic, one]));
  }

  /** Another relay may be faster. */
  async create(topic: string): Promise<void> {
    const { partitions, replicationFactor, maxMessageBytes = MESSAGE_MAX_BYTES } = this.#options;
    const configs = topicConfigs(this.#options, maxMessageBytes);
    try {
      await this.#again(() =>
        this.#broker.create({ topic, partitions, replicationFactor, configs, deadlineMs: CALL_MS }),
      );
    } catch (error) {
      if (error instanceof BrokerError && error.code === "exists") return;
      if (!(error instanceof BrokerError) || error.isTransient) throw error;
      throw new WaybillError(
        "WAYBILL_LOG_TOPIC",
        `Kafka's topic ${topic} could not be created: ${error.message}\n  ${this.#createCommand(topic, configs)}`,
        { reason: error.code, cause: error, hint: "Create it with this command, or let the relay do it." },
      );
    }
  }

  #createCommand(topic: string, configs: Readonly<Record<string, string>>): string {
    const { bootstrap, partitions, replicationFactor } = this.#options;
    const settings = Object.entries(configs).map(([name, value]) => `--config ${name}=${value}`);
    return [
      `kafka-topics.sh --bootstrap-server ${bootstrap} --create --topic ${topic}`,
      `--partitions ${partitions} --replication-factor ${replicationFactor}`,
      ...settings,
    ].join(" ");
  }

  /** All topics, once those that were created are there with their leaders. */
  async appeared(created: readonly string[]): Promise<ReadonlyMap<string, TopicDescription>> {
    for (;;) {
      const found = await this.describe();
      const isThere = (topic: string): boolean => {
        const partitions = found.get(topic)?.partitions ?? [];
        return partitions.length > 0 && partitions.every(({ leader }) => leader !== undefined);
      };
      const waiting = created.filter((topic) => !isThere(topic));
      if (waiting.length === 0 && this.#options.topics.every((topic) => found.has(topic))) return found;
      if (!(await this.#pause())) throw unanswered(`${waiting.join(", ")} was created and has no leaders yet`);
    }
  }

  async #again<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof BrokerError) || !error.isTransient) throw error;
        this.#options.onFailed?.(error);
        if (!(await this.#pause())) throw unanswered(messageOf(error), error);
      }
    }
  }

  /** False when no time is left. */
  async #pause(): Promise<boolean> {
    if (this.#clock.monotonic() >= this.#untilMs) return false;
    await new Promise<void>((resolve) => this.#clock.after(AGAIN_MS, resolve, true));
    return true;
  }
}

function unanswered(why: string, cause?: unknown): WaybillError {
  return new WaybillError("WAYBILL_LOG_UNAVAILABLE", `The Kafka cluster could not be used: ${why}`, {
    retryable: !(cause instanceof BrokerError) || cause.isTransient,
    reason: cause instanceof BrokerError ? cause.code : "timeout",
    cause,
    hint:
      cause instanceof BrokerError && cause.code === "unauthorized"
        ? "Look at kafka.sasl, whether the brokers know that user at that port, and at what their ACLs allow it."
        : "Look at kafka.brokers, whether they are reachable from here, and whether kafka.tls is as they have it.",
  });
}
