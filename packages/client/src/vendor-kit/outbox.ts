/**
 * The queue of a vendor's own client: bounded, emptied one batch at a time in order, by count, by
 * interval or on request.
 *
 * After a batch could not be sent and was kept, nothing is sent on its own before the next
 * interval: a vendor that is down gets no requests again by every event.
 */
import { type Batch, type BatchLimits, createUuidV7, type Outcome, type Timer } from "@waybill/core";
import type { Host } from "../options.ts";
import { QueueStore } from "../queue-store.ts";
import { type Deliverer, type Delivery, failureOf } from "./deliverer.ts";

export interface OutboxOptions {
  readonly host: Host;
  readonly deliverer: Deliverer;
  readonly limits: BatchLimits;
  /** Sends when so many events wait. */
  readonly flushAt: number;
  /** Sends when the first event has waited so long; 0 for never. */
  readonly flushIntervalMs: number;
  readonly maxEvents: number;
  /**
   * What becomes of a batch that could not be sent now: kept in front, or lost. With `keep` no
   * failed batch, lost or kept, is followed by another one in the same drain.
   */
  readonly onFailure: "keep" | "lose";
  /** A batch that was sent by itself, not by {@link Outbox.drain}. Must not throw. */
  readonly onBackground: (delivery: Delivery, batch: Batch) => void;
}

export interface FinishOptions {
  /** Hears of every batch that was sent or given up. */
  readonly each: (delivery: Delivery, batch: Batch) => void;
  readonly waitMs: number;
  readonly lastMs: number;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #store: QueueStore;
  readonly #soon = new AbortController();
  readonly #now = new AbortController();
  #timer: Timer | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #sendsByItself = false;
  #stuck = false;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    const { clock, random } = options.host.runtime;
    const makeId = createUuidV7(clock, random);
    this.#store = new QueueStore({ makeKey: makeId, metadata: "", onSettled: () => undefined });
  }

  /** Events that wait, those on their way included. */
  get events(): number {
    return this.#store.events;
  }

  /** Takes an event; false when the queue is full. */
  push(text: string): boolean {
    const { host, maxEvents, flushAt } = this.#options;
    if (this.events >= maxEvents) return false;
    this.#store.push({ text, bytes: host.byteLength(text), atMs: host.runtime.clock.now() });
    this.#armTimer();
    if (this.events >= flushAt && !this.#stuck) this.#sendByItself(flushAt);
    return true;
  }

  /**
   * Sends until nothing waits, or a batch was kept; `each` hears of every batch. One call after
   * another. Never rejects.
   */
  drain(each: (delivery: Delivery, batch: Batch) => void): Promise<void> {
    return this.#enqueue(each, 1);
  }

  #enqueue(each: (delivery: Delivery, batch: Batch) => void, whileAtLeast: number): Promise<void> {
    const run = this.#tail.then(() => this.#drain(each, whileAtLeast));
    this.#tail = run;
    return run;
  }

  /** Nothing is sent by itself any more. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer();
  }

  /**
   * The end of a client: sends what waits. After `waitMs` each batch that is left has one attempt
   * more, without waiting; `lastMs` later everything is over, also with a transport that ignores
   * its signal. Gives the events that are left: not sent, or not answered. Never rejects.
   */
  async finish({ each, waitMs, lastMs }: FinishOptions): Promise<number> {
    this.close();
    const { clock } = this.#options.host.runtime;
    let timer: Timer | undefined;
    const over = new Promise<void>((resolve) => {
      const stop = (): void => {
        this.#now.abort();
        resolve();
      };
      const hurry = (): void => {
        this.#soon.abort();
        timer = clock.after(lastMs, stop, true);
      };
      timer = clock.after(waitMs, hurry, true);
    });
    await Promise.race([this.drain(each), over]);
    timer?.cancel();
    return this.events;
  }

  /** Sends while so many events wait. */
  async #drain(each: (delivery: Delivery, batch: Batch) => void, whileAtLeast: number): Promise<void> {
    this.#stuck = false;
    const { deliverer, limits, onFailure } = this.#options;
    const [soon, now] = [this.#soon.signal, this.#now.signal];
    while (!now.aborted && this.events >= whileAtLeast) {
      const batch = await this.#store.lease(limits);
      if (batch === undefined) break;
      const isLast = soon.aborted;
      const delivery = await deliverer.send(batch, { soon, now });
      // What is left was counted; an answer that comes later changes nothing.
      if (now.aborted) return;
      const isRetryable = delivery.outcomes.some(({ status }) => status === "retryable");
      const isInterrupted = isRetryable && soon.aborted && !isLast;
      const isKept = isRetryable && (onFailure === "keep" || isInterrupted);
      await this.#store.settle(batch, isKept ? delivery.outcomes : delivery.outcomes.map(lost));
      if (isInterrupted) continue;
      each(delivery, batch);
      if (onFailure === "lose" || failureOf(delivery) === undefined) continue;
      this.#stuck = true;
      break;
    }
    this.#cancelTimer();
    if (this.events > 0) this.#armTimer();
  }

  #sendByItself(whileAtLeast: number): void {
    if (this.#sendsByItself || this.#closed) return;
    this.#sendsByItself = true;
    void this.#enqueue(this.#options.onBackground, whileAtLeast).finally(() => {
      this.#sendsByItself = false;
    });
  }

  #armTimer(): void {
    const { host, flushIntervalMs } = this.#options;
    if (this.#timer !== undefined || flushIntervalMs === 0 || this.#closed) return;
    this.#timer = host.runtime.clock.after(flushIntervalMs, () => {
      this.#timer = undefined;
      if (this.events > 0) this.#sendByItself(1);
    });
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

/** What is not kept is over. */
function lost(outcome: Outcome): Outcome {
  return outcome.status === "retryable" || outcome.status === "halted"
    ? { status: "rejected", reason: outcome.reason }
    : outcome;
}
