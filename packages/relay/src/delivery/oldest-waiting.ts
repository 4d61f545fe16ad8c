/**
 * When the first waiting event of a lane came in, where the lane does not know: one that is paused
 * or halted has nothing in memory. Read from the log once for each position, in the background: the
 * next look shows it.
 */
import type { LaneMode, Pending } from "@waybill/core";
import type { Log, LogStore, Position } from "@waybill/log";
import { recordAt } from "./record-at.ts";

export class OldestWaiting {
  readonly #log: Log;
  readonly #store: LogStore;
  #position: Position = -1;
  #receivedAtMs: number | undefined;
  #isLooking = false;

  constructor(log: Log, store: LogStore) {
    this.#log = log;
    this.#store = store;
  }

  /**
   * What waits; its bytes are those of the log from the first such event on. Of a lane that goes on
   * what comes next is in memory soon.
   */
  pending(mode: LaneMode): Pending {
    const { events, oldestAtMs } = this.#store.pending();
    if (events === 0) return { events, bytes: 0, oldestAtMs };
    const isAtRest = mode === "paused" || mode === "halted" || mode === "failed";
    // The store may know no more than when the log's first segment began.
    const readAtMs = isAtRest ? this.#atMs(this.#store.neededFrom) : undefined;
    return { events, bytes: this.#store.lagBytes, oldestAtMs: readAtMs ?? oldestAtMs };
  }

  /** Of the event at `position`; epoch ms. */
  #atMs(position: Position): number | undefined {
    if (position !== this.#position) this.#receivedAtMs = undefined;
    this.#position = position;
    if (this.#receivedAtMs === undefined && !this.#isLooking) void this.#look(position);
    return this.#receivedAtMs;
  }

  /** Never rejects: what cannot be read is not known. */
  async #look(position: Position): Promise<void> {
    this.#isLooking = true;
    const record = await recordAt(this.#log, position).catch(() => undefined);
    this.#isLooking = false;
    if (position === this.#position) this.#receivedAtMs = record?.receivedAtMs;
  }
}
