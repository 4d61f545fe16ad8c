/**
 * Reads a partition at its head for as long as the log is open. Failures are repeated, less and
 * less often; {@link Tail.lastError} tells of them until reading works again.
 */
import { messageOf } from "@waybill/core";
import { BrokerError, type Offset } from "./broker.ts";
import type { Checkpoint, Count, PartitionRecord } from "./counting.ts";
import { type Read, type ReadRecord, type Source, waitMs } from "./source.ts";

const READ_BYTES = 1024 * 1024;
/** How long a broker waits for the next record before it answers that there is none. */
const POLL_MS = 1_000;
/** What was written here and not taken yet. More is read from the broker. */
const WRITTEN_MAX_BYTES = 1024 * 1024;
/** After so many times without a fetch there is one: what others write or remove is seen. */
const WRITTEN_TIMES_MAX = 40;
/** The next ones written here are waited for so many times: a fetch would bring them as well. */
const QUIET_TIMES_MAX = 4;

export interface TailOptions {
  readonly source: Source;
  readonly count: Count;
  /** After each answer with the last records there are, before the next ones are asked for. */
  readonly gatherMs: number;
  /** All records, in order, and the offset that was to come next. */
  readonly onRead: (records: readonly ReadRecord[], from: Offset) => void;
  /** The records of one value, if they count. */
  readonly onRecords: (records: readonly PartitionRecord[]) => void;
  /** After one or more records that count. */
  readonly onMoved: () => void;
  /** The broker's first offset, with each answer. */
  readonly onFirst: (first: Offset) => void;
  /** What was to be read next is gone. Whether reading can go on. */
  readonly onGone: (error: BrokerError) => Promise<boolean>;
}

interface Waiting {
  readonly offset: Offset;
  readonly done: () => void;
}

export class Tail {
  readonly #options: TailOptions;
  #waiting: Waiting[] = [];
  /** Acknowledged, in order, and not taken yet. */
  #written: ReadRecord[] = [];
  #writtenBytes = 0;
  /** Something before what is written here next is known to the broker alone. */
  #lacks = false;
  #lastError: string | undefined;

  constructor(options: TailOptions) {
    this.#options = options;
  }

  /** After all that was read. */
  get place(): Checkpoint {
    return this.#options.count.place;
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** Reads up to an offset. **Errors**: those of `Source.retrying`. */
  async catchUp(end: Offset): Promise<void> {
    const { source } = this.#options;
    while (this.place.offset < end) {
      const read = await source.retrying("reading", () => source.fetch(this.place.offset, READ_BYTES));
      this.#take(read);
      if (read.records.length > 0) continue;
      if (read.end >= end) return;
      await source.wait(waitMs(0));
    }
  }

  /**
   * What this process has written: it is not read once more where it comes next. Nobody else has
   * written in between then, so nobody is asked.
   */
  written(records: readonly ReadRecord[]): void {
    if (this.#writtenBytes > WRITTEN_MAX_BYTES) {
      this.#lacks = true;
      return;
    }
    for (const one of records) {
      this.#written.push(one);
      for (const { sizeBytes } of one.records) this.#writtenBytes += sizeBytes;
    }
  }

  /** Until the log is closed or broken. Never rejects. */
  async run(): Promise<void> {
    const { source, gatherMs, onGone } = this.#options;
    for (let failures = 0, times = 0, quiet = QUIET_TIMES_MAX; !source.isClosed; ) {
      try {
        quiet = this.#takeWritten() ? 0 : quiet + 1;
        if (quiet > 0 && this.#lacks) quiet = QUIET_TIMES_MAX;
        if (quiet < QUIET_TIMES_MAX && times < WRITTEN_TIMES_MAX) {
          times += 1;
          await source.wait(gatherMs);
          continue;
        }
        times = 0;
        this.#lacks = false;
        const read = await source.fetch(this.place.offset, READ_BYTES, POLL_MS);
        this.#take(read);
        failures = 0;
        this.#lastError = undefined;
        if (gatherMs > 0 && read.records.length > 0 && this.place.offset >= read.end) await source.wait(gatherMs);
      } catch (error) {
        if (source.isClosed) return;
        this.#lastError = `${source.name}: reading: ${messageOf(error)}`;
        if (error instanceof BrokerError && error.code === "offset_out_of_range") {
          const goesOn = await onGone(error).catch(() => true);
          if (!goesOn) return;
        }
        await source.wait(waitMs(failures)).catch(() => undefined);
        failures += 1;
      }
    }
  }

  /** Resolves once everything before an offset was read; never when the log is closed before. */
  readTo(offset: Offset): Promise<void> {
    if (this.place.offset >= offset) return Promise.resolve();
    return new Promise((done) => {
      this.#waiting.push({ offset, done });
    });
  }

  #take({ records, first }: Read): void {
    this.#takeAll(records);
    this.#options.onFirst(first);
  }

  /** Whether something of it came next. */
  #takeWritten(): boolean {
    const written = this.#written;
    if (written.length === 0) return false;
    this.#written = [];
    this.#writtenBytes = 0;
    let { offset } = this.place;
    const next: ReadRecord[] = [];
    for (const one of written) {
      if (one.offset < offset) continue;
      if (one.offset > offset) {
        this.#lacks = true;
        break;
      }
      next.push(one);
      offset += 1;
    }
    this.#takeAll(next);
    return next.length > 0;
  }

  #takeAll(records: readonly ReadRecord[]): void {
    const { count, onRead, onRecords, onMoved } = this.#options;
    const { offset: from, position } = count.place;
    onRead(records, from);
    for (const one of records) {
      const taken = count.take(one);
      if (taken.length > 0) onRecords(taken);
    }
    const { offset } = count.place;
    if (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = waiting.filter((one) => one.offset > offset);
      for (const one of waiting) if (one.offset <= offset) one.done();
    }
    if (count.place.position > position) onMoved();
  }
}
