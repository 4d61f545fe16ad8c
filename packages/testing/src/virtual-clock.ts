import type { Clock, Timer } from "@waybill/core";

interface Pending {
  readonly dueAt: number;
  readonly order: number;
  readonly run: () => void;
}

/** 2026-01-01T00:00:00Z: any fixed instant will do. */
const START_MS = 1_767_225_600_000;
/** Turns of the microtask queue after which code that only awaits promises has settled. */
const SETTLE_TURNS = 300;
/** As many times that, before it is sure that nothing goes on without a timer. */
const SETTLES_MAX = 100;

/**
 * A clock that moves only when the test moves it. Timers run in order of time, then of creation;
 * promises settle in between.
 */
export class VirtualClock implements Clock {
  #elapsedMs = 0;
  #wallOffsetMs: number;
  #order = 0;
  readonly #settleTurns: number;
  readonly #pending = new Set<Pending>();

  /** `settleTurns`: fewer are faster, where the code under test is known to need no more. */
  constructor(startMs: number = START_MS, settleTurns: number = SETTLE_TURNS) {
    this.#wallOffsetMs = startMs;
    this.#settleTurns = settleTurns;
  }

  now(): number {
    return Math.floor(this.#wallOffsetMs + this.#elapsedMs);
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const pending = { dueAt: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#pending.size;
  }

  /**
   * Lets `ms` pass: every timer that comes due runs at its time, and what it sets off settles
   * before the next.
   */
  async advance(ms: number): Promise<void> {
    const until = this.#elapsedMs + ms;
    await settle(this.#settleTurns);
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#elapsedMs = next.dueAt;
      this.#pending.delete(next);
      next.run();
      await settle(this.#settleTurns);
    }
    this.#elapsedMs = until;
  }

  /** Advances in steps until `done` holds. **Errors**: after `maxMs` it gives up. */
  async until(done: () => boolean, maxMs = 3_600_000): Promise<void> {
    const deadline = this.#elapsedMs + maxMs;
    await settle(this.#settleTurns);
    for (let settles = 1; !done(); ) {
      const next = this.#next(deadline);
      if (next === undefined && settles < SETTLES_MAX) {
        await settle(this.#settleTurns);
        settles += 1;
        continue;
      }
      if (next === undefined) throw new Error(`nothing happened within ${maxMs} virtual ms that would end the wait`);
      settles = 1;
      await this.advance(next.dueAt - this.#elapsedMs);
    }
  }

  /** Moves the wall clock alone, as an administrator or NTP does. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  #next(until: number): Pending | undefined {
    let next: Pending | undefined;
    for (const pending of this.#pending) {
      if (pending.dueAt > until) continue;
      if (
        next === undefined ||
        pending.dueAt < next.dueAt ||
        (pending.dueAt === next.dueAt && pending.order < next.order)
      )
        next = pending;
    }
    return next;
  }
}

/** Lets promises that wait for nothing real run to their end. */
export async function settle(turns: number = SETTLE_TURNS): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
}
