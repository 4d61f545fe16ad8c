import type { LogRecord, Position } from "../types.ts";

/** Of each event of a record; 0 for none. */
export interface OrderHashes {
  /** Events of equal hash keep their order; those without one keep none. */
  readonly hashes: Uint32Array;
  /** Whose earlier events it has to wait for as well: of an id that it ties to its user. */
  readonly ties: Uint32Array | undefined;
}

/** Whose events they are. Must be the same in every version: states are made by it. */
export type OrderOf = (record: LogRecord) => OrderHashes;

/** `user`: by the order hash. `arrival`: all as one. `none`: each record on its own. */
export type EventOrder = "user" | "arrival" | "none";

/** Which events have to wait for which, by their order hashes; those are read once a record. */
export class OrderReader {
  readonly #hashes = new WeakMap<LogRecord, OrderHashes>();
  readonly #orderOf: () => OrderOf | undefined;
  #last: { readonly record: LogRecord; readonly hashes: OrderHashes } | undefined;
  /** What the strands are made by. */
  order: EventOrder;

  constructor(order: EventOrder, orderOf: () => OrderOf | undefined) {
    this.order = order;
    this.#orderOf = orderOf;
  }

  /** The order hash of an event: its user's, or one of its own. Never 0. */
  hashAt(record: LogRecord, at: number): number {
    const hash = this.order === "none" ? 0 : this.#of(record)?.hashes[at];
    return hash || mixed(record.first + at);
  }

  /** Which strand it is in: where there is no order, records stay whole. */
  strandHashAt(record: LogRecord, at: number): number {
    return this.order === "none" ? mixed(record.first) : this.hashAt(record, at);
  }

  tieAt(record: LogRecord, at: number): number {
    return this.hasTies(record) ? (this.#of(record)?.ties?.[at] ?? 0) : 0;
  }

  hasTies(record: LogRecord): boolean {
    return this.order !== "none" && this.#of(record)?.ties !== undefined;
  }

  #of(record: LogRecord): OrderHashes | undefined {
    // Mostly it is the record of the event before.
    if (record === this.#last?.record) return this.#last.hashes;
    const hashes = this.#hashes.get(record) ?? this.#orderOf()?.(record);
    if (hashes === undefined) return undefined;
    this.#hashes.set(record, hashes);
    this.#last = { record, hashes };
    return hashes;
  }
}

/** Spreads positions over the strands. */
function mixed(position: Position): number {
  let hash = Math.imul(position ^ Math.floor(position / 2 ** 32), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0 || 1;
}
