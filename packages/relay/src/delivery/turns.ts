import type { Clock } from "@waybill/core";
import { defer } from "@waybill/node";

/** Then others have their turn. */
const TURN_MS = 5;

/** Work for a person to look at, in parts: ingest and delivery have their turn in between. */
export class Turns {
  readonly #clock: Clock;
  readonly #restMs: number;
  #began: number;

  /** `restMs`: after a turn of 5 ms, so that no more than a share of the time is taken. */
  constructor(clock: Clock, restMs = 0) {
    this.#clock = clock;
    this.#restMs = restMs;
    this.#began = clock.monotonic();
  }

  /** Rests when the turn is over. */
  async yield(): Promise<void> {
    if (this.#clock.monotonic() - this.#began < TURN_MS) return;
    await new Promise<void>((resolve) => {
      if (this.#restMs === 0) defer(resolve);
      else this.#clock.after(this.#restMs, resolve);
    });
    this.#began = this.#clock.monotonic();
  }
}
