/**
 * An environment whose log is on Kafka (ADR 15). What comes in is written to the partitions of its
 * topic by any relay. What goes out is delivered, for each destination and partition, by the relay
 * that the destination's group gives the partition to: such a partition is open here as an
 * `Environment` of its own, named `<environment>/<partition>`.
 */
import type { HttpResponse } from "@waybill/core";
import type { RetentionLimits } from "@waybill/log";
import {
  type Broker,
  destinationGroup,
  eventsTopic,
  type OpenedTopic,
  type PartitionLog,
  Producer,
} from "@waybill/log-kafka";
import type { PassthroughRequest, Vendor } from "@waybill/vendors/registry";
import type { ComponentView } from "../admin/views.ts";
import { Cleanup } from "../cleanup.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";
import type { DestinationConfig, EnvironmentConfig, SourceConfig } from "../config/types.ts";
import { connectionOf } from "../delivery/connection.ts";
import type { PreparedPlan } from "../delivery/destination-plan.ts";
import { answering, type ExchangeAnswer } from "../delivery/exchanges.ts";
import { KeptAnswers } from "../delivery/kept-answers.ts";
import { passThrough } from "../delivery/pass-through.ts";
import { Environment } from "../environment.ts";
import type { EnvironmentOptions } from "../environment-options.ts";
import type { StoredInCluster } from "../intake/source-environment.ts";
import type { MemoryRelay } from "../launchdarkly/memory-relay.ts";
import { MemorySources } from "../launchdarkly/memory-sources.ts";
import { isInMemory } from "../launchdarkly/options.ts";
import { SILENT, type WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import type { PlaceInLog } from "../open-environment.ts";
import type { KafkaRange } from "../receipt.ts";
import { within } from "../within.ts";
import { NO_RECORDS, type ReplayRecords } from "./asked-replays.ts";
import { Checkpoints } from "./checkpoints.ts";
import { clearly } from "./clearly.ts";
import { type AnswerFromOwner, ClusterExchanges, type ExchangePlace } from "./cluster-exchanges.ts";
import { ClusterIngest } from "./cluster-ingest.ts";
import { ClusterReplays } from "./cluster-replays.ts";
import { ClusterRetention, NO_RELAYS, type OtherRelays } from "./cluster-retention.ts";
import { duplicateRule } from "./duplicate-rule.ts";
import { groupSession, requireFencing } from "./group-session.ts";
import { type Holds, NO_HOLDS } from "./holds.ts";
import { laneEntriesOf } from "./lane-entries.ts";
import { LaneGroup } from "./lane-group.ts";
import { Outage } from "./outage.ts";
import { Partitions } from "./partitions.ts";
import { patiently } from "./patiently.ts";
import type { LaneEntry } from "./relay-directory.ts";
import { companionsOf, environmentTopics, type WatchedTopics } from "./watched-topics.ts";

export interface ClusterOptions extends Omit<EnvironmentOptions, "log" | "segmentMaxBytes"> {
  readonly kafka: KafkaConfig;
  readonly broker: Broker;
  readonly retention: RetentionLimits;
  /** What relays tell of themselves. Default: nothing. */
  readonly relays?: OtherRelays;
  /** Default: operators cannot ask for anything. */
  readonly holds?: Holds;
  /** Default: nobody can ask for replays. */
  readonly records?: ReplayRecords;
  /** Records are removed in steps of so many. Default: as of `PartitionLogOptions`. */
  readonly markEveryBytes?: number;
  /** How long a lane that goes to another relay may take to end what is in flight, ms. */
  readonly deadlineMs: number;
  /** For callers that wait for a vendor's answer. Default: no other relay can be asked. */
  readonly answerFromOwner?: AnswerFromOwner | undefined;
}

/** Of a stop, once its lanes have ended: without a checkpoint the next start counts more. */
const LAST_SYNC_MS = 500;

export class ClusterEnvironment implements StoredInCluster {
  readonly name: string;
  readonly cluster: ClusterIngest;
  readonly exchanges: ClusterExchanges;
  readonly clusterReplays: ClusterReplays;
  readonly #options: ClusterOptions;
  readonly #topics: WatchedTopics;
  readonly #topic: string;
  readonly #producer: Producer;
  readonly #partitions: Partitions;
  readonly #checkpoints: Checkpoints;
  readonly #memory: MemorySources;
  readonly #keptAnswers: KeptAnswers;
  readonly #groups = new Map<string, LaneGroup>();
  readonly #checkpointing: Outage;
  readonly #retention: ClusterRetention;
  #config: EnvironmentConfig;
  #stopped: Promise<void> | undefined;

  private constructor(options: ClusterOptions, topics: WatchedTopics, maxMessageBytes: number) {
    const {
      config,
      kafka,
      broker,
      runtime,
      markEveryBytes,
      records = NO_RECORDS,
      answerFromOwner = () => Promise.resolve("nobody"),
    } = options;
    const { topicPrefix: prefix, partitions } = kafka;
    this.name = config.name;
    this.#options = options;
    this.#topics = topics;
    this.#config = config;
    this.#topic = eventsTopic(prefix, config.name);
    const { clock, random } = runtime;
    this.#producer = new Producer({
      broker,
      clock,
      topic: this.#topic,
      partitions,
      maxMessageBytes,
      onWritten: (partition, records) => this.#partitions.opened(partition)?.log.written(records),
    });
    this.cluster = new ClusterIngest({ environment: config.name, partitions, producer: this.#producer });
    this.#checkpoints = new Checkpoints(broker, { group: this.#topic, topic: this.#topic });
    this.#checkpointing = new Outage({
      clock,
      failing: (error) => this.#report("checkpoint_not_written", { environment: config.name, error }),
      works: () => this.#report("checkpoint_written", { environment: config.name }),
    });
    this.#memory = new MemorySources({ ...options, report: options.report ?? SILENT });
    this.#keptAnswers = new KeptAnswers(clock);
    this.exchanges = new ClusterExchanges({
      environment: config.name,
      clock,
      destinations: () => this.#config.destinations,
      opened: (partition) => this.#partitions.opened(partition),
      answerFromOwner,
    });
    this.#partitions = new Partitions({
      broker,
      clock,
      checkpoints: this.#checkpoints,
      prefix,
      environment: config.name,
      topic: this.#topic,
      count: partitions,
      ...(markEveryBytes === undefined ? {} : { markEveryBytes }),
      duplicates: duplicateRule(config.name, options.dedupe),
      directoryOf: (partition) => this.#directoryOf(partition),
      openEnvironment: (partition, log) => this.#openEnvironment(partition, log),
      onBroken: (partition, destination) => {
        for (const [name, group] of this.#groups)
          if (destination === undefined || destination === name) group.reopen(partition);
      },
    });
    this.clusterReplays = new ClusterReplays({
      environment: config.name,
      topic: this.#topic,
      broker,
      clock,
      random,
      partitions: this.#partitions,
      records,
      isConfigured: (destination) => this.#groups.has(destination),
    });
    this.#retention = this.#retaining();
  }

  /**
   * Creates or checks the topics, and writes the first states of new destinations. **Errors**:
   * `WAYBILL_LOG_TOPIC`, `WAYBILL_LOG_DAMAGED`, `WAYBILL_LOG_UNAVAILABLE`, `WAYBILL_LOG_COPY`.
   */
  static open(options: ClusterOptions): Promise<ClusterEnvironment> {
    return clearly(() => ClusterEnvironment.#open(options));
  }

  static async #open(options: ClusterOptions): Promise<ClusterEnvironment> {
    const { config, kafka } = options;
    const topic = eventsTopic(kafka.topicPrefix, config.name);
    const topics = environmentTopics(options);
    const opened = await topics.open([topic, ...companionsOf(options, config.destinations)]);
    const environment = new ClusterEnvironment(options, topics, opened[0]?.maxMessageBytes ?? 0);
    await patiently(options.runtime.clock, () => environment.#checkpoints.refuseCopied(environment.#partitions.all));
    for (const destination of config.destinations)
      environment.#groups.set(destination.name, await environment.#group(destination, opened));
    return environment;
  }

  /** Partitions that are open here. */
  get shards(): readonly Environment[] {
    return this.#partitions.environments;
  }

  get source(): StoredInCluster {
    return this;
  }

  components(): readonly ComponentView[] {
    const reason = this.#producer.lastError;
    const own = { name: `log ${this.name}`, ready: reason === undefined, ...(reason === undefined ? {} : { reason }) };
    return [own, ...this.shards.map((shard) => shard.component())];
  }

  start(): void {
    void this.#producer.tryCluster();
    this.#topics.watch();
    for (const group of this.#groups.values()) group.start();
  }

  /** What this relay tells of its lanes. */
  laneEntries(): readonly LaneEntry[] {
    return laneEntriesOf(this.name, this.#partitions.held, this.#options.runtime.clock.now());
  }

  /** What operators should know of its topics and groups. */
  faults(): readonly string[] {
    return [...this.#topics.faults, ...[...this.#groups.values()].flatMap(({ fault }) => fault ?? [])];
  }

  /** Lanes of a destination that are here begin to follow what operators ask for. */
  steer(destination: string): void {
    this.#groups.get(destination)?.steer();
  }

  /** Lanes follow what is asked for about replays. */
  replaysChanged(): void {
    for (const group of this.#groups.values()) group.replaysChanged();
  }

  memoryOf(source: SourceConfig): MemoryRelay | undefined {
    if (!isInMemory(source)) return undefined;
    return this.#memory.of(source, this.#config.destinations);
  }

  /** Past the lanes: this relay need not have one. */
  async passThrough(
    of: { readonly source: string; readonly vendor: Vendor },
    request: PassthroughRequest,
    deadlineMs: number,
  ): Promise<HttpResponse | undefined> {
    const config = answering(this.#config.destinations, of);
    if (config === undefined) return undefined;
    const lane = this.shards.map((shard) => shard.destination(config.name)).find((one) => one !== undefined);
    if (lane !== undefined) return lane.passThrough(request, deadlineMs);
    const { runtime, settings = {} } = this.#options;
    const connection = connectionOf(config, runtime, settings);
    const { transport } = connection;
    try {
      return await passThrough(request, { config, transport, clock: runtime.clock, deadlineMs });
    } finally {
      connection.close();
    }
  }

  /** For a caller at another relay. */
  answerHere(place: ExchangePlace, deadlineMs: number): Promise<ExchangeAnswer> {
    return this.exchanges.answerHere(place, deadlineMs);
  }

  /**
   * Where a place of a receipt is; `undefined` when its partition is not here, or the record is not
   * kept. **Errors**: those of a reader.
   */
  async placeOf({ partition, offset, index = 0 }: KafkaRange): Promise<PlaceInLog | undefined> {
    const held = this.#partitions.opened(partition);
    if (held === undefined) return undefined;
    const place = await held.log.placeOf(offset);
    return place.offset === offset ? { environment: held.environment, position: place.position + index } : undefined;
  }

  /** As `Environment.prepare`. New destinations begin where the partitions end. */
  prepare(config: EnvironmentConfig): Promise<PreparedPlan> {
    return Cleanup.around(async (cleanup) => {
      const changed: string[] = [];
      const commits: (() => void)[] = [];
      const wanted = new Set(config.destinations.map(({ name }) => name));
      for (const destination of config.destinations) {
        const present = this.#groups.get(destination.name);
        if (present === undefined) {
          const opened = await this.#topics.open(companionsOf(this.#options, [destination]));
          const group = await this.#group(destination, opened);
          changed.push(`${this.name}/${destination.name} added`);
          commits.push(() => {
            this.#groups.set(destination.name, group);
            group.start();
          });
        } else if (JSON.stringify(present.config) !== JSON.stringify(destination)) {
          const prepared = present.prepare(destination);
          cleanup.add(async () => prepared.discard());
          commits.push(prepared.commit);
          changed.push(`${this.name}/${destination.name} changed`);
        }
      }
      const removed = [...this.#groups].filter(([name]) => !wanted.has(name));
      const memory = this.#memory.prepare(config, cleanup);
      return {
        changed: [...changed, ...removed.map(([name]) => `${this.name}/${name} removed`)],
        report: () => undefined,
        commit: async (deadlineMs) => {
          this.#config = config;
          for (const commit of commits) commit();
          for (const [name] of removed) this.#groups.delete(name);
          await Promise.all([memory(deadlineMs), ...removed.map(([, group]) => group.close(deadlineMs))]);
        },
        discard: () => cleanup.run(),
      };
    });
  }

  /** Lanes' states are written as they change; here the places that positions are counted from. */
  async sync(): Promise<void> {
    try {
      await this.#checkpoints.write(this.#partitions.checkpoints);
      this.#checkpointing.succeeded();
    } catch (error) {
      this.#checkpointing.failed(safeError(error));
    }
  }

  /** As `ClusterRetention`. */
  retain(limits: RetentionLimits, nowMs: number): Promise<number> {
    return this.#retention.retain(limits, nowMs);
  }

  /** Lanes end what is in flight and write their last states; others take over at once. */
  stopDelivery(deadlineMs: number): Promise<void> {
    this.#topics.close();
    this.#stopped ??= this.#stopDelivery(deadlineMs);
    return this.#stopped;
  }

  async #stopDelivery(deadlineMs: number): Promise<void> {
    const { clock } = this.#options.runtime;
    const endsAtMs = clock.monotonic() + deadlineMs;
    // Before the partitions are closed; who opens them next counts from there.
    const synced = this.sync();
    await Promise.all([...this.#groups.values()].map((group) => group.close(deadlineMs)));
    this.exchanges.stop();
    await within(Math.max(0, Math.min(LAST_SYNC_MS, endsAtMs - clock.monotonic())), clock, synced);
  }

  async close(deadlineMs: number): Promise<void> {
    const { clock } = this.#options.runtime;
    const endsAtMs = clock.monotonic() + deadlineMs;
    const memory = this.#memory.close(deadlineMs).catch(() => undefined);
    await Promise.all([this.stopDelivery(deadlineMs), memory]);
    await within(Math.max(0, endsAtMs - clock.monotonic()), clock, this.#producer.close());
  }

  #retaining(): ClusterRetention {
    const { broker, runtime, relays = NO_RELAYS } = this.#options;
    return new ClusterRetention({
      environment: this.name,
      topic: this.#topic,
      broker,
      clock: runtime.clock,
      partitions: this.#partitions,
      checkpoints: this.#checkpoints,
      groups: this.#groups,
      relays,
      replays: this.clusterReplays,
      report: this.#report,
    });
  }

  /** `opened`: its companion topics are among them. */
  async #group(config: DestinationConfig, opened: readonly OpenedTopic[]): Promise<LaneGroup> {
    const { broker, runtime, deadlineMs, holds = NO_HOLDS, records = NO_RECORDS, relays = NO_RELAYS } = this.#options;
    const { clock, random } = runtime;
    const name = destinationGroup(this.#topic, config.name);
    await requireFencing({ broker, clock, random }, name);
    const session = await groupSession(broker, clock, name);
    if (session.warning !== undefined) this.#report("config_warning", { text: session.warning });
    const companions = new Set(companionsOf(this.#options, [config]));
    const group = new LaneGroup({
      environment: this.name,
      config,
      relayId: relays.selfId,
      group: name,
      sessionMs: session.ms,
      isNew: opened.some(({ topic, created }) => created && companions.has(topic)),
      topic: this.#topic,
      partitions: this.#partitions,
      broker,
      clock,
      random,
      holds,
      records,
      deadlineMs,
      report: this.#report,
    });
    await group.writeFirst();
    return group;
  }

  #directoryOf(partition: number): string {
    return `${this.#options.directory}/${partition}`;
  }

  #openEnvironment(partition: number, log: PartitionLog): Promise<Environment> {
    const { runtime, observer, dedupe, memory, settings, report, config } = this.#options;
    return Environment.open({
      runtime,
      observer,
      dedupe,
      ...(memory === undefined ? {} : { memory }),
      ...(settings === undefined ? {} : { settings }),
      ...(report === undefined ? {} : { report }),
      config: { ...config, name: `${config.name}/${partition}` },
      directory: this.#directoryOf(partition),
      log,
      keptAnswers: this.#keptAnswers,
    });
  }

  get #report(): WriteLine {
    return this.#options.report ?? SILENT;
  }
}
