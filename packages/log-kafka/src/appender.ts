/**
 * Appends to a partition that has one writer at a time.
 *
 * Entries that come together share a value, and one value is on its way at a time. It tells the
 * position it was written for; the first value for a position counts, as a whole (see
 * `counting.ts`). So a call whose fate is unknown is simply repeated: however many of its copies
 * get into the log, and however late, one counts. An append is answered by what the log has: it
 * resolves when the tail has read its value back. When that place was taken by another writer's
 * value (an owner that was replaced, whose call came late), it is written again for the next one,
 * or rejected where what others have written matters to it.
 */
import { type Clock, messageOf, WaybillError } from "@waybill/core";
import {
  decodeAll,
  type Entry,
  encodeRecord,
  type LogRecord,
  type Position,
  type SizedEntry,
  sizeEntry,
} from "@waybill/log";
import { BrokerError, type Offset } from "./broker.ts";
import type { PartitionRecord } from "./counting.ts";
import { closedError, type Source, waitMs } from "./source.ts";

/** Of one value, but for entries that belong together or are larger alone. */
const WAVE_MAX_BYTES = 512 * 1024;
const PENDING_MAX_BYTES = 64 * 1024 * 1024;
const PRODUCE_DEADLINE_MS = 5_000;
const GIVE_UP_AFTER_MS = 30_000;
const RETRY = { retryable: true, retryAfterMs: 1_000 };

export interface AppenderOptions {
  readonly source: Source;
  readonly clock: Clock;
  readonly head: () => Position;
  /** Resolves once the tail has read everything before an offset. */
  readonly readTo: (offset: Offset) => Promise<void>;
  /** Default 1 MiB. */
  readonly metadataMaxBytes: number | undefined;
  /** Default 64 MiB. */
  readonly pendingMaxBytes: number | undefined;
  /** Default 30 s. */
  readonly giveUpAfterMs: number | undefined;
  /** Default false. */
  readonly rejectsAfterOthers: boolean | undefined;
}

interface Waiting {
  /** `undefined` for a barrier. */
  readonly sized: SizedEntry | undefined;
  /** Belongs to the one before it. */
  readonly joins: boolean;
  readonly sinceMs: number;
  /** Values of others that had been read by then. */
  readonly others: number;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: unknown) => void;
  isAnswered: boolean;
}

/** On its way for a position. */
interface Sent {
  readonly wave: readonly Waiting[];
  readonly value: Uint8Array;
  /** It was read back, though the call may not be answered. */
  readonly seen: () => void;
}

export class Appender {
  readonly #options: AppenderOptions;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #running = false;
  #sent: Sent | undefined;
  #failures = 0;
  /** Values that were read and are not known as ours. */
  #others = 0;
  #lastError: string | undefined;

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  /** Why the last call failed, until one succeeds. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** All of them in one call: of one wave, in order. */
  append(entries: readonly Entry[]): Promise<readonly Position[]> {
    const { source, clock, metadataMaxBytes, pendingMaxBytes = PENDING_MAX_BYTES } = this.#options;
    if (source.isClosed) throw closedError();
    const group = entries.map((entry) => sizeEntry(entry, metadataMaxBytes));
    const bytes = group.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > pendingMaxBytes)
      throw new WaybillError("WAYBILL_LOG_BUSY", `${this.#waitingBytes} bytes already wait to be stored; nothing was`, {
        ...RETRY,
      });
    this.#waitingBytes += bytes;
    const sinceMs = clock.monotonic();
    const stored = group.map((sized, at) => this.#enqueue({ sized, joins: at > 0, sinceMs }));
    this.#start();
    return Promise.all(stored);
  }

