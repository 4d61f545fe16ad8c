import type { Random } from "@waybill/core";

/** What may go wrong with one request, each with its probability (0..1). */
export interface ClusterFaults {
  /** No connection: `unreachable`, nothing is done. */
  readonly refuse?: number;
  /** Neither broker nor relay hears of it any more: `timeout`, nothing is done. */
  readonly stuck?: number;
  /** The answer is lost: `unreachable` or `timeout`, and it is done. */
  readonly loseAnswer?: number;
  /** It reaches the broker after the deadline: `timeout`, and it is done later. */
  readonly late?: number;
  /** A produce or commit call reaches the broker twice, the second time by another connection. */
  readonly duplicate?: number;
  /** The answer takes up to two seconds more. */
  readonly slow?: number;
}

/**
 * How a relay learns that it does not reach a broker: at once, or by its deadline. "deaf": brokers
 * hear it and do what it asks for, and no answer comes back.
 */
export type Isolation = "refused" | "silent" | "deaf";

/** What is broken between relays and brokers now, and how often what was. */
export class FaultState {
  /** Faults that were injected, by kind. */
  readonly injected: Map<string, number> = new Map();
  chances: ClusterFaults = {};
  /** No broker has room for a record. */
  isFull = false;
  readonly #random: Random;
  readonly #isolated = new Map<string, Map<number, Isolation>>();
  readonly #paused = new Map<string, (() => void)[]>();

  constructor(random: Random) {
    this.#random = random;
  }

  count(kind: string): void {
    this.injected.set(kind, (this.injected.get(kind) ?? 0) + 1);
  }

  strikes(kind: keyof ClusterFaults): boolean {
    const probability = this.chances[kind];
    if (probability === undefined || this.#random.next() >= probability) return false;
    this.count(kind);
    return true;
  }

  isolate(relay: string, brokers: readonly number[], how: Isolation): void {
    const known = this.#isolated.get(relay) ?? new Map<number, Isolation>();
    for (const broker of brokers) known.set(broker, how);
    this.#isolated.set(relay, known);
  }

  rejoin(relay: string): void {
    this.#isolated.delete(relay);
  }

  isolation(relay: string, broker: number): Isolation | undefined {
    return this.#isolated.get(relay)?.get(broker);
  }

  pause(relay: string): void {
    if (!this.#paused.has(relay)) this.#paused.set(relay, []);
  }

  resume(relay: string): void {
    const waiting = this.#paused.get(relay) ?? [];
    this.#paused.delete(relay);
    for (const act of waiting) act();
  }

  /** Runs it once the relay runs. */
  whenRunning(relay: string, act: () => void): void {
    const waiting = this.#paused.get(relay);
    if (waiting === undefined) act();
    else waiting.push(act);
  }
}
