/**
 * How much one user or device of Amplitude's has sent lately: over a window of seconds, and over a
 * day.
 */

/** Sums of amounts per name over a window that moves in steps. */
export class SlidingSums {
  readonly #windowMs: number;
  readonly #stepMs: number;
  readonly #steps = new Map<string, Map<number, number>>();

  constructor(windowMs: number, stepMs: number) {
    this.#windowMs = windowMs;
    this.#stepMs = stepMs;
  }

  add(name: string, amount: number, nowMs: number): void {
    const step = Math.floor(nowMs / this.#stepMs);
    const steps = this.#steps.get(name) ?? new Map<number, number>();
    steps.set(step, (steps.get(step) ?? 0) + amount);
    this.#steps.set(name, steps);
  }

  sum(name: string, nowMs: number): number {
    const steps = this.#steps.get(name);
    if (steps === undefined) return 0;
    const oldest = Math.floor((nowMs - this.#windowMs) / this.#stepMs);
    let sum = 0;
    for (const [step, amount] of steps) {
      if (step > oldest) sum += amount;
      else steps.delete(step);
    }
    return sum;
  }
}
