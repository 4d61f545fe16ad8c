/**
 * The newest records of a partition, which were read or written here a moment ago: who delivers
 * them need not fetch them once more, however many destinations there are.
 */
import type { Offset } from "./broker.ts";
import type { ReadRecord } from "./source.ts";

export class Recent {
  readonly #maxBytes: number;
  #records: ReadRecord[] = [];
  #bytes = 0;
  /** All that the partition has from there on is here. */
  #from: Offset = 0;

  /** Of memory that the records keep, that of others beside them included. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** All records from `from` on, which comes after all that is here. */
  add(records: readonly ReadRecord[], from: Offset): void {
    if (this.#records.length === 0) this.#from = from;
    for (const record of records) {
      if (memoryOf(record) !== memoryOf(this.#records.at(-1))) this.#bytes += sizeOf(record);
      this.#records.push(record);
    }
    let dropped = 0;
    while (this.#bytes > this.#maxBytes) {
      const record = this.#records[dropped];
      dropped += 1;
      if (memoryOf(record) !== memoryOf(this.#records[dropped])) this.#bytes -= sizeOf(record);
    }
    const last = this.#records[dropped - 1];
    if (last !== undefined) this.#from = last.offset + 1;
    this.#records.splice(0, dropped);
  }

  /** Those from an offset on, up to so many bytes but one at least; `undefined`: none is known. */
  read(offset: Offset, maxBytes: number): ReadRecord[] | undefined {
    if (offset < this.#from) return undefined;
    const start = this.#placeOf(offset);
    let end = start;
    for (let bytes = 0; end < this.#records.length; end++) {
      for (const { sizeBytes } of (this.#records[end] as ReadRecord).records) bytes += sizeBytes;
      if (bytes > maxBytes && end > start) break;
    }
    return end === start ? undefined : this.#records.slice(start, end);
  }

  #placeOf(offset: Offset): number {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#records[middle] as ReadRecord).offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Of a value that is not ours nothing is kept. */
function memoryOf(record: ReadRecord | undefined): ArrayBufferLike | undefined {
  return record?.records[0]?.body.buffer;
}

function sizeOf(record: ReadRecord | undefined): number {
  return memoryOf(record)?.byteLength ?? 0;
}
