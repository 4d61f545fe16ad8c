/**
 * A compacted topic of one partition, read to its end and then followed: what each key has is what
 * was written for it last. Everybody who reads it sees the same order.
 */
import { type Clock, messageOf } from "@waybill/core";
import { type Broker, BrokerError, type FetchedRecord, type Offset } from "./broker.ts";
import { closedError, Source, waitMs } from "./source.ts";

export interface KeyedRecord {
  readonly offset: Offset;
  readonly appendedAtMs: number;
  readonly key: string;
  /** Empty: the key has nothing any more. */
  readonly value: string;
}

export interface KeyedTopicOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly topic: string;
  /** In order; must not throw. A record may come again after the topic was made anew. */
  readonly onRecord: (record: KeyedRecord) => void;
  /** All is read that there was. */
  readonly onEnd?: () => void;
  /** Reading has begun to fail, or works again (`undefined`). */
  readonly onReading: (error: string | undefined) => void;
}

const READ_BYTES = 1024 * 1024;
/** How long a broker waits for the next record before it answers that there is none. */
const POLL_MS = 1_000;
const WRITE_CALL_MS = 2_000;
/** Who waits for what others wrote gives up after this time without a record. */
const READ_MS = 15_000;
/** Of records that say nothing: a compacted topic removes them. */
const MARK_KEY = "mark";

interface Waiting {
  readonly end: Offset;
  readonly sinceMs: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class KeyedTopic {
  readonly #options: KeyedTopicOptions;
  readonly #source: Source;
  #next: Offset = 0;
  /** The record before it; absent: none was read. */
  #last: Omit<FetchedRecord, "value"> | undefined;
  #error: string | undefined;
  /** When a record was read last. */
  #tookAtMs = 0;
  #waiting: Waiting[] = [];
  /** Of {@link catchUpWithAll}: the one under way, and the one that comes after it. */
  #marking: Promise<unknown> = Promise.resolve();
  #nextMark: Promise<void> | undefined;

  private constructor(options: KeyedTopicOptions) {
    this.#options = options;
    const { broker, clock, topic } = options;
    this.#source = new Source({ broker, clock, topic, partition: 0 });
  }

  /** Resolves once all is read that is there now. **Errors**: `WAYBILL_LOG_UNAVAILABLE`. */
  static async open(options: KeyedTopicOptions): Promise<KeyedTopic> {
    const topic = new KeyedTopic(options);
    try {
      topic.#next = await topic.#source.retrying("opening", () => topic.#source.offsetAt("first"));
      void topic.#follow();
      await topic.catchUp();
      return topic;
    } catch (error) {
      topic.close();
      throw error;
    }
  }

  /**
   * Resolves once everything is read that the broker has now. One that is cut off from the others
   * may not have all that was acknowledged: see {@link catchUpWithAll}. **Errors**:
   * `WAYBILL_LOG_UNAVAILABLE` when the end cannot be found, or nothing is read for 15 seconds;
   * `WAYBILL_CLOSED`.
   */
  async catchUp(): Promise<void> {
    const source = this.#source;
    const end = await source.retrying("reading", () => source.offsetAt("end"));
    await this.#readTo(end);
  }

  /**
   * Resolves once everything is read that anybody has written or read before the call. A record of
   * our own is written for that, and read: no broker acknowledges it that does not have what comes
   * before it. Calls share it. **Errors**: those of {@link write} and {@link catchUp}.
   */
  catchUpWithAll(withinMs = 0): Promise<void> {
    if (this.#nextMark !== undefined) return this.#nextMark;
    const marked = this.#marking.then(async () => {
      // Who calls from now on may have seen what comes after this record.
      this.#nextMark = undefined;
      await this.#readTo((await this.write(MARK_KEY, "", withinMs)) + 1);
    });
    this.#nextMark = marked;
    this.#marking = marked.catch(() => undefined);
    return marked;
  }

