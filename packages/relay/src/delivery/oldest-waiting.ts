/**
 * When the first waiting event of a lane came in, where the lane does not know: one that is paused
 * or halted has nothing in memory. Read from the log once for each position, in the background: the
 * next look shows it.
 */
import type { Log, Position } from "@waybill/log";
import { recordAt } from "./tracer.ts";

export class OldestWaiting {
  readonly #log: Log;
  #position: Position = -1;
  #receivedAtMs: number | undefined;
  #isLooking = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Of the event at `position`, or the first one after it that is there; epoch ms. */
  atMs(position: Position): number | undefined {
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
