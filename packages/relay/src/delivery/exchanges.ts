/** Callers that wait for a vendor's answer to their event: by its position in the log. */
import { type Attempt, type Clock, type HttpResponse, type Timer } from "@waybill/core";
import type { Vendor } from "@waybill/vendors/registry";
import { answerOf, forCaller } from "./caller-answers.ts";
import type { Destination } from "./destination.ts";
import { takesFrom } from "./left-out.ts";

const UNPROCESSABLE = 422;

interface Waiter {
  readonly destination: string;
  readonly resolve: (response: HttpResponse | undefined) => void;
  readonly timer: Timer;
}

export class Exchanges {
  readonly #waiters = new Map<number, Waiter>();
  readonly #destinations: () => Iterable<Destination>;
  #isStopped = false;

  constructor(destinations: () => Iterable<Destination>) {
    this.#destinations = destinations;
  }

  /**
   * The answer of the first destination of `vendor` that takes events of `source` to the event at
   * `position`; `undefined` when none came in time; `nobody` without such a destination.
   */
  answerTo(
    { source, vendor, position }: { readonly source: string; readonly vendor: Vendor; readonly position: number },
    deadlineMs: number,
    clock: Clock,
  ): Promise<HttpResponse | undefined | "nobody"> {
    const destination = [...this.#destinations()].find(
      ({ config }) => config.vendor === vendor && takesFrom(config, source),
    );
    if (destination === undefined) return Promise.resolve("nobody");
    if (this.#isStopped) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const timer = clock.after(deadlineMs, () => {
        this.#waiters.delete(position);
        resolve(undefined);
      });
      this.#waiters.set(position, { destination: destination.config.name, resolve, timer });
    });
  }

  /** No other attempt is begun: who comes now need not wait. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Delivery has ended: nobody waits any longer. */
  close(): void {
    this.stop();
    for (const { timer, resolve } of this.#waiters.values()) {
      timer.cancel();
      resolve(undefined);
    }
    this.#waiters.clear();
  }

  /** One request about the events from `first` on has its answer. */
  attempted(destination: string, first: number, attempt: Attempt): void {
    if (this.#waiters.size === 0 || attempt.events !== 1) return;
    const waiter = this.#waiters.get(first);
    if (waiter?.destination !== destination) return;
    // What will be sent again has no answer yet.
    if (attempt.retryable > 0 || attempt.halted > 0) return;
    // Refused before the vendor saw it: nobody else will answer.
    const { response, reason = "The event cannot be sent." } = attempt;
    this.#waiters.delete(first);
    waiter.timer.cancel();
    waiter.resolve(response === undefined ? answerOf(UNPROCESSABLE, { error: reason }) : forCaller(response));
  }
}
