/**
 * Topics of a relay: made, or checked, before anything is written to them, and checked again every
 * minute, as operators may change them. What is wrong then stops nothing.
 */
import type { Clock, Timer } from "@waybill/core";
import type { RetentionLimits } from "@waybill/log";
import {
  type Broker,
  type BrokerError,
  companionTopics,
  faultsOfTopics,
  type OpenedTopic,
  openTopics,
  type TopicsOptions,
} from "@waybill/log-kafka";
import type { KafkaConfig } from "../config/kafka-types.ts";
import type { DestinationConfig, EnvironmentConfig } from "../config/types.ts";
import { SILENT, type WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import { Outage } from "./outage.ts";

const EVERY_MS = 60_000;
/** A cluster that starts with the relay may take that long without a word. */
const UNREACHED_MS = 3_000;

export interface WatchedTopicsOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly needs: Omit<TopicsOptions, "topics" | "bootstrap">;
  /** Their addresses. */
  readonly brokers: readonly string[];
  readonly report: WriteLine;
}

export class WatchedTopics {
  readonly #options: WatchedTopicsOptions;
  readonly #topics = new Set<string>();
  /** By topic. */
  readonly #faults = new Map<string, string>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: WatchedTopicsOptions) {
    this.#options = options;
  }

  /** What is wrong with them, a sentence for each topic. */
  get faults(): readonly string[] {
    return [...this.#faults].map(([topic, reasons]) => `${topic}: ${reasons}`);
  }

  /** **Errors**: `WAYBILL_LOG_TOPIC`, `WAYBILL_LOG_UNAVAILABLE`. */
  async open(topics: readonly string[]): Promise<readonly OpenedTopic[]> {
    const { broker, brokers, clock, report } = this.#options;
    const reaching = new Outage({
      clock,
      afterMs: UNREACHED_MS,
      failing: (error) => report("brokers_not_reached", { brokers, error }),
      works: () => undefined,
    });
    const onFailed = (error: BrokerError): void => reaching.failed(safeError(error));
    const opened = await openTopics(broker, clock, { ...this.#needs(), topics, onFailed });
    for (const text of opened.warnings) report("config_warning", { text });
    for (const topic of topics) this.#topics.add(topic);
    return opened.topics;
  }

  /** From now on they are checked every minute. */
  watch(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.after(EVERY_MS, () => void this.#check());
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #needs(): Omit<TopicsOptions, "topics"> {
    const { needs, brokers } = this.#options;
    return { ...needs, bootstrap: brokers[0] ?? "" };
  }

  /** Never rejects. */
  async #check(): Promise<void> {
    const { broker, report } = this.#options;
    try {
      const checked = await faultsOfTopics(broker, { ...this.#needs(), topics: [...this.#topics] });
      if (this.#isClosed) return;
      for (const [topic, faults] of checked) {
        const reasons = faults.map(({ reason }) => reason).join("; ");
        const isKnown = this.#faults.has(topic);
        if (reasons === "") this.#faults.delete(topic);
        else this.#faults.set(topic, reasons);
        if (reasons !== "" && !isKnown)
          report("topic_faulty", { topic, reason: reasons, repair: faults.map(({ repair }) => repair).join("; ") });
        else if (reasons === "" && isKnown) report("topic_repaired", { topic });
      }
    } catch {
      // What was known holds: that brokers do not answer is logged by whoever writes or reads.
    }
    this.watch();
  }
}

export interface EnvironmentTopicsOptions {
  readonly config: Pick<EnvironmentConfig, "name">;
  readonly kafka: KafkaConfig;
  readonly broker: Broker;
  readonly runtime: { readonly clock: Clock };
  readonly retention: RetentionLimits;
  readonly report?: WriteLine;
}

export function environmentTopics({
  kafka,
  broker,
  runtime,
  retention,
  report = SILENT,
}: EnvironmentTopicsOptions): WatchedTopics {
  const { partitions, replicationFactor, minInSyncReplicas, brokers } = kafka;
  const needs = { partitions, replicationFactor, minInSyncReplicas, retention };
  return new WatchedTopics({ broker, brokers, clock: runtime.clock, needs, report });
}

export function companionsOf(
  { kafka, config }: Pick<EnvironmentTopicsOptions, "kafka" | "config">,
  destinations: readonly DestinationConfig[],
): readonly string[] {
  return destinations.flatMap(({ name }) =>
    companionTopics(kafka.topicPrefix, { environment: config.name, destination: name }),
  );
}
