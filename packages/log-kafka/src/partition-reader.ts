import type { Cursor, LogReader, LogRecord, Position } from "@waybill/log";
import { BrokerError, type Offset } from "./broker.ts";
import { type Checkpoint, Count, type PartitionRecord, type Positions } from "./counting.ts";
import type { Kept } from "./kept.ts";
import { Places } from "./places.ts";
import { type ReadRecord, type Source, waitMs } from "./source.ts";

/** A broker that answers nothing where there was something is asked again so often. */
const EMPTY_MAX = 20;

export interface ReadFrom {
  readonly source: Source;
  readonly kept: Kept;
  readonly positions: Positions;
  /** Nothing after it is read: what follows was not counted yet. */
  readonly head: () => Checkpoint;
  /** The broker may have removed records: looks. */
  readonly refresh: () => Promise<void>;
  /** **Errors**: why nothing can be read any more. */
  readonly check: () => void;
  readonly onClose: () => void;
}

/** Reads with its own calls, independent of the tail and of other readers. */
export class PartitionReader implements LogReader {
  readonly #from: ReadFrom;
  /** Of the records read last, one by one. */
  readonly places: Places = new Places(Number.POSITIVE_INFINITY);
  #position: Position;
  #byte: number;
  #count: Count | undefined;
  /** Fetched and not given yet. */
  #rest: ReadRecord[] = [];

  constructor(from: ReadFrom, begin: { readonly position: Position; readonly byte?: number }) {
    this.#from = from;
    this.#position = begin.position;
    this.#byte = begin.byte ?? 0;
  }

  get cursor(): Cursor {
    return { position: this.#position, byte: this.#count?.place.byte ?? this.#byte };
  }

  /** **Errors**: `WAYBILL_TRANSPORT` (retryable: the same call goes on), `WAYBILL_CLOSED`. */
  async read(maxBytes: number): Promise<readonly LogRecord[]> {
    const { head, check } = this.#from;
    for (;;) {
      check();
      this.#forgetRemoved();
      this.#count ??= await this.#seek();
      // None is passed over: whoever reads takes what is missing for damaged.
      if (this.#count.place.offset >= head().offset) return [];
      if (this.#rest.length === 0) await this.#fetch(this.#count.place.offset, maxBytes);
      const records = this.#take(maxBytes);
      const last = records.at(-1);
      if (last === undefined) continue;
      this.#position = last.first + last.count;
      return records;
    }
  }

  close(): Promise<void> {
    this.#from.onClose();
    this.#rest = [];
    return Promise.resolve();
  }

  /** Also what was fetched and not given. */
  #forgetRemoved(): void {
    const { kept } = this.#from;
    if (this.#count === undefined || this.#count.place.offset >= kept.from.offset) return;
    this.#count = undefined;
    this.#rest = [];
  }

  async #seek(): Promise<Count> {
    const { kept, positions } = this.#from;
    await kept.ensure(this.#position);
    return new Count(positions, kept.placeFor(this.#position));
  }

  async #fetch(offset: Offset, maxBytes: number): Promise<void> {
    const { source, kept, head, refresh } = this.#from;
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

  #take(maxBytes: number): PartitionRecord[] {
    const { kept, head } = this.#from;
    const count = this.#count;
    const records: PartitionRecord[] = [];
    if (count === undefined) return records;
    const end = head().offset;
    let bytes = 0;
    let taken = 0;
    for (const one of this.#rest) {
      if (one.offset >= end) break;
      bytes += one.record?.sizeBytes ?? 0;
      if (bytes > maxBytes && records.length > 0) break;
      taken += 1;
      const { byte } = count.place;
      const record = count.take(one);
      if (record === undefined || record.first + record.count <= this.#position) continue;
      this.places.note({ offset: one.offset, position: record.first, byte, atMs: record.appendedAtMs });
      const duplicates = kept.duplicatesOf(record);
      records.push(duplicates === undefined ? record : { ...record, duplicates });
    }
    this.#rest.splice(0, taken);
    // Offsets before the head that nothing has.
    const next = this.#rest[0];
    if (taken === 0 && next !== undefined && next.offset >= end) this.#count = new Count(this.#from.positions, head());
    return records;
  }
}
