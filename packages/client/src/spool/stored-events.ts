import type { Position } from "@waybill/log";
import type { Captured } from "../captured.ts";

/** Dead references are swept out when there are so many more than after the last sweep. */
const SWEEP_AFTER = 10_000;

/**
 * The events that are on disk. Held weakly: a backlog of millions costs no memory here, unless the
 * application itself keeps the handles, or waits for them.
 */
export class StoredEvents {
  readonly #refs = new Map<Position, WeakRef<Captured>>();
  #sweepAt = SWEEP_AFTER;

  /** Of events that were appended, the first one at `first`. */
  add(first: Position, events: readonly Captured[]): void {
    for (const [index, event] of events.entries()) this.#refs.set(first + index, new WeakRef(event));
    if (this.#refs.size < this.#sweepAt) return;
    for (const [position, ref] of this.#refs) if (ref.deref() === undefined) this.#refs.delete(position);
    this.#sweepAt = 2 * this.#refs.size + SWEEP_AFTER;
  }

  /** `undefined` for an event of an earlier process, and for one that is no longer needed. */
  at(position: Position): Captured | undefined {
    return this.#refs.get(position)?.deref();
  }

  forget(position: Position): void {
    this.#refs.delete(position);
  }
}
