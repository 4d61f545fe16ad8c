/** Callers that wait for a vendor's answer to their event: by its position in the log. */
import { type Attempt, type Clock, type HttpResponse, type Timer } from "@waybill/core";
import type { Position } from "@waybill/log";
import { adapterOf, type Vendor } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";
import type { KafkaRange } from "../receipt.ts";
import { answerOf, forCaller } from "./caller-answers.ts";
import type { Destination } from "./destination.ts";
import type { KeptAnswers } from "./kept-answers.ts";
import { takesFrom } from "./left-out.ts";

const UNPROCESSABLE = 422;

/** The vendor's; `undefined`: none came in time; `nobody`: none is to be expected. */
export type ExchangeAnswer = HttpResponse | undefined | "nobody";

/** An event whose caller waits. */
export interface Exchange {
  readonly source: string;
  readonly vendor: Vendor;
  readonly stored: { readonly first: Position | undefined; readonly place?: KafkaRange | undefined };
}

interface Waiter {
  readonly destination: string;
  readonly resolve: (answer: ExchangeAnswer) => void;
  readonly timer: Timer;
}

export interface ExchangesOptions {
  readonly environment: string;
  readonly destinations: () => Iterable<Destination>;
  /** For callers that ask late. Default: all of them wait before their event is sent. */
  readonly kept?: KeptAnswers | undefined;
}

/** The destination whose answer a caller gets: the first of the vendor that takes the event. */
export function answering(
  destinations: readonly DestinationConfig[],
  { source, vendor }: Pick<Exchange, "source" | "vendor">,
): DestinationConfig | undefined {
  return destinations.find((config) => config.vendor === vendor && takesFrom(config, source));
}

export class Exchanges {
  readonly #waiters = new Map<number, Waiter>();
  readonly #options: ExchangesOptions;
  #isStopped = false;

  constructor(options: ExchangesOptions) {
    this.#options = options;
  }

  /** The answer to an event that was stored just now. */
  answerTo(exchange: Exchange, deadlineMs: number, clock: Clock): Promise<ExchangeAnswer> {
    const position = exchange.stored.first;
    const destination = answering(
      Array.from(this.#options.destinations(), ({ config }) => config),
      exchange,
    );
    if (destination === undefined || position === undefined) return Promise.resolve("nobody");
    if (this.#isStopped) return Promise.resolve(undefined);
    return this.#wait(destination.name, position, deadlineMs, clock);
  }

  /** The answer to an event that may have been sent. */
  async answerAt(
    { destination, position }: { readonly destination: string; readonly position: number },
    deadlineMs: number,
    clock: Clock,
  ): Promise<ExchangeAnswer> {
    const kept = this.#options.kept?.take(this.#keyOf(destination, position));
    if (kept !== undefined) return kept;
    const lane = this.#lane(destination);
    if (lane === undefined || this.#isStopped || this.#waiters.has(position)) return "nobody";
    const waiting = this.#wait(destination, position, deadlineMs, clock);
    // Its answer came too long ago or to another relay, or there was none: it is a copy.
    const isSettled = (): Promise<boolean> => lane.outcomeOf(position).then(({ outcome }) => outcome !== "pending");
    void isSettled().then(
      (settled) => settled && this.#answer(position, "nobody"),
      () => undefined,
    );
    const answer = await waiting;
    return answer === undefined && (await isSettled().catch(() => false)) ? "nobody" : answer;
  }

  #wait(destination: string, position: number, deadlineMs: number, clock: Clock): Promise<ExchangeAnswer> {
    return new Promise((resolve) => {
      const timer = clock.after(deadlineMs, () => this.#answer(position, undefined));
      this.#waiters.set(position, { destination, resolve, timer });
    });
  }

  #answer(position: number, answer: ExchangeAnswer): void {
    const waiter = this.#waiters.get(position);
    this.#waiters.delete(position);
    waiter?.timer.cancel();
    waiter?.resolve(answer);
  }

  /** No other attempt is begun: who comes now need not wait. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Delivery has ended: nobody waits any longer. */
  close(): void {
    this.stop();
    for (const position of this.#waiters.keys()) this.#answer(position, undefined);
  }

  /** A destination's events are sent by another relay. */
  left(destination: string): void {
    for (const [position, waiter] of this.#waiters)
      if (waiter.destination === destination) this.#answer(position, "nobody");
  }

  /** One request about the events from `first` on has its answer. */
  attempted(destination: string, first: number, attempt: Attempt): void {
    const { kept } = this.#options;
    if ((this.#waiters.size === 0 && kept === undefined) || attempt.events !== 1) return;
    // What will be sent again has no answer yet.
    if (attempt.retryable > 0 || attempt.halted > 0) return;
    if (this.#waiters.get(first)?.destination === destination) this.#answer(first, finalAnswer(attempt));
    else if (kept !== undefined && this.#hasExchanges(destination))
      kept.keep(this.#keyOf(destination, first), finalAnswer(attempt));
  }

  #hasExchanges(destination: string): boolean {
    const vendor: string = this.#lane(destination)?.config.vendor ?? "";
    return adapterOf(vendor)?.inbound.hasExchanges === true;
  }

  #lane(name: string): Destination | undefined {
    return [...this.#options.destinations()].find(({ config }) => config.name === name);
  }

  #keyOf(destination: string, position: number): string {
    return `${this.#options.environment}/${destination}/${position}`;
  }
}

function finalAnswer({ response, reason = "The event cannot be sent." }: Attempt): HttpResponse {
  // Refused before the vendor saw it: nobody else will answer.
  return response === undefined ? answerOf(UNPROCESSABLE, { error: reason }) : forCaller(response);
}
