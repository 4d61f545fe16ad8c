import type { Batch, Outcome } from "./delivery.ts";

/** A leased batch on its way. */
export interface Flight {
  readonly batch: Batch;
  /** As far as there are any. */
  outcomes: readonly Outcome[] | undefined;
  /** It backs off. */
  waiting: boolean;
  /** Aborted: no further attempt is begun. */
  readonly soon: AbortController;
  /** Aborted: the attempt ends too. */
  readonly now: AbortController;
}

/** What a lane has on its way. */
export class Flights {
  readonly #all = new Set<Flight>();
  events = 0;
  bytes = 0;

  get size(): number {
    return this.#all.size;
  }

  /** Whether nothing moves: each backs off. */
  get waiting(): boolean {
    let waiting = this.size > 0;
    for (const flight of this.#all) waiting &&= flight.waiting;
    return waiting;
  }

  add(flight: Flight): void {
    this.#all.add(flight);
    this.#count(flight, 1);
  }

  delete(flight: Flight): void {
    if (this.#all.delete(flight)) this.#count(flight, -1);
  }

  /** All finish their attempts and begin no other; or end them too. */
  abort(when: "soon" | "now"): void {
    for (const flight of this.#all) flight[when].abort();
  }

  #count({ batch }: Flight, sign: number): void {
    this.events += sign * batch.count;
    this.bytes += sign * batch.bytes;
  }
}

export function flightOf(batch: Batch): Flight {
  return { batch, outcomes: undefined, waiting: false, soon: new AbortController(), now: new AbortController() };
}

interface Waiter {
  readonly target: number;
  readonly resolve: () => void;
}

/** Who waits until a lane has settled what was there. */
export class Flushes {
  #waiters: Waiter[] = [];

  get size(): number {
    return this.#waiters.length;
  }

  /** Resolves when everything before `target` is done with. */
  wait(target: number): Promise<void> {
    return new Promise((resolve) => this.#waiters.push({ target, resolve }));
  }

  /** Everything before `done` is done with, or cannot be for now. */
  resolve(done: number): void {
    this.#waiters = this.#waiters.filter(({ target, resolve }) => {
      if (target <= done) resolve();
      return target > done;
    });
  }
}
