/** One partition as it is read: calls to the broker that end at once when the log is closed. */
import { type Clock, messageOf, type Timer, WaybillError } from "@waybill/core";
import {
  type Broker,
  BrokerError,
  type Fetched,
  type FetchedRecord,
  type Offset,
  type TopicPartition,
} from "./broker.ts";
import { decodeRecords, type StoredRecord } from "./record-value.ts";

/** One call that need not wait for anything. */
const CALL_DEADLINE_MS = 5_000;
const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 2_000;
/** After so long of failing a reader gives up; whoever reads tries again. */
const GIVE_UP_AFTER_MS = 15_000;

export interface SourceOptions extends TopicPartition {
  readonly broker: Broker;
  readonly clock: Clock;
}

/** A record of the broker, read. */
export interface ReadRecord {
  readonly offset: Offset;
  readonly appendedAtMs: number;
  /**
   * None for what is not ours. It depends on the bytes of the value alone, so that all relays
   * count alike.
   */
  readonly records: readonly StoredRecord[];
}

export interface Read {
  readonly records: readonly ReadRecord[];
  readonly end: Offset;
  readonly first: Offset;
}

export class Source {
  readonly name: string;
  readonly #options: SourceOptions;
  /** Rejects what is under way. */
  readonly #ends = new Set<() => void>();
  #closed = false;

  constructor(options: SourceOptions) {
    this.#options = options;
    this.name = `${options.topic}-${options.partition}`;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#ends) end();
    this.#ends.clear();
  }

  /**
   * One attempt. What does not decode is fetched once more before anybody counts it as nothing: it
   * may have been damaged on its way. **Errors**: {@link BrokerError}.
   */
  async fetch(offset: Offset, maxBytes: number, maxWaitMs = 0): Promise<Read> {
    const { records: fetched, end, first } = await this.fetchRecords(offset, maxBytes, maxWaitMs);
    const records: ReadRecord[] = [];
    let again = new Map<Offset, FetchedRecord>();
    for (const one of fetched) {
      const read = readOf(one);
      if (read.records.length > 0) {
        records.push(read);
        continue;
      }
      if (!again.has(one.offset)) {
        const rest = await this.fetchRecords(one.offset, one.value.length, 0);
        again = new Map(rest.records.map((other) => [other.offset, other]));
      }
      const same = again.get(one.offset);
      // Retention may have taken it meanwhile.
      if (same === undefined) break;
      records.push(readOf(same));
    }
    return { records, end, first };
  }

  /** As they are. **Errors**: {@link BrokerError}. */
  async fetchRecords(offset: Offset, maxBytes: number, maxWaitMs: number): Promise<Fetched> {
    const { broker, topic, partition } = this.#options;
    const deadlineMs = maxWaitMs + CALL_DEADLINE_MS;
    const fetched = await this.until(broker.fetch({ topic, partition, offset, maxBytes, maxWaitMs, deadlineMs }));
    // A broker answers whole batches: they may begin before the offset.
    const isBefore = fetched.records.some((record) => record.offset < offset);
    return isBefore ? { ...fetched, records: fetched.records.filter((record) => record.offset >= offset) } : fetched;
  }

  offsetAt(at: "first" | "end" | { readonly atMs: number }): Promise<Offset> {
    const { broker, topic, partition } = this.#options;
    return this.until(broker.offsetAt({ topic, partition, at, deadlineMs: CALL_DEADLINE_MS }));
  }

  removeBefore(offset: Offset): Promise<Offset> {
    const { broker, topic, partition } = this.#options;
    return this.until(broker.removeBefore({ topic, partition, offset, deadlineMs: CALL_DEADLINE_MS }));
  }

  async produce(values: readonly Uint8Array[], deadlineMs: number): Promise<Offset> {
    const { broker, topic, partition } = this.#options;
    return (await this.until(broker.produce({ topic, partition, values, deadlineMs }))).offset;
  }

  /** **Errors**: those of the promise; `WAYBILL_CLOSED` as soon as the log is closed. */
  until<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (): void => reject(closedError());
      const done = (): void => void this.#ends.delete(end);
      promise.then(resolve, reject).finally(done);
      if (this.#closed) end();
      else this.#ends.add(end);
    });
  }

  /** **Errors**: `WAYBILL_CLOSED`. */
  wait(ms: number): Promise<void> {
    let timer: Timer | undefined;
    const waited = new Promise<void>((resolve) => {
      timer = this.#options.clock.after(ms, resolve);
    });
    return this.until(waited).finally(() => timer?.cancel());
  }

  /**
   * Repeats what may succeed later. **Errors**: `WAYBILL_LOG_UNAVAILABLE` when it did not for 15 s,
   * or cannot; `WAYBILL_CLOSED`; a {@link BrokerError} `offset_out_of_range`, which says something.
   */
  async retrying<T>(what: string, run: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const startedAtMs = clock.monotonic();
    for (let failures = 0; ; failures++) {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof BrokerError) || error.code === "offset_out_of_range") throw error;
        const tookMs = clock.monotonic() - startedAtMs;
        if (!error.isTransient || tookMs > GIVE_UP_AFTER_MS) throw this.refusal(what, error);
        await this.wait(waitMs(failures));
      }
    }
  }

  refusal(what: string, error: unknown): WaybillError {
    if (error instanceof WaybillError) return error;
    return new WaybillError("WAYBILL_LOG_UNAVAILABLE", `${this.name}: ${what}: ${messageOf(error)}`, {
      retryable: true,
      retryAfterMs: BACKOFF_MAX_MS,
      cause: error,
      hint: "Check the Kafka cluster; the relay goes on by itself.",
      ...(error instanceof BrokerError ? { reason: error.code } : {}),
    });
  }
}

function readOf({ offset, appendedAtMs, value }: FetchedRecord): ReadRecord {
  return { offset, appendedAtMs, records: decodeRecords(value) };
}

/** Before the next attempt, after so many that failed in a row before this one. */
export function waitMs(failures: number): number {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 10));
}

export function closedError(): WaybillError {
  return new WaybillError("WAYBILL_CLOSED", "The log is closed");
}
