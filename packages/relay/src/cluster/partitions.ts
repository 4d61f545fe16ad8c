/** The partitions of an environment's topic that are open here: as many as have lanes here. */
import { type Clock } from "@waybill/core";
import type { LaneRuntime } from "@waybill/log";
import {
  type Broker,
  type Checkpoint,
  CLOCKS_DIFFER_MS,
  companionTopics,
  type DuplicateRule,
  PartitionLog,
  type PartitionLogOptions,
} from "@waybill/log-kafka";
import type { Environment } from "../environment.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { type CompanionFacts, companionRuntime } from "./companions.ts";
import { patiently } from "./patiently.ts";

export interface OpenPartition {
  readonly partition: number;
  readonly log: PartitionLog;
  readonly environment: Environment;
}

export interface PartitionsOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly checkpoints: Checkpoints;
  readonly prefix: string;
  readonly environment: string;
  readonly topic: string;
  readonly count: number;
  /** As of `PartitionLogOptions`. */
  readonly markEveryBytes?: number;
  readonly duplicates: DuplicateRule;
  /** Directory of a partition's own files. */
  readonly directoryOf: (partition: number) => string;
  /** Makes what delivers the events of a partition; it closes the log. */
  readonly openEnvironment: (partition: number, log: PartitionLog) => Promise<Environment>;
  /**
   * What a partition, or a destination's own log of it, is read from is broken: who has it releases
   * it, and opens it again.
   */
  readonly onBroken: (partition: number, destination: string | undefined) => void;
}

interface Entry {
  held: OpenPartition | undefined;
  users: number;
  readonly opening: Promise<OpenPartition>;
}

/** Of all partitions: at 60,000 events a second the last 100 ms, which is where lanes are. */
const RECENT_MAX_BYTES = 24 * 1024 * 1024;
/** Of one call, ms. */
const CALL_MS = 10_000;

export class Partitions {
  readonly all: readonly number[];
  readonly #options: PartitionsOptions;
  readonly #open = new Map<number, Entry>();
  /** Nobody opens them any more. */
  readonly #broken = new Set<Entry>();

  constructor(options: PartitionsOptions) {
    this.#options = options;
    this.all = Array.from({ length: options.count }, (_, partition) => partition);
  }

  get environments(): readonly Environment[] {
    return this.held.map(({ environment }) => environment);
  }

  get held(): readonly OpenPartition[] {
    return [...this.#open.values()].flatMap(({ held }) => (held === undefined ? [] : [held]));
  }

  opened(partition: number): OpenPartition | undefined {
    return this.#open.get(partition)?.held;
  }

  /** Where the open ones have been counted to. */
  get checkpoints(): ReadonlyMap<number, Checkpoint> {
    return new Map(this.held.map(({ partition, log }) => [partition, log.checkpoint]));
  }

  /** Each call is to be followed by a {@link release}. **Errors**: those of `PartitionLog.open`. */
  async open(partition: number): Promise<OpenPartition> {
    const known = this.#open.get(partition);
    if (known !== undefined) {
      known.users += 1;
      return known.opening;
    }
    const entry: Entry = { held: undefined, users: 1, opening: this.#openOne(partition) };
    this.#open.set(partition, entry);
    try {
      entry.held = await entry.opening;
      return entry.held;
    } catch (error) {
      this.#forget(partition, entry);
      throw error;
    }
  }

  #forget(partition: number, entry: Entry): void {
    this.#broken.delete(entry);
    if (this.#open.get(partition) === entry) this.#open.delete(partition);
  }

  #breaks(partition: number): void {
    const entry = this.#open.get(partition);
    if (entry === undefined) return;
    this.#open.delete(partition);
    this.#broken.add(entry);
    this.#options.onBroken(partition, undefined);
  }

  async #openOne(partition: number): Promise<OpenPartition> {
    const log = await this.#openLog(partition);
    try {
      return { partition, log, environment: await this.#options.openEnvironment(partition, log) };
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  /** The last one closes it. */
  async release(held: OpenPartition): Promise<void> {
    const { partition, environment } = held;
    const entry = [...this.#open.values(), ...this.#broken].find((one) => one.held === held);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#forget(partition, entry);
    await environment.close(0);
  }

  /** The place after a partition's last event. */
  async endOf(partition: number): Promise<Checkpoint> {
    const open = this.opened(partition);
    if (open !== undefined) return open.log.checkpoint;
    const log = await this.#openLog(partition);
    try {
      return log.checkpoint;
    } finally {
      await log.close();
    }
  }

  /**
   * Opens a partition for `run` alone, whoever delivers it, as far back as the time; by default as
   * far as it goes, with `end` no further than needed to count. **Errors**: those of
   * `PartitionLog.open` and of `run`.
   */
  async read<T>(
    partition: number,
    since: number | "end" | undefined,
    run: (log: PartitionLog) => Promise<T>,
  ): Promise<T> {
    const { broker, clock, topic } = this.#options;
    const offsetAt = (atMs: number): Promise<number> =>
      patiently(clock, () => broker.offsetAt({ topic, partition, at: { atMs }, deadlineMs: CALL_MS }));
    const from = typeof since === "number" ? await offsetAt(Math.max(0, since - CLOCKS_DIFFER_MS)) : (since ?? "first");
    const log = await PartitionLog.open({ ...(await this.#logOptions(partition)), from });
    try {
      return await run(log);
    } finally {
      await log.close();
    }
  }

  async #openLog(partition: number): Promise<PartitionLog> {
    return PartitionLog.open({
      ...(await this.#logOptions(partition)),
      duplicates: this.#options.duplicates,
      recentMaxBytes: Math.floor(RECENT_MAX_BYTES / this.all.length),
      onBroken: () => this.#breaks(partition),
    });
  }

  async #logOptions(partition: number): Promise<PartitionLogOptions> {
    const { broker, clock, topic, checkpoints, markEveryBytes } = this.#options;
    const checkpoint = await checkpoints.read(partition);
    return {
      broker,
      clock,
      topic,
      partition,
      ...(markEveryBytes === undefined ? {} : { markEveryBytes }),
      ...(checkpoint === undefined ? {} : { checkpoint }),
    };
  }

  /** Whether a destination has dead letters or fates in one of the partitions. */
  async hasTraces(destination: string, partitions: readonly number[]): Promise<boolean> {
    const { broker, prefix, environment } = this.#options;
    for (const topic of companionTopics(prefix, { environment, destination }))
      for (const partition of partitions)
        if ((await broker.offsetAt({ topic, partition, at: "end", deadlineMs: CALL_MS })) > 0) return true;
    return false;
  }

  /** Opens a lane's own logs in the companion topics, by the directories they have on a disk. */
  companions(destination: string, partition: number, facts: Omit<CompanionFacts, "onBroken">): LaneRuntime {
    const { broker, clock, directoryOf, prefix, environment } = this.#options;
    const options = { broker, clock, prefix, environment, destination };
    const onBroken = (): void => this.#options.onBroken(partition, destination);
    return companionRuntime(options, partition, directoryOf(partition), { ...facts, onBroken });
  }
}
