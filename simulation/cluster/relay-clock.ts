/** The clock of one process: it may be stopped with it, and ends with it. */
import type { Clock, Timer } from "@waybill/core";

/**
 * How a process is stopped: as by SIGSTOP, where time goes on without it, or as with the machine
 * that it is on, which knows of no time that has passed.
 */
export type Stop = "process" | "machine";

interface Waiting {
  /** By this clock's own time. */
  readonly dueAt: number;
  readonly run: () => void;
  timer: Timer | undefined;
}

/**
 * Without it a timer may come before its time by what the differences of fractions are rounded by:
 * who then waits for the rest waits for ever, as no time passes.
 */
const EARLY_MS = 1e-6;

export class RelayClock implements Clock {
  readonly #base: Clock;
  /** In the order in which they were begun. */
  readonly #waiting = new Set<Waiting>();
  readonly #whenRunning: (() => void)[] = [];
  #lostMs = 0;
  #stopped: { readonly how: Stop; readonly at: number } | undefined;
  #isAlive = true;

  constructor(base: Clock) {
    this.#base = base;
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  now(): number {
    return this.#base.now();
  }

  monotonic(): number {
    return (this.#stopped?.at ?? this.#base.monotonic()) - this.#lostMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const waiting: Waiting = { dueAt: this.monotonic() + delayMs, run, timer: undefined };
    this.#waiting.add(waiting);
    this.#begin(waiting);
    return {
      cancel: () => {
        this.#waiting.delete(waiting);
        waiting.timer?.cancel();
      },
    };
  }

  #begin(waiting: Waiting): void {
    if (this.#stopped !== undefined) return;
    waiting.timer = this.#base.after(waiting.dueAt - this.monotonic() + EARLY_MS, () => {
      this.#waiting.delete(waiting);
      if (this.#isAlive) waiting.run();
    });
  }

  stop(how: Stop): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = { how, at: this.#base.monotonic() };
    for (const { timer } of this.#waiting) timer?.cancel();
  }

  go(): void {
    const stopped = this.#stopped;
    if (stopped === undefined) return;
    this.#stopped = undefined;
    if (stopped.how === "machine") this.#lostMs += this.#base.monotonic() - stopped.at;
    for (const waiting of this.#waiting) this.#begin(waiting);
    for (const run of this.#whenRunning.splice(0)) run();
  }

  end(): void {
    this.#isAlive = false;
    for (const { timer } of this.#waiting) timer?.cancel();
    this.#waiting.clear();
  }

  /** Resolves once the process runs; never when it ends before. */
  running(): Promise<void> {
    if (!this.#isAlive) return new Promise(() => undefined);
    if (this.#stopped === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#whenRunning.push(() => this.#isAlive && resolve()));
  }
}
