import type { Cursor, LogReader, Position } from "@waybill/log";
import { BrokerError, type Offset } from "./broker.ts";
import { type Checkpoint, Count, type PartitionRecord, type Positions } from "./counting.ts";
import type { Kept } from "./kept.ts";
import { markOf, Places } from "./places.ts";
import type { Recent } from "./recent.ts";
import { type ReadRecord, type Source, waitMs } from "./source.ts";

/** A broker that answers nothing where there was something is asked again so often. */
const EMPTY_MAX = 20;

export interface ReadFrom {
  readonly source: Source;
  readonly kept: Kept;
  readonly recent: Recent;
  readonly positions: Positions;
  /** Nothing after it is read: what follows was not counted yet. */
  readonly head: () => Checkpoint;
  /** The broker may have removed records: looks. */
  readonly refresh: () => Promise<void>;
  /** **Errors**: why nothing can be read any more. */
  readonly check: () => void;
  readonly onClose: () => void;
}

/** Reads what is recent from memory, and all else with its own calls. */
export class PartitionReader implements LogReader {
  readonly #from: ReadFrom;
  /** Of the records read last, one by one. */
  readonly places: Places = new Places(Number.POSITIVE_INFINITY);
  #position: Position;
  #byte: number;
  #count: Count | undefined;
  /** Fetched and not counted yet: some of it may be after the head. */
  #rest: ReadRecord[] = [];
  /** Counted and not given yet. */
  #counted: PartitionRecord[] = [];

  constructor(from: ReadFrom, begin: { readonly position: Position; readonly byte?: number }) {
    this.#from = from;
    this.#position = begin.position;
    this.#byte = begin.byte ?? 0;
  }

  get cursor(): Cursor {
    return { position: this.#position, byte: this.#counted[0]?.byte ?? this.#count?.place.byte ?? this.#byte };
  }

  /** **Errors**: `WAYBILL_LOG_UNAVAILABLE` (retryable: the same call goes on), `WAYBILL_CLOSED`. */
  async read(maxBytes: number): Promise<readonly PartitionRecord[]> {
    const { kept, head, check } = this.#from;
    for (;;) {
      check();
      this.#forgetRemoved();
      this.#count ??= await this.#seek();
      const [next] = this.#counted;
      if (next !== undefined) {
        await kept.ensure(next.first);
        check();
        return this.#give(maxBytes);
      }
      // None is passed over: whoever reads takes what is missing for damaged.
      if (this.#count.place.offset >= head().offset) return [];
      if (this.#rest.length === 0) await this.#fetch(this.#count.place.offset, maxBytes);
      this.#countRest(maxBytes);
    }
  }

  close(): Promise<void> {
    this.#from.onClose();
    this.#rest = [];
    this.#counted = [];
    return Promise.resolve();
  }

  /** Also what was fetched and not given. */
  #forgetRemoved(): void {
    const { kept } = this.#from;
    const offset = this.#counted[0]?.offset ?? this.#count?.place.offset;
    if (offset === undefined || offset >= kept.from.offset) return;
    this.#count = undefined;
    this.#rest = [];
    this.#counted = [];
  }

  async #seek(): Promise<Count> {
    const { kept, positions } = this.#from;
    await kept.ensure(this.#position);
    return new Count(positions, kept.placeFor(this.#position));
  }

  async #fetch(offset: Offset, maxBytes: number): Promise<void> {
    const { source, kept, recent, head, refresh } = this.#from;
    const known = recent.read(offset, maxBytes);
    if (known !== undefined) {
      this.#rest = known;
      return;
    }
    for (let empty = 0; ; empty++) {
      try {
        const read = await source.retrying("reading", () => source.fetch(offset, maxBytes));
        this.#rest = [...read.records];
        if (read.records.length > 0) return;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        // Retention has overtaken us, or the end is gone, which the tail will see.
        this.#count = undefined;
        await refresh();
        if (kept.from.offset <= offset) await source.wait(waitMs(0));
        return;
      }
      if (empty >= EMPTY_MAX)
        throw source.refusal("reading", new Error(`nothing comes before offset ${head().offset}`));
      await source.wait(waitMs(empty));
    }
  }

  /** No more than is given next: of the places before records the last ones are remembered. */
  #countRest(maxBytes: number): void {
    const { head, positions } = this.#from;
    const count = this.#count;
    if (count === undefined) return;
    const end = head().offset;
    let taken = 0;
    let bytes = 0;
    for (const one of this.#rest) {
      if (one.offset >= end || bytes > maxBytes) break;
      taken += 1;
      const records = count.take(one);
      const [first] = records;
      if (first !== undefined) this.places.note(markOf(first));
      for (const record of records) {
        if (record.first + record.count <= this.#position) continue;
        this.#counted.push(record);
        bytes += record.sizeBytes;
      }
    }
    // Offsets before the head that nothing has.
    if (taken === 0 && this.#rest.length > 0) this.#count = new Count(positions, head());
    this.#rest.splice(0, taken);
  }

  #give(maxBytes: number): readonly PartitionRecord[] {
    let bytes = 0;
    let count = 0;
    for (const { sizeBytes } of this.#counted) {
      bytes += sizeBytes;
      if (bytes > maxBytes && count > 0) break;
      count += 1;
    }
    const records = this.#counted.splice(0, count).map((record) => {
      const duplicates = this.#from.kept.duplicatesOf(record);
      return duplicates === undefined ? record : { ...record, duplicates };
    });
    const last = records.at(-1) as PartitionRecord;
    this.#position = last.first + last.count;
    return records;
  }
}
