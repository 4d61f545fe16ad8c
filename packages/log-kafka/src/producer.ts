/**
 * Writes entries to an environment's topic: acknowledged by all in-sync replicas, or refused as
 * retryable. {@link ProduceQueue} has what holds of their order.
 *
 * While writing fails, {@link Producer.lastError} says why, and the partitions that failed are
 * tried each second, without a record: a partition is well again when it has a leader that answers
 * and enough replicas in sync, or when a record was acknowledged.
 */
import { assert, type Clock, messageOf, sleep, type Timer, WaybillError } from "@waybill/core";
import type { Entry } from "@waybill/log";
import { type Broker, BrokerError, type BrokerErrorCode, type Produced, type TopicDescription } from "./broker.ts";
import { withDeadline } from "./deadline.ts";
import type { Part } from "./partitioner.ts";
import { type NewRecord, PendingAppend, PendingRecord, type Place } from "./pending-append.ts";
import { BATCH_BYTES, ProduceQueue, RECORD_BYTES } from "./produce-queue.ts";
import { type EncodedValue, encodedValue, slicedWithIds } from "./record-value.ts";
import type { ReadRecord } from "./source.ts";

export interface ProducerOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly topic: string;
  readonly partitions: number;
  /** The largest batch of records that the topic takes: `OpenedTopic.maxMessageBytes`. */
  readonly maxMessageBytes: number;
  /** Of one call to a broker. Default 5 s. */
  readonly callMs?: number;
  /** How long an append may wait for its call. Default 5 s: in all it takes twice as long. */
  readonly waitMs?: number;
  /** Bytes that may wait or be in flight; further appends are refused. Default 64 MiB. */
  readonly pendingMaxBytes?: number;
  /** After each call that was acknowledged. Must not throw. */
  readonly onAcknowledged?: (durationMs: number) => void;
  /** What was acknowledged is in its partition. Must not throw. */
  readonly onWritten?: (partition: number, records: readonly ReadRecord[]) => void;
}

const CALL_MS = 5_000;
const WAIT_MS = 5_000;
const PENDING_MAX_BYTES = 64 * 1024 * 1024;
const RETRY_AFTER_MS = 1_000;
/** How often partitions that failed are tried. */
const PROBE_MS = 1_000;
/**
 * How long after its last failed record a partition is well at the earliest: that brokers have no
 * room is not seen without a record.
 */
const CALM_MS = 3_000;
/** The same where a person has to repair something, a right for one. */
const REPAIR_MS = 30_000;
const NEEDS_REPAIR: readonly BrokerErrorCode[] = ["unauthorized", "unsupported", "invalid"];
const LIMIT_MIN_BYTES = 1_024;
/** As Kafka's own clients: a call costs a broker and its followers about as much as 100 events. */
const LINGER_MS = 5;

interface Failure {
  readonly error: BrokerError;
  /** When a record failed last, on the monotonic clock. */
  readonly atMs: number;
}