  #readTo(end: Offset): Promise<void> {
    if (this.#next === end) return Promise.resolve();
    const sinceMs = this.#options.clock.monotonic();
    const isRead = new Promise<void>((resolve, reject) => this.#waiting.push({ end, sinceMs, resolve, reject }));
    return this.#source.until(isRead);
  }

  /**
   * Resolves to the offset once all in-sync replicas have it. What is not answered is sent again
   * within `withinMs`: it may be in the topic twice then, or once although this rejects.
   * **Errors**: {@link BrokerError}, `WAYBILL_CLOSED`.
   */
  async write(key: string, value: string, withinMs = 0): Promise<Offset> {
    const { broker, clock, topic } = this.#options;
    const source = this.#source;
    const untilMs = clock.monotonic() + withinMs;
    const record = { topic, partition: 0, keys: [key], values: [Buffer.from(value)] };
    for (let failures = 0; ; failures++) {
      try {
        return (await source.until(broker.produce({ ...record, deadlineMs: WRITE_CALL_MS }))).offset;
      } catch (error) {
        const passes = error instanceof BrokerError && error.isTransient;
        if (!passes || clock.monotonic() >= untilMs) throw error;
        await source.wait(waitMs(failures));
      }
    }
  }

  close(): void {
    this.#source.close();
  }

  /** Never rejects. */
  async #follow(): Promise<void> {
    const source = this.#source;
    for (let failures = 0; !source.isClosed; ) {
      try {
        if (failures > 0) await this.#assertSame();
        await this.#read();
        failures = 0;
        this.#tell(undefined);
        this.#giveUp(new Error("the broker does not have what was written to it"));
      } catch (error) {
        if (source.isClosed) return;
        // The topic was made anew, or records were removed.
        if (error instanceof BrokerError && error.code === "offset_out_of_range") await this.#beginAnew();
        this.#tell(messageOf(error));
        this.#giveUp(error);
        await source.wait(waitMs(failures)).catch(() => undefined);
        failures += 1;
      }
    }
  }

  async #beginAnew(): Promise<void> {
    const first = await this.#source.offsetAt("first").catch(() => undefined);
    if (first === undefined) return;
    this.#next = first;
    this.#last = undefined;
  }

  /**
   * A cluster that lost its power may have lost the topic's end, and others have written there
   * since: whoever was away meanwhile reads all anew. So it does when what it read last is gone.
   */
  async #assertSame(): Promise<void> {
    const last = this.#last;
    if (last === undefined) return;
    const [found] = (await this.#source.fetchRecords(last.offset, READ_BYTES, 0)).records;
    const isSame = found?.offset === last.offset && found.appendedAtMs === last.appendedAtMs && found.key === last.key;
    if (!isSame) await this.#beginAnew();
  }

  async #read(): Promise<void> {
    const { records, end } = await this.#source.fetchRecords(this.#next, READ_BYTES, POLL_MS);
    if (this.#source.isClosed) throw closedError();
    for (const record of records) this.#take(record);
    if (this.#next < end) return;
    this.#options.onEnd?.();
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => one.end > this.#next);
    for (const one of waiting) if (one.end <= this.#next) one.resolve();
  }

  /** Nobody waits for ever for what cannot be read. */
  #giveUp(why: unknown): void {
    const lateMs = this.#options.clock.monotonic() - READ_MS;
    const waiting = this.#waiting;
    const isLate = ({ sinceMs }: Waiting): boolean => Math.max(sinceMs, this.#tookAtMs) <= lateMs;
    this.#waiting = waiting.filter((one) => !isLate(one));
    for (const one of waiting) if (isLate(one)) one.reject(this.#source.refusal("reading", why));
  }

  /** What has no key is not ours. */
  #take({ offset, appendedAtMs, key, value }: FetchedRecord): void {
    this.#next = offset + 1;
    this.#last = { offset, appendedAtMs, ...(key === undefined ? {} : { key }) };
    this.#tookAtMs = this.#options.clock.monotonic();
    if (key !== undefined) this.#options.onRecord({ offset, appendedAtMs, key, value: Buffer.from(value).toString() });
  }

  #tell(error: string | undefined): void {
    if ((error === undefined) !== (this.#error === undefined)) this.#options.onReading(error);
    this.#error = error;
  }
}
