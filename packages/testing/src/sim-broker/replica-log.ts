import type { Offset } from "@waybill/log-kafka";

/** What one produce call has written: kept as a whole, and fetched as a whole. */
export interface Batch {
  readonly appendedAtMs: number;
  /** As a broker counts them. */
  readonly bytes: number;
}

/** A record of a partition. All replicas that have it share the object. */
export interface StoredRecord {
  /** One object for all its records. */
  readonly batch: Batch;
  readonly key?: string | undefined;
  readonly value: Uint8Array;
  /** Compaction has taken it, at each replica: its offset stays empty. */
  isGone?: boolean;
  /** What happens once all in-sync replicas have it: a coordinator's records. */
  readonly apply?: () => void;
}

/** The records of one partition that one broker has. */
export class ReplicaLog {
  #first: Offset = 0;
  readonly #records: StoredRecord[] = [];

  get first(): Offset {
    return this.#first;
  }

  /** The offset that the next record gets. */
  get end(): Offset {
    return this.#first + this.#records.length;
  }

  at(offset: Offset): StoredRecord | undefined {
    return this.#records[offset - this.#first];
  }

  append(record: StoredRecord): void {
    this.#records.push(record);
  }

  /** Forgets what comes from `end` on, with all of the batch that `end` is within. */
  truncate(end: Offset): void {
    let keep = Math.max(this.#first, Math.min(this.end, end));
    while (keep > this.#first && this.at(keep)?.batch === this.at(keep - 1)?.batch) keep -= 1;
    this.#records.length = keep - this.#first;
  }

  /** Forgets what comes before `first`. */
  trim(first: Offset): void {
    if (first <= this.#first) return;
    this.#records.splice(0, first - this.#first);
    this.#first = first;
  }

  /** Becomes what the leader has: what the leader never had goes. */
  follow(leader: ReplicaLog): void {
    this.trim(leader.first);
    let common = Math.min(this.end, leader.end);
    while (common > this.#first && this.at(common - 1) !== leader.at(common - 1)) common -= 1;
    this.truncate(common);
    for (let next = leader.at(common); next !== undefined; next = leader.at(common)) {
      this.append(next);
      common += 1;
    }
  }
}
