/**
 * How many requests are worth having in flight: more while that is used and answers take no longer
 * for it, fewer once they do.
 *
 *   starting   doubled per round trip: nothing has gone wrong since it was small
 *     -> steady     answers take longer with more in flight
 *   steady     a tenth more per round trip; less when two rounds in a row take longer
 *     -> starting   half as many in flight take as long: the vendor is further away, not busy
 * A restart (an outage, an idle minute) leads to starting from either.
 */
import { RoundTrips } from "./limiter-models.ts";

interface Round {
  /** The round is over once a request of this number or a later one is answered. */
  readonly from: number;
  most: number;
  ratios: number;
  answers: number;
}

/** What was answered. */
export interface Measured {
  /** Of the request that was answered. */
  readonly sequence: number;
  /** Of the next request. */
  readonly next: number;
  /** Requests in flight. */
  readonly inFlight: number;
  readonly bytes: number;
  readonly durationMs: number;
}

export const WINDOW_AT_START = 2;
/** Answers of a round that take longer than this by its mean are a queue at the vendor. */
const QUEUE_RATIO = 1.7;
/** A mean of fewer answers tells nothing. */
const ROUND_MIN_ANSWERS = 4;
/** A slow round leaves at least this share of the window. */
const KEPT_LEAST = 0.7;
const KEPT_LEAST_AT_START = 0.5;
/** With half as many in flight a queue is shorter than this; another distance is not. */
const UNCHANGED_SHARE = 0.8;
const GROWTH_PER_ROUND = 0.1;
/** Of the window: with fewer in flight it was not the limit. */
const USED_SHARE = 0.75;
const USED_SHARE_AT_START = 0.5;

export class Window {
  #size = WINDOW_AT_START;
  #starting = true;
  #round: Round = { from: 0, most: 0, ratios: 0, answers: 0 };
  #mostBefore = 0;
  readonly #roundTrips = new RoundTrips();
  #longRounds = 0;
  /** Where the window was when answers became slow. */
  #slow: { readonly size: number; readonly ratio: number } | undefined;
  /** Answers of this round are partly of requests from before the window shrank. */
  #stale = false;
  #why = "growing";

  get size(): number {
    return this.#size;
  }

  /** Why it is not larger: a part of a sentence. */
  get why(): string {
    return this.#why;
  }

  /** How long answers take, smoothed; `undefined` before the first one. */
  get roundTripMs(): number | undefined {
    return this.#roundTrips.smoothMs;
  }

  /** A request leaves; so many are in flight with it. */
  sent(inFlight: number): void {
    this.#round.most = Math.max(this.#round.most, inFlight);
  }

  /** One more request was accepted. */
  grow(most: number): void {
    const size = Math.floor(this.#size);
    const used = Math.max(this.#round.most, this.#mostBefore);
    if (used < size * (this.#starting ? USED_SHARE_AT_START : USED_SHARE)) return;
    const byAnswer = this.#starting ? 1 : Math.max(1, size * GROWTH_PER_ROUND) / size;
    this.#size = Math.min(most, this.#size + byAnswer);
  }

  /** Begins again with at most `size` in flight. `next`: the next request. */
  restart(size: number, { next, inFlight }: Pick<Measured, "next" | "inFlight">): void {
    this.#size = Math.min(this.#size, size);
    this.#starting = true;
    this.#why = "growing";
    this.#slow = undefined;
    this.#longRounds = 0;
    this.#beginRound(next, inFlight);
  }

  /** What an answer took. `most`: the most that may be in flight by other limits. */
  measure({ sequence, next, inFlight, bytes, durationMs }: Measured, most: number): void {
    const round = this.#round;
    round.ratios += this.#roundTrips.note(bytes, durationMs);
    round.answers += 1;
    if (sequence < round.from || round.answers < ROUND_MIN_ANSWERS) return;
    this.#beginRound(next, inFlight);
    if (this.#stale) this.#stale = false;
    else this.#judge(round.ratios / round.answers, Math.min(WINDOW_AT_START, most));
  }

  #beginRound(from: number, inFlight: number): void {
    this.#mostBefore = this.#round.most;
    this.#round = { from, most: inFlight, ratios: 0, answers: 0 };
  }

  /** Of a round: answers that take longer when more are in flight are a queue at the vendor. */
  #judge(ratio: number, least: number): void {
    if (ratio <= QUEUE_RATIO) {
      this.#longRounds = 0;
      this.#slow = undefined;
      return;
    }
    this.#longRounds += 1;
    if (!this.#starting && this.#longRounds < 2) return;
    this.#longRounds = 0;
    // Answers were slowest after the window had been largest.
    this.#slow = { size: this.#slow?.size ?? this.#size, ratio: Math.max(ratio, this.#slow?.ratio ?? 0) };
    const halved = this.#size <= Math.max(least, this.#slow.size / 2);
    if (halved && ratio >= UNCHANGED_SHARE * this.#slow.ratio) {
      this.#roundTrips.moved(ratio);
      this.#slow = undefined;
      this.#starting = true;
      this.#why = "growing";
      return;
    }
    const kept = Math.max(this.#starting ? KEPT_LEAST_AT_START : KEPT_LEAST, QUEUE_RATIO / ratio);
    this.#size = Math.max(least, this.#size * kept);
    this.#starting = false;
    this.#stale = true;
    this.#why = "answers take longer with more in flight";
  }
}
