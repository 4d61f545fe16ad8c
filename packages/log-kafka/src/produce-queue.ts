/**
 * What waits for one partition: one call is in flight; what gathers meanwhile goes with the next,
 * a little after the answer.
 *
 * What holds of the order:
 * - Records go to the partition in the order in which they came here, one call after another.
 * - What was answered before something else came is before it in the partition: it is in all
 *   in-sync replicas, one of which is the next leader.
 * - A call without an answer may still arrive, later than calls that came after it. Its request
 *   was answered with 503. When it is sent again, what arrives late is a copy: it is stored after
 *   the one that was acknowledged, and is dropped as a duplicate by the id of its events. Events
 *   without an id are delivered twice then, the second time late.
 * - Records of one request for one partition are in order as well: when one of them fails, those
 *   after it are not sent, so that the request that comes again is not after its own end.
 * - What the broker has answered with `not_leader` goes back to the front, and comes again before
 *   everything that came after it. A broker that lost its leadership meanwhile may have written it:
 *   then it is there twice, one copy after the other, and nothing is between them that came later.
 */
import { type Clock, messageOf, sleep } from "@waybill/core";
import { type Broker, BrokerError, type Offset, type Produced } from "./broker.ts";
import { withDeadline } from "./deadline.ts";
import type { EncodedValue } from "./record-value.ts";

/** A record that waits. */
export interface WaitingRecord extends EncodedValue {
  /** On the monotonic clock; what has not been sent until then never is. */
  readonly untilMs: number;
  /** Its request has failed elsewhere: there is no use in sending it. */
  readonly isVain: boolean;
  settle(result: ProduceResult): void;
}

export type ProduceResult = { readonly offset: Offset } | { readonly error: unknown };

export interface ProduceQueueOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly topic: string;
  readonly partition: number;
  readonly callMs: number;
  readonly closing: AbortSignal;
  /** The largest batch of records that the topic takes. */
  readonly limit: () => number;
  /** Before a call that follows another one at once. Never rejects. */
  readonly linger: () => Promise<void>;
  /** The topic takes less than that: called with the bytes of the batch that was refused. */
  readonly tooLarge: (bytes: number) => Promise<void>;
  /** After each call. `undefined`: it was acknowledged. */
  readonly ended: (failure: BrokerError | undefined, durationMs: number) => void;
  /** They are in the partition, from that place on. Must not throw. */
  readonly written: (records: readonly EncodedValue[], at: Produced) => void;
}

/** Bounds how long the first record of a call waits for the last one. */
const CALL_MAX_BYTES = 1024 * 1024;
/** Kafka's own: the header of a batch, and at most so many bytes around each value. */
export const BATCH_BYTES = 64;
export const RECORD_BYTES = 32;
/** Between calls that fail, doubled each time. */
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 1_000;

export class ProduceQueue {
  readonly #options: ProduceQueueOptions;
  #waiting: WaitingRecord[] = [];
  #running: Promise<void> | undefined;
  #pauseMs = PAUSE_MIN_MS;

  constructor(options: ProduceQueueOptions) {
    this.#options = options;
  }

  add(record: WaitingRecord): void {
    this.#waiting.push(record);
    this.#running ??= this.#run();
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    await this.#running;
  }

  get isIdle(): boolean {
    return this.#running === undefined;
  }

  async #run(): Promise<void> {
    const { clock, closing, linger } = this.#options;
    // What comes at the same moment goes with the first call.
    await Promise.resolve();
    let failure: BrokerError | undefined;
    for (;;) {
      const records = this.#take(failure);
      if (records.length === 0) break;
      failure = await this.#send(records);
      if (failure === undefined) {
        this.#pauseMs = PAUSE_MIN_MS;
        if (this.#waiting.length > 0) await linger();
      } else {
        await sleep(clock, this.#pauseMs, closing);
        this.#pauseMs = Math.min(PAUSE_MAX_MS, 2 * this.#pauseMs);
      }
    }
    this.#running = undefined;
  }

  /** The next call's records. Those whose time is over are answered. */
  #take(failure: BrokerError | undefined): readonly WaitingRecord[] {
    const nowMs = this.#options.clock.monotonic();
    const limit = Math.min(this.#options.limit(), CALL_MAX_BYTES);
    const records: WaitingRecord[] = [];
    let bytes = BATCH_BYTES;
    let taken = 0;
    for (const record of this.#waiting) {
      if (record.isVain) record.settle({ error: undefined });
      else if (nowMs >= record.untilMs) record.settle({ error: failure ?? tooSlow() });
      else {
        bytes += record.value.length + RECORD_BYTES;
        if (records.length > 0 && bytes > limit) break;
        records.push(record);
      }
      taken += 1;
    }
    this.#waiting.splice(0, taken);
    return records;
  }

  /** Why it failed; `undefined` when it did not. Never rejects. */
  async #send(records: readonly WaitingRecord[]): Promise<BrokerError | undefined> {
    const { broker, clock, topic, partition, callMs, closing, ended, written, tooLarge } = this.#options;
    const startedMs = clock.monotonic();
    const values = records.map(({ value }) => value);
    try {
      const produced = await withDeadline(clock, callMs, (deadline) =>
        broker.produce({ topic, partition, values, ...deadline }),
      );
      ended(undefined, clock.monotonic() - startedMs);
      for (const [index, record] of records.entries()) record.settle({ offset: produced.offset + index });
      written(records, produced);
      return undefined;
    } catch (error) {
      const failure = error instanceof BrokerError ? error : new BrokerError("invalid", messageOf(error));
      ended(failure, clock.monotonic() - startedMs);
      const isSplit = failure.code === "too_large" && records.length > 1;
      if (failure.code === "too_large") await tooLarge(batchBytes(records));
      if (!closing.aborted && (isSplit || failure.code === "not_leader")) this.#waiting.unshift(...records);
      else for (const record of records) record.settle({ error: failure });
      return failure;
    }
  }
}

function batchBytes(records: readonly WaitingRecord[]): number {
  return records.reduce((bytes, { value }) => bytes + value.length + RECORD_BYTES, BATCH_BYTES);
}

function tooSlow(): BrokerError {
  return new BrokerError("timeout", "what came before it takes too long");
}
