/** The records of one append, until all of them are answered. */

import type { Offset } from "./broker.ts";
import type { ProduceResult, WaitingRecord } from "./produce-queue.ts";
import type { EncodedValue, StoredRecord } from "./record-value.ts";

/** The events of a request that are in one record. */
export interface Place {
  readonly partition: number;
  readonly offset: Offset;
  readonly count: number;
}

export interface NewRecord extends EncodedValue {
  readonly partition: number;
}

export interface PendingAppendOptions {
  readonly records: number;
  /** All are acknowledged. */
  readonly stored: (places: readonly Place[]) => void;
  /** The first one that was not, with its events. */
  readonly refused: (error: unknown, count: number) => void;
  /** None waits or is in flight any more. */
  readonly ended: () => void;
}

export class PendingAppend {
  readonly #options: PendingAppendOptions;
  readonly #places: Place[];
  #left: number;
  /** Some record was refused: there is no use in sending the others. */
  isVain = false;

  constructor(options: PendingAppendOptions) {
    this.#options = options;
    this.#places = new Array<Place>(options.records);
    this.#left = options.records;
  }

  /** Once for each record; `at` is its place among them. */
  settle(at: number, { partition, record: { count } }: NewRecord, result: ProduceResult): void {
    this.#left -= 1;
    if ("offset" in result) this.#places[at] = { partition, offset: result.offset, count };
    else if (!this.isVain) {
      this.isVain = true;
      this.#options.refused(result.error, count);
    }
    if (this.#left > 0) return;
    this.#options.ended();
    if (!this.isVain) this.#options.stored(this.#places);
  }
}

/** One of its records, as a queue has it. */
export class PendingRecord implements WaitingRecord {
  readonly value: Uint8Array;
  readonly untilMs: number;
  readonly #append: PendingAppend;
  readonly #record: NewRecord;
  readonly #at: number;

  constructor(append: PendingAppend, at: number, record: NewRecord, untilMs: number) {
    this.#append = append;
    this.#at = at;
    this.#record = record;
    this.value = record.value;
    this.untilMs = untilMs;
  }

  get record(): StoredRecord {
    return this.#record.record;
  }

  get isVain(): boolean {
    return this.#append.isVain;
  }

  settle(result: ProduceResult): void {
    this.#append.settle(this.#at, this.#record, result);
  }
}
