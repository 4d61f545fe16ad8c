import type { Batch } from "@waybill/core";
import type { LogBatch } from "../batch.ts";
import type { Position } from "../types.ts";
import type { ParkedUser } from "./parked.ts";
import type { Strand } from "./strands.ts";

/** A batch on its way: of a strand, or of a parked user. */
export interface Lease {
  readonly strand: Strand | undefined;
  readonly user: ParkedUser | undefined;
  readonly atMs: number;
  /** It still has to be written down. */
  planning: boolean;
  /** That it could have had. */
  readonly maxEvents: number;
}

/** The batches of a lane that are on their way. */
export class Leases {
  readonly #all = new Map<Batch, Lease>();
  /** That were leased when their events were skipped. */
  readonly #givenBack = new WeakSet<Batch>();
  /** Of those that strands have leased. */
  events = 0;
  bytes = 0;

  get size(): number {
    return this.#all.size;
  }

  get(batch: Batch): Lease | undefined {
    return this.#all.get(batch);
  }

  add(batch: LogBatch, lease: Lease): void {
    this.#all.set(batch, lease);
    if (lease.strand !== undefined) this.#count(batch, 1);
  }

  delete(batch: Batch): void {
    if (this.#all.get(batch)?.strand !== undefined) this.#count(batch, -1);
    this.#all.delete(batch);
  }

  /** Ends those that begin before `to`. Whatever becomes of such a batch does not count. */
  giveBack(to: Position): readonly LogBatch[] {
    const batches = ([...this.#all.keys()] as LogBatch[]).filter(({ first }) => first < to);
    for (const batch of batches) {
      const user = this.#all.get(batch)?.user;
      if (user !== undefined) user.leased = 0;
      this.delete(batch);
      this.#givenBack.add(batch);
    }
    return batches;
  }

  isGivenBack(batch: Batch): boolean {
    return this.#givenBack.has(batch);
  }

  #count({ count, bytes }: Batch, sign: number): void {
    this.events += sign * count;
    this.bytes += sign * bytes;
  }
}
