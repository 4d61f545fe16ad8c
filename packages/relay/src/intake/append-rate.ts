import type { Clock } from "@waybill/core";

/** A burst of a minute says little of the hours to come; yesterday says little of today. */
const HALF_LIFE_MS = 5 * 60_000;
const SECOND_MS = 1_000;

/** How fast a log grows: a mean in which five minutes ago weighs half. */
export class AppendRate {
  readonly #clock: Clock;
  #bytes: number;
  #atMs: number;
  #bytesPerMs = 0;
  #weight = 0;

  constructor(clock: Clock, bytes: number) {
    this.#clock = clock;
    this.#bytes = bytes;
    this.#atMs = clock.monotonic();
  }

  /** The log has `bytes` now. */
  note(bytes: number): void {
    const elapsedMs = this.#clock.monotonic() - this.#atMs;
    if (elapsedMs < SECOND_MS / 2) return;
    const kept = 0.5 ** (elapsedMs / HALF_LIFE_MS);
    const rate = (bytes - this.#bytes) / elapsedMs;
    // The first measurements would else be a mean with the zero it began with.
    this.#bytesPerMs = (this.#bytesPerMs * this.#weight * kept + rate * (1 - kept)) / (this.#weight * kept + 1 - kept);
    this.#weight = this.#weight * kept + 1 - kept;
    this.#bytes = bytes;
    this.#atMs += elapsedMs;
  }

  /** Milliseconds until it has grown by `bytes` at this rate; `undefined` when it does not grow. */
  timeToGrow(bytes: number): number | undefined {
    if (this.#bytesPerMs <= 0 || bytes === Number.POSITIVE_INFINITY) return undefined;
    return Math.max(0, Math.round(bytes / this.#bytesPerMs));
  }
}
