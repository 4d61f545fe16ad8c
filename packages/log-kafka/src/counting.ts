/**
 * How the records of a partition get their positions.
 *
 * - `counted` (the topic of an environment, many writers): the position of an event is how many
 *   events came before it. A record that does not decode has none: it counts as no event and no
 *   byte. Counting may begin at any place whose position is known.
 * - `written` (companion topics, one writer): a value tells its position, which was the head when
 *   it was written. One that tells a position before the head is not counted: it is a copy that a
 *   repeated produce call left, or comes from an owner that was replaced meanwhile. So of two
 *   values for one position the first one in the log counts, for every reader, and as a whole.
 */
import type { Position } from "@waybill/log";
import type { Offset } from "./broker.ts";
import type { StoredRecord } from "./record-value.ts";
import type { ReadRecord } from "./source.ts";

/** Between two records: the next offset, and how many events and bytes of values came before. */
export interface Checkpoint {
  readonly offset: Offset;
  readonly position: Position;
  /** May be negative in companion topics: bytes are counted from where the log was opened. */
  readonly byte: number;
}

export const BEGINNING: Checkpoint = { offset: 0, position: 0, byte: 0 };

export type Positions = "counted" | "written";

export interface PartitionRecord extends StoredRecord {
  /** Where it begins among all bytes. */
  readonly byte: number;
  readonly offset: Offset;
  /** By the broker's clock, epoch ms. */
  readonly appendedAtMs: number;
}

export class Count {
  readonly #positions: Positions;
  #place: Checkpoint;

  constructor(positions: Positions, place: Checkpoint) {
    this.#positions = positions;
    this.#place = place;
  }

  /** After all that was taken. */
  get place(): Checkpoint {
    return this.#place;
  }

  /** The records of the next value, with their positions; none when they do not count. */
  take({ offset, appendedAtMs, records }: ReadRecord): readonly PartitionRecord[] {
    const written = this.#positions === "written" ? (records[0]?.first ?? 0) : undefined;
    let { position, byte } = this.#place;
    const taken: PartitionRecord[] = [];
    if (written === undefined || written >= position) {
      position = written ?? position;
      for (const record of records) {
        taken.push(placed(record, { offset, position, byte }, appendedAtMs));
        position += record.count;
        byte += record.sizeBytes;
      }
    }
    this.#place = { offset: offset + 1, position: taken.length > 0 ? position : this.#place.position, byte };
    return taken;
  }
}

/** All members one by one: to spread a record costs more than all else that is done with it. */
function placed(record: StoredRecord, { offset, position, byte }: Checkpoint, appendedAtMs: number): PartitionRecord {
  const { count, source, receivedAtMs, metadata, body, ends, sizeBytes, numbered } = record;
  const one = {
    first: position,
    count,
    source,
    receivedAtMs,
    metadata,
    body,
    ends,
    sizeBytes,
    byte,
    offset,
    appendedAtMs,
  };
  return numbered === undefined ? one : { ...one, numbered };
}