export class Producer {
  readonly #options: ProducerOptions;
  readonly #queues: readonly ProduceQueue[];
  readonly #failures = new Map<number, Failure>();
  readonly #closing = new AbortController();
  #limit: number;
  #pendingBytes = 0;
  #probing: Timer | undefined;
  #lingering: Promise<void> | undefined;

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#limit = options.maxMessageBytes;
    const { broker, clock, topic, partitions, callMs = CALL_MS } = options;
    this.#queues = Array.from(
      { length: partitions },
      (_, partition) =>
        new ProduceQueue({
          broker,
          clock,
          topic,
          partition,
          callMs,
          closing: this.#closing.signal,
          limit: () => this.#limit,
          linger: () => this.#linger(),
          tooLarge: (bytes) => this.#tooLarge(bytes),
          ended: (error, durationMs) => this.#ended(partition, error, durationMs),
          written: (records, at) => this.#written(partition, records, at),
        }),
    );
  }

  /**
   * Why an append to some partition would fail: the last failure, until writing works again.
   */
  get lastError(): string | undefined {
    const [first, ...others] = this.#failures;
    if (first === undefined) return undefined;
    const [partition, { error }] = first;
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
    return `Kafka does not take records for partition ${partition} of ${this.#options.topic}${more}: ${error.message}`;
  }

  /** Bytes that wait or are in flight. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Resolves once all in-sync replicas have all of it, to the places of the parts in their order;
   * a part that is too large for one record has several.
   * **Errors**: `WAYBILL_LOG_BUSY`, `WAYBILL_LOG_UNAVAILABLE` (both retryable; some of it may be
   * stored), `WAYBILL_EVENT` (one event is too large for a record), `WAYBILL_CLOSED`.
   * **Concurrency**: any number at once. Order in a partition is call order.
   */
  async append(parts: readonly Part[]): Promise<readonly Place[]> {
    if (this.#closing.signal.aborted) throw new WaybillError("WAYBILL_CLOSED", "The log is closed; nothing was stored");
    this.#checkRoom(parts.reduce((bytes, { entry }) => bytes + (entry.ends.at(-1) ?? 0), 0));
    const records = this.#recordsOf(parts);
    if (records.length === 0) return [];
    const untilMs = this.#options.clock.monotonic() + (this.#options.waitMs ?? WAIT_MS);
    const bytes = records.reduce((sum, { value }) => sum + value.length, 0);
    this.#pendingBytes += bytes;
    return new Promise((resolve, reject) => {
      const append = new PendingAppend({
        records: records.length,
        stored: resolve,
        refused: (error, count) => reject(this.#refusalOf(error, count)),
        // Until then all of them are held: they are in one piece of memory.
        ended: () => {
          this.#pendingBytes -= bytes;
        },
      });
      for (const [at, record] of records.entries())
        this.#queueOf(record.partition).add(new PendingRecord(append, at, record, untilMs));
    });
  }

  /** Tries all partitions, without a record. Never rejects. */
  async tryCluster(): Promise<void> {
    await this.#probe(this.#queues.map((_, partition) => partition));
    this.#probeSoon();
  }

  /** Ends when what waits has been answered: no attempt is repeated any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#probing?.cancel();
    await Promise.all(this.#queues.map((queue) => queue.idle()));
  }

  /** All partitions together: their calls go in one request to each broker. */
  #linger(): Promise<void> {
    this.#lingering ??= sleep(this.#options.clock, LINGER_MS, this.#closing.signal).then(() => {
      this.#lingering = undefined;
    });
    return this.#lingering;
  }

  #queueOf(partition: number): ProduceQueue {
    const queue = this.#queues[partition];
    assert(queue !== undefined, "an entry's partition is one of the topic's");
    return queue;
  }

  #checkRoom(bytes: number): void {
    const pending = this.#pendingBytes;
    if (pending === 0 || pending + bytes <= (this.#options.pendingMaxBytes ?? PENDING_MAX_BYTES)) return;
    throw new WaybillError("WAYBILL_LOG_BUSY", `${pending} bytes already wait to be stored; nothing was`, {
      retryable: true,
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  /** Of each part one, or more where it is larger than a record may be. */
  #recordsOf(parts: readonly Part[]): readonly NewRecord[] {
    const limit = this.#limit - BATCH_BYTES - RECORD_BYTES;
    const records: NewRecord[] = [];
    for (const { partition, entry, encoded } of parts) {
      const { value, record } = encoded ?? encodedValue(entry);
      if (value.length <= limit) records.push({ partition, value, record });
      else if (record.count === 1) throw tooLarge(value.length, limit);
      else
        records.push(
          ...this.#recordsOf(halvesOf(entry).map((half) => ({ partition, entry: half, indexes: undefined }))),
        );
    }
    return records;
  }

  #refusalOf(error: unknown, count: number): unknown {
    if (!(error instanceof BrokerError)) return error;
    if (error.code === "too_large" && count === 1) return tooLarge(undefined, this.#limit);
    return new WaybillError("WAYBILL_LOG_UNAVAILABLE", `Kafka has not acknowledged the events: ${error.message}`, {
      retryable: true,
      retryAfterMs: RETRY_AFTER_MS,
      reason: error.code,
      cause: error,
      hint: "Storing resumes by itself when the cluster is well again.",
    });
  }

  #ended(partition: number, error: BrokerError | undefined, durationMs: number): void {
    // A record that is too large says nothing of the partition.
    if (error?.code === "too_large") return;
    if (error === undefined) {
      this.#failures.delete(partition);
      this.#options.onAcknowledged?.(durationMs);
    } else {
      this.#failures.set(partition, { error, atMs: this.#options.clock.monotonic() });
      this.#probeSoon();
    }
  }

  #written(partition: number, records: readonly EncodedValue[], { offset, appendedAtMs }: Produced): void {
    // Without it nobody can tell what a fetch would.
    if (appendedAtMs === undefined) return;
    this.#options.onWritten?.(
      partition,
      records.map(({ record }, index) => ({ offset: offset + index, appendedAtMs, records: [record] })),
    );
  }

  #probeFailed(partition: number, error: unknown): void {
    const atMs = this.#failures.get(partition)?.atMs ?? Number.NEGATIVE_INFINITY;
    this.#failures.set(partition, { error: brokerError(error), atMs });
  }

  /** What the topic takes may have been changed. */
  async #tooLarge(bytes: number): Promise<void> {
    const known = await this.#describe()
      .then(({ configs }) => Number(configs["max.message.bytes"]))
      .catch(() => Number.NaN);
    const limit = known < bytes ? known : Math.floor(bytes / 2);
    this.#limit = Math.max(LIMIT_MIN_BYTES, Math.min(this.#limit, limit));
  }

  #probeSoon(): void {
    if (this.#probing !== undefined || this.#failures.size === 0 || this.#closing.signal.aborted) return;
    this.#probing = this.#options.clock.after(PROBE_MS, () => {
      const idle = [...this.#failures.keys()].filter((partition) => this.#queues[partition]?.isIdle === true);
      void this.#probe(idle).then(() => {
        this.#probing = undefined;
        this.#probeSoon();
      });
    });
  }

  /** Never rejects. */
  async #probe(partitions: readonly number[]): Promise<void> {
    if (partitions.length === 0) return;
    try {
      const topic = await this.#describe();
      await Promise.all(partitions.map((partition) => this.#probeOne(partition, topic)));
    } catch (error) {
      for (const partition of partitions) this.#probeFailed(partition, error);
    }
  }

  async #probeOne(partition: number, described: TopicDescription): Promise<void> {
    const { broker, clock, topic, callMs = CALL_MS } = this.#options;
    const before = this.#failures.get(partition);
    try {
      const fault = partitionFault(described, partition);
      if (fault !== undefined) throw fault;
      await withDeadline(clock, callMs, (deadline) => broker.offsetAt({ topic, partition, at: "end", ...deadline }));
      // A record that failed meanwhile knows better.
      if (before === undefined || this.#failures.get(partition) !== before) return;
      const calmMs = NEEDS_REPAIR.includes(before.error.code) ? REPAIR_MS : CALM_MS;
      if (clock.monotonic() - before.atMs >= calmMs) this.#failures.delete(partition);
    } catch (error) {
      this.#probeFailed(partition, error);
    }
  }

  async #describe(): Promise<TopicDescription> {
    const { broker, clock, topic, callMs = CALL_MS } = this.#options;
    const [found] = await withDeadline(clock, callMs, (deadline) => broker.describe({ topics: [topic], ...deadline }));
    if (found === undefined) throw new BrokerError("unknown_topic", `there is no topic ${topic}`);
    return found;
  }
}

