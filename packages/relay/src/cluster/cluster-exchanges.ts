/**
 * Callers that wait for a vendor's own answer, in a cluster: their event is in a partition whose
 * lane may be here, or at another relay, which is asked. Where that does not lead to an answer of
 * the vendor's, the caller hears that its event is stored.
 */
import type { Clock } from "@waybill/core";
import type { PartitionLog } from "@waybill/log-kafka";
import type { DestinationConfig } from "../config/types.ts";
import { answering, type Exchange, type ExchangeAnswer } from "../delivery/exchanges.ts";
import type { OpenPartition } from "./partitions.ts";

/** The event of a record, and the destination whose answer to it is wanted. */
export interface ExchangePlace {
  readonly environment: string;
  readonly destination: string;
  readonly partition: number;
  readonly offset: number;
}

/** Asks the relay that has the lane. Never rejects. */
export type AnswerFromOwner = (place: ExchangePlace, deadlineMs: number) => Promise<ExchangeAnswer>;

export interface ClusterExchangesOptions {
  readonly environment: string;
  readonly clock: Clock;
  readonly destinations: () => readonly DestinationConfig[];
  readonly opened: (partition: number) => OpenPartition | undefined;
  readonly answerFromOwner: AnswerFromOwner;
}

export class ClusterExchanges {
  readonly #options: ClusterExchangesOptions;
  /** Callers for whom another relay is asked. */
  readonly #waiting = new Set<(answer: ExchangeAnswer) => void>();

  constructor(options: ClusterExchangesOptions) {
    this.#options = options;
  }

  async answerTo(exchange: Exchange, deadlineMs: number): Promise<ExchangeAnswer> {
    const { environment, destinations } = this.#options;
    const destination = answering(destinations(), exchange)?.name;
    const { place } = exchange.stored;
    if (destination === undefined || place === undefined) return "nobody";
    const { partition, offset } = place;
    const wanted = { environment, destination, partition, offset };
    return this.#hasLane(wanted) ? this.answerHere(wanted, deadlineMs) : this.#fromOwner(wanted, deadlineMs);
  }

  /** The answer to an event whose lane is here; `nobody` when it is not. */
  async answerHere(place: ExchangePlace, deadlineMs: number): Promise<ExchangeAnswer> {
    const { clock, opened } = this.#options;
    const { partition, offset, destination } = place;
    const held = opened(partition);
    if (held === undefined || !this.#hasLane(place)) return "nobody";
    const untilMs = clock.monotonic() + deadlineMs;
    await readPast(held.log, offset, deadlineMs, clock);
    const position = held.log.recentPosition(offset);
    if (position === undefined) return "nobody";
    const { exchanges } = held.environment;
    return exchanges.answerAt({ destination, position }, Math.max(0, untilMs - clock.monotonic()), clock);
  }

  /** Other relays are waited for no longer. */
  stop(): void {
    for (const resolve of this.#waiting) resolve("nobody");
  }

  #hasLane({ partition, destination }: ExchangePlace): boolean {
    return this.#options.opened(partition)?.environment.destination(destination) !== undefined;
  }

  #fromOwner(place: ExchangePlace, deadlineMs: number): Promise<ExchangeAnswer> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
      void this.#options.answerFromOwner(place, deadlineMs).then((answer) => {
        this.#waiting.delete(resolve);
        resolve(answer);
      });
    });
  }
}

/** Resolves once a log has read the record at an offset, or when that takes too long. */
function readPast(log: PartitionLog, offset: number, deadlineMs: number, clock: Clock): Promise<void> {
  const isRead = (): boolean => log.checkpoint.offset > offset;
  if (isRead()) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      stopListening();
      resolve();
    };
    const timer = clock.after(deadlineMs, done);
    const stopListening = log.onCommit(() => {
      if (isRead()) done();
    });
  });
}
