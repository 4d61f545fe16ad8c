import type { Clock } from "@waybill/core";
import { defer } from "@waybill/node";

/** Then others have their turn. */
const TURN_MS = 5;
/** After a piece of work so much is left to others, however long it took. */
const REST_MAX_MS = 20;
/** Less is not worth a timer. */
const REST_MIN_MS = 1;

/**
 * Who works for a person to look at: one at a time begins, and after it others have as much time
 * as it took. However many look at once, half of the time is left to ingest and delivery.
 */
export class SharedTurns {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #isBusy = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the caller may work, for {@link TURN_MS} at most if it can be in parts. */
  async turn(): Promise<void> {
    if (this.#isBusy) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#isBusy = true;
    const began = this.#clock.monotonic();
    // What the caller does before it waits for something is done by then.
    defer(() => {
      const workedMs = this.#clock.monotonic() - began;
      if (workedMs < REST_MIN_MS) this.#next();
      else this.#clock.after(Math.min(workedMs, REST_MAX_MS), () => this.#next());
    });
  }

  #next(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#isBusy = false;
    else next();
  }
}

interface TurnsOptions {
  /** With which others. Default: alone. */
  readonly shared?: SharedTurns | undefined;
  /** After a turn, beside what is left to others anyway. Default 0. */
  readonly restMs?: number;
}

/** Work in parts: ingest and delivery have their turn in between. */
export class Turns {
  readonly #clock: Clock;
  readonly #shared: SharedTurns;
  readonly #restMs: number;
  #began: number;

  constructor(clock: Clock, { shared = new SharedTurns(clock), restMs = 0 }: TurnsOptions = {}) {
    this.#clock = clock;
    this.#shared = shared;
    this.#restMs = restMs;
    this.#began = clock.monotonic();
  }

  /** Rests when the turn is over. */
  async yield(): Promise<void> {
    if (this.#clock.monotonic() - this.#began < TURN_MS) return;
    if (this.#restMs > 0) await new Promise<void>((resolve) => void this.#clock.after(this.#restMs, resolve));
    await this.#shared.turn();
    this.#began = this.#clock.monotonic();
  }
}
