/** Whose the events of a stored record are, as numbers. */
import { OrderReader } from "./order-reader.ts";
import type { ReadyTable } from "./order-table.ts";

/** A record of the log, as far as it matters here. */
export interface OrderRecord {
  /** The serialised events separated by commas; white space may be around each. */
  readonly body: Uint8Array;
  /** For each event the byte of `body` after its last one. */
  readonly ends: Uint32Array;
  readonly metadata: string;
}

export interface OrderHashes {
  /** The order hash of each event's key; 0 for nobody's, and for what cannot be read. */
  readonly hashes: Uint32Array;
  /**
   * The order hash of the other id that an event ties to its key, where they differ; 0 for an event
   * that ties none. `undefined`: none of the record does.
   */
  readonly ties: Uint32Array | undefined;
}

/**
 * Finds members of the events of a record, faster than {@link OrderReader}: for each event, of each
 * name, the start and the end of its last value, -1 for none; overwritten by the next call.
 * `undefined` where something is unusual. Must find what the reader would.
 */
export type MemberScan = (record: Omit<OrderRecord, "metadata">, names: readonly string[]) => Int32Array | undefined;

/** Never throws, whatever the bytes are. */
export function readOrderHashes(record: OrderRecord, table: ReadyTable, scan?: MemberScan): OrderHashes {
  const { body, ends, metadata } = record;
  const found = table.members === undefined ? undefined : scan?.(record, table.members);
  const hashes = new Uint32Array(ends.length);
  let ties: Uint32Array | undefined;
  const tieOf = createTieOf(table, metadata);
  const reader = new OrderReader(body, table);
  for (let index = 0; index < ends.length; index++) {
    const start = index === 0 ? 0 : (ends[index - 1] as number) + 1;
    if (found !== undefined) reader.take(found, index);
    else if (!reader.read(start, ends[index] as number)) continue;
    const tie = tieOf(reader);
    const hash = reader.hash(tie?.key ?? table.key, 0);
    hashes[index] = hash;
    const other = tie === undefined || hash === 0 ? 0 : reader.hash(tie.other, hash);
    if (other === 0) continue;
    ties ??= new Uint32Array(ends.length);
    ties[index] = other;
  }
  return { hashes, ties };
}

/** The key of one event as a text; `undefined` for nobody's. Never throws. */
export function readOrderKey(event: Uint8Array, metadata: string, table: ReadyTable): string | undefined {
  const reader = new OrderReader(event, table);
  if (!reader.read(0, event.length)) return undefined;
  return reader.text(createTieOf(table, metadata)(reader)?.key ?? table.key);
}

type Tie = ReadyTable["ties"][number];

/** Which tie the event at hand of a reader is, in a record of this metadata. */
function createTieOf({ ties, type }: ReadyTable, metadata: string): (reader: OrderReader) => Tie | undefined {
  const ofAll = ties.find((tie) => tie.metadata !== undefined && metadata.startsWith(tie.metadata));
  return (reader) => {
    if (ofAll !== undefined || type < 0) return ofAll;
    for (const tie of ties) if (reader.isOneOf(type, tie.types)) return tie;
    return undefined;
  };
}