function halvesOf(entry: Entry): readonly Entry[] {
  const count = entry.ends.length;
  const middle = Math.ceil(count / 2);
  return [slicedWithIds(entry, 0, middle), slicedWithIds(entry, middle, count)];
}

/** Why a partition takes no records, as far as the cluster tells. */
function partitionFault({ partitions, configs }: TopicDescription, partition: number): BrokerError | undefined {
  const found = partitions[partition];
  if (found?.leader === undefined) return new BrokerError("not_leader", "it has no leader");
  const inSync = found.inSyncReplicas.length;
  const least = Number(configs["min.insync.replicas"] ?? 1);
  if (inSync >= least) return undefined;
  return new BrokerError("not_enough_replicas", `${inSync} of its replicas in sync, ${least} are needed`);
}

function brokerError(error: unknown): BrokerError {
  return error instanceof BrokerError ? error : new BrokerError("invalid", messageOf(error));
}

function tooLarge(bytes: number | undefined, limit: number): WaybillError {
  const size = bytes === undefined ? "An event" : `An event of ${bytes} bytes`;
  return new WaybillError("WAYBILL_EVENT", `${size} is too large for a record of Kafka`, {
    reason: "size",
    hint: `At most ${limit} bytes: max.message.bytes of the topic.`,
  });
}