  /** Resolves once all that was appended before is answered; rejects when some of it failed. */
  async barrier(): Promise<void> {
    if (!this.#running) return;
    const before = this.#failures;
    await this.#enqueue({ sized: undefined, joins: false, sinceMs: this.#options.clock.monotonic() });
    if (this.#failures !== before)
      throw new WaybillError(
        "WAYBILL_LOG_UNAVAILABLE",
        `What was appended before could not be stored: ${this.#lastError}`,
        {
          ...RETRY,
        },
      );
  }

  /** The tail has read a value that counts. */
  seen(records: readonly PartitionRecord[]): void {
    const sent = this.#sent;
    if (sent === undefined || !isSame(decodeAll(sent.value), records)) {
      this.#others += 1;
      return;
    }
    this.#sent = undefined;
    this.#lastError = undefined;
    for (const [index, waiting] of sent.wave.entries())
      this.#answer(waiting, () => waiting.resolve((records[index] as PartitionRecord).first));
    sent.seen();
  }

  #enqueue(one: Pick<Waiting, "sized" | "joins" | "sinceMs">): Promise<Position> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...one, others: this.#others, resolve, reject, isAnswered: false });
    });
  }

  #answer(waiting: Waiting, answer: () => void): void {
    if (waiting.isAnswered) return;
    waiting.isAnswered = true;
    this.#waitingBytes -= waiting.sized?.sizeBytes ?? 0;
    answer();
  }

  #reject(waiting: Waiting, error: unknown): void {
    if (waiting.isAnswered) return;
    this.#failures += 1;
    this.#answer(waiting, () => waiting.reject(error));
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const wave = this.#takeWave();
      try {
        await this.#store(wave.filter(({ sized }) => sized !== undefined));
        for (const one of wave) if (one.sized === undefined) this.#answer(one, () => one.resolve(this.#options.head()));
      } catch (error) {
        for (const one of wave) this.#reject(one, error);
      }
      this.#sent = undefined;
    }
    this.#running = false;
  }

  #takeWave(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { sized, joins } of this.#waiting) {
      bytes += sized?.sizeBytes ?? 0;
      if (count > 0 && !joins && bytes > WAVE_MAX_BYTES) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** **Errors**: what cannot be repeated, or was for too long; `WAYBILL_CLOSED`. */
  async #store(wave: readonly Waiting[]): Promise<void> {
    for (let failures = 0; ; ) {
      if (this.#options.rejectsAfterOthers === true)
        for (const one of wave) if (one.others !== this.#others) this.#reject(one, this.#overtaken());
      const left = wave.filter(({ isAnswered }) => !isAnswered);
      if (left.length === 0) return;
      if (await this.#send(left)) continue;
      failures += 1;
      await this.#options.source.wait(waitMs(failures));
    }
  }

  /** For the positions from the head on: the same ones again, unless the head has moved. */
  #encode(wave: readonly Waiting[]): Uint8Array {
    let first = this.#options.head();
    const records = wave.map(({ sized }) => {
      const bytes = encodeRecord(sized as SizedEntry, first);
      first += (sized as SizedEntry).entry.ends.length;
      return bytes;
    });
    return records.length === 1 ? (records[0] as Uint8Array) : Buffer.concat(records);
  }

  /** Whether the broker has acknowledged, or need not any more; then all was read back. */
  async #send(wave: readonly Waiting[]): Promise<boolean> {
    const { source, clock, readTo, giveUpAfterMs = GIVE_UP_AFTER_MS } = this.#options;
    const value = this.#encode(wave);
    const seen = new Promise<void>((resolve) => {
      this.#sent = { wave, value, seen: resolve };
    });
    const acknowledged = source
      .produce([value], PRODUCE_DEADLINE_MS)
      .then((offset) => source.until(readTo(offset + 1)));
    try {
      await Promise.race([acknowledged, seen]);
      this.#lastError = undefined;
      return true;
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.#lastError = `${source.name}: appending: ${messageOf(error)}`;
      if (!error.isTransient) throw this.#refusal(error);
      const nowMs = clock.monotonic();
      for (const one of wave) if (nowMs - one.sinceMs >= giveUpAfterMs) this.#reject(one, this.#refusal(error));
      return false;
    }
  }

  #overtaken(): WaybillError {
    const message = `${this.#options.source.name}: another writer came first; nothing was appended`;
    return new WaybillError("WAYBILL_LOG_UNAVAILABLE", message, { ...RETRY, reason: "overtaken" });
  }

  #refusal(error: BrokerError): WaybillError {
    const { source } = this.#options;
    if (error.code === "too_large")
      return new WaybillError("WAYBILL_EVENT", `${source.name}: a record is too large for the topic`, {
        reason: "size",
        cause: error,
        hint: "Raise max.message.bytes of the topic.",
      });
    return source.refusal(error.isUncertain ? "appending, which may still be done" : "appending", error);
  }
}

/** Whether they are the records that were sent, byte for byte. */
function isSame(sent: readonly LogRecord[], read: readonly PartitionRecord[]): boolean {
  return (
    sent.length === read.length &&
    sent.every((one, index) => {
      const other = read[index] as PartitionRecord;
      return (
        one.first === other.first &&
        one.count === other.count &&
        one.receivedAtMs === other.receivedAtMs &&
        one.source === other.source &&
        one.metadata === other.metadata &&
        Buffer.compare(one.body, other.body) === 0 &&
        one.ends.every((end, at) => end === other.ends[at])
      );
    })
  );
}
