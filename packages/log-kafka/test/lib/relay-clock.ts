import type { Clock, Timer } from "@waybill/core";

/** The clock of one process, which may be stopped (SIGSTOP) and killed while time goes on. */
export class RelayClock implements Clock {
  readonly #clock: Clock;
  /** What came due while the process was stopped. */
  #due: (() => void)[] = [];
  #isStopped = false;
  #isDead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  after(delayMs: number, run: () => void): Timer {
    let isCanceled = false;
    const timer = this.#clock.after(delayMs, () => this.do(() => isCanceled || run()));
    return {
      cancel: () => {
        isCanceled = true;
        timer.cancel();
      },
    };
  }

  /** Does it when the process runs. */
  do(run: () => void): void {
    if (this.#isDead) return;
    if (this.#isStopped) this.#due.push(run);
    else run();
  }

  wait(ms: number): Promise<void> {
    return new Promise((resume) => void this.after(ms, resume));
  }

  stop(): void {
    this.#isStopped = true;
  }

  go(): void {
    this.#isStopped = false;
    for (const run of this.#due.splice(0)) run();
  }

  kill(): void {
    this.#isDead = true;
    this.#due = [];
  }
}
