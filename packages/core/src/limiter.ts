/**
 * How many requests one destination has in flight, and how fast they follow each other. Nobody sets
 * it: it is learned from the vendor's answers.
 *
 *   what came back                             what it changes
 *   an answer below 500 but 429                the window grows, when it is used; ends an outage
 *   answers that take longer                   the window shrinks (limiter-width.ts)
 *   429, 503 with Retry-After, 503 to more     the pace or the number in flight is lowered, as was
 *     than a tenth of all requests             exceeded (limiter-refusals.ts); a short pause
 *   Retry-After                                nothing is sent until then
 *   500 and above or no answer, mostly         an outage: one request at a time, after waits that
 *                                              grow with its length
 *   nothing was sent for a minute, for ten     the window begins again; the pace is forgotten
 *
 * Beside these `maxInFlight` and `maxPerSecond` are never exceeded. Nothing accepted between two
 * episodes of refusals means that the vendor takes nothing at all: the pace is kept, and one
 * request at a time finds out.
 *
 * Invariants: a permit that was given comes back; permits are given in the order of the calls; a
 * timer is there only while something waits. Work and memory for each request are constant.
 */
import { type Attempt, type Batch, outcomesOf, type SendContext, type SendWatch, type Verdict } from "./delivery.ts";
import { Outage, Spacing } from "./limiter-models.ts";
import { type Permit, Refusals } from "./limiter-refusals.ts";
import { WINDOW_AT_START, Window } from "./limiter-width.ts";
import type { Clock, Timer } from "./runtime.ts";
import type { Exchange } from "./senders/exchange.ts";
import { sourceOf } from "./senders/isolate.ts";

export interface LimiterOptions {
  /** Most requests in flight at once. At least 1. */
  readonly maxInFlight: number;
  /** The vendor's documented limit: in no second there are more. Absent: none. */
  readonly maxPerSecond?: number | undefined;
  /** In an outage the next request waits half of this at most, in ms. Default 60,000. */
  readonly backoffMaxMs?: number;
}

export interface LimiterView {
  /** Requests that are on their way. */
  readonly inFlight: number;
  /** Most requests in flight at once, for now. */
  readonly limit: number;
  /** Most requests per second, for now; `undefined` when there is no limit. */
  readonly perSecond: number | undefined;
  /** Why the limit is what it is: a part of a sentence. */
  readonly reason: string;
}

/** Of the leased batch that the request is part of. */
interface BatchPermit extends Permit {
  readonly soon: AbortSignal;
}

/** Who waits for a permit. */
interface Waiter {
  readonly give: (permit: BatchPermit) => void;
  readonly context: SendContext;
}

const SECOND_MS = 1_000;
/** A shorter delay may be lost when it is added to the time. */
const TIMER_MIN_MS = 0.001;
/** The retry stage's: a longer wait is not believed. */
const RETRY_AFTER_MAX_MS = 3_600_000;
const BACKOFF_MAX_MS = 60_000;
const TOO_MANY_REQUESTS = 429;
const UNAVAILABLE = 503;
const SERVER_ERROR = 500;

/** Of a destination that was idle for so long, other requests may have warmed nothing. */
const IDLE_WINDOW_MS = 60_000;
const IDLE_PACE_MS = 600_000;
/** Of what was accepted in flight: with fewer it was not the limit. */
const USED_SHARE = 0.75;

const REFUSALS_OVER = 32;
/** Beyond this share a 503 without Retry-After is not a single event's. */
const BUSY_SHARE = 0.1;

/** A pause for a refusal that names no wait, within these bounds one round trip long. */
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 1_000;
/** Of those in flight, so many more are prepared: the next one leaves once there is a place. */
const PREPARED_SHARE = 0.125;
/** Requests that the lane may have prepared, beyond those that the pace needs. */
const WINDOW_HEADROOM = 4;

export class Limiter {
  readonly #clock: Clock;
  #options: LimiterOptions;
  #inFlight = 0;
  #nextSequence = 0;
  readonly #waiting = new Set<Waiter>();
  /** Who knows that it waits, by its signal: one batch may wait for several permits. */
  readonly #informed = new Map<AbortSignal, SendWatch>();
  #timer: Timer | undefined;
  readonly #spacing = new Spacing();
  #stoppedUntil = Number.NEGATIVE_INFINITY;

  readonly #learnedWindow = new Window();
  readonly #outage = new Outage();
  /** Leased batches of which a part was accepted. */
  readonly #passed = new WeakSet<AbortSignal>();
  readonly #refusals = new Refusals();
  readonly #pace = this.#refusals.pace;
  #refusedShare = 0;
  /** The pace holds requests back, or so many are in flight as were accepted. */
  #bound = false;
  #advancedAt: number;
  #refusal: string | undefined;
  /** Why the last request failed. */
  #lastError: string | undefined;

  constructor(clock: Clock, options: LimiterOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#advancedAt = clock.monotonic();
  }

  /**
   * How many batches the lane may have leased: what may be in flight and, where that was learned, a
   * few more that are prepared; fewer where a pace holds requests back for longer. At least 1.
   */
  get width(): number {
    const limit = this.#limit();
    const isLearned = limit === this.#pace.inFlight && !this.#outage.lasts;
    const prepared = isLearned ? Math.ceil(limit * PREPARED_SHARE) : 0;
    const most = Math.min(this.#options.maxInFlight, limit + prepared);
    const perSecond = this.#perSecond();
    const { roundTripMs } = this.#learnedWindow;
    if (perSecond === undefined || roundTripMs === undefined) return most;
    return Math.min(most, Math.ceil((2 * perSecond * roundTripMs) / SECOND_MS) + WINDOW_HEADROOM);
  }

  view(): LimiterView {
    return {
      inFlight: this.#inFlight,
      limit: this.#limit(),
      perSecond: this.#perSecond(),
      reason: this.#reason(),
    };
  }

  /** Takes over other limits; they hold from the next request on. What was learned stays. */
  reconfigure(options: LimiterOptions): void {
    this.#options = options;
    this.retryNow();
  }

  /** Ends a wait for the vendor: somebody wants to know whether it is back. */
  retryNow(): void {
    this.#stoppedUntil = Number.NEGATIVE_INFINITY;
    this.#outage.retryNow();
    this.#pump();
  }

  /**
   * What `createSender` takes as `limit`. Waiting for a permit is not an attempt; an interrupted
   * wait leaves the batch retryable. **Concurrency**: any number of chains may share it.
   */
  readonly stage = (next: Exchange): Exchange => {
    return async (batch, context) => {
      const permit = await this.#take(context);
      if (permit === undefined)
        return outcomesOf(batch.count, {
          status: "retryable",
          reason: "interrupted while waiting for a request to be allowed",
        });
      let attempt: Attempt | undefined;
      const attempted = (one: Attempt, of: Batch): void => {
        attempt = one;
        context.watch.attempted(one, of);
      };
      const watching: SendContext = { ...context, watch: { ...context.watch, attempted } };
      try {
        const verdict = await next(batch, watching);
        // What was aborted tells nothing of the vendor.
        if (attempt !== undefined && !context.now.aborted) this.#learn(permit, { batch, attempt, verdict });
        return verdict;
      } finally {
        this.#inFlight -= 1;
        this.#pump();
      }
    };
  };

  #take(context: SendContext): Promise<BatchPermit | undefined> {
    const { soon, watch } = context;
    if (soon.aborted) return Promise.resolve(undefined);
    this.#forgetWhenIdle();
    return new Promise((resolve) => {
      const give = (permit: BatchPermit): void => {
        soon.removeEventListener("abort", onAbort);
        resolve(permit);
      };
      const waiter: Waiter = { give, context };
      const onAbort = (): void => {
        this.#waiting.delete(waiter);
        if (this.#informed.delete(soon)) watch.resumed();
        resolve(undefined);
        this.#pump();
      };
      soon.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(waiter);
      this.#pump();
    });
  }

  /** Gives what may be given now; sees to it that the rest is given later. */
  #pump(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    this.#advance(now);
    this.#bound = false;
    const stoppedUntil = this.#heldUntil();
    if (stoppedUntil > now) this.#tell(stoppedUntil - now);
    else this.#tellResumed();
    for (const waiter of this.#waiting) {
      if (this.#inFlight >= this.#limit()) {
        this.#bound = this.#inFlight >= this.#pace.inFlight;
        return;
      }
      const freeAt = Math.max(this.#spacing.freeAt, stoppedUntil);
      if (freeAt > now) {
        this.#bound = stoppedUntil <= now;
        if (this.#bound) this.#refusals.paced(now);
        this.#timer = this.#clock.after(Math.max(TIMER_MIN_MS, freeAt - now), () => this.#pump());
        return;
      }
      this.#waiting.delete(waiter);
      this.#spacing.take(now, { pace: this.#pace.perSecond, most: this.#options.maxPerSecond });
      this.#inFlight += 1;
      this.#learnedWindow.sent(this.#inFlight);
      const { soon } = waiter.context;
      waiter.give({ soon, sequence: this.#nextSequence++, inFlight: this.#inFlight });
    }
    this.#bound = this.#inFlight >= this.#pace.inFlight * USED_SHARE;
  }

  /** Nothing is sent until then: the vendor requests it, or is out. */
  #heldUntil(): number {
    return Math.max(this.#stoppedUntil, this.#outage.probeAt);
  }

  #tell(waitMs: number): void {
    for (const { context } of this.#waiting) {
      const { soon, watch } = context;
      if (this.#informed.has(soon)) continue;
      this.#informed.set(soon, watch);
      watch.waiting(waitMs, this.#lastError ?? this.#reason());
    }
  }

  #tellResumed(): void {
    for (const [key, watch] of this.#informed) {
      this.#informed.delete(key);
      watch.resumed();
    }
  }

  #advance(now: number): void {
    if (this.#bound) this.#pace.advance(now - this.#advancedAt);
    this.#advancedAt = now;
  }

  #limit(): number {
    if (this.#outage.lasts) return 1;
    return Math.max(1, Math.floor(Math.min(this.#options.maxInFlight, this.#learnedWindow.size, this.#pace.inFlight)));
  }

  #perSecond(): number | undefined {
    const { maxPerSecond } = this.#options;
    const { perSecond } = this.#pace;
    if (perSecond === undefined) return maxPerSecond;
    return Math.min(perSecond, maxPerSecond ?? Number.POSITIVE_INFINITY);
  }

  #forgetWhenIdle(): void {
    if (this.#inFlight > 0 || this.#waiting.size > 0) return;
    const idleMs = this.#clock.monotonic() - Math.max(this.#advancedAt, this.#heldUntil());
    if (idleMs >= IDLE_WINDOW_MS) this.#restart(WINDOW_AT_START);
    if (idleMs < IDLE_PACE_MS) return;
    this.#pace.forget();
    this.#refusal = undefined;
  }

  #restart(size: number): void {
    this.#learnedWindow.restart(size, { next: this.#nextSequence, inFlight: this.#inFlight });
  }

  #learn(permit: BatchPermit, { batch, attempt, verdict }: { batch: Batch; attempt: Attempt; verdict: Verdict }): void {
    const { status, reason } = attempt;
    const unanswered = status === undefined;
    // Without an answer only a retryable batch was a request that failed.
    if (unanswered && ("split" in verdict || attempt.retryable === 0)) return;
    this.#lastError = reason ?? this.#lastError;
    const waitMs = requestedWaitMs(verdict, attempt);
    if (waitMs !== undefined) this.#stop(waitMs);
    const refused = status === TOO_MANY_REQUESTS || status === UNAVAILABLE;
    this.#refusedShare += ((refused ? 1 : 0) - this.#refusedShare) / REFUSALS_OVER;
    if (unanswered) this.#measure(permit, attempt);
    if (unanswered || status >= SERVER_ERROR) this.#failed(batch, permit);
    if (refused && (status === TOO_MANY_REQUESTS || waitMs !== undefined || this.#refusedShare >= BUSY_SHARE))
      this.#refused(permit, status);
    else if (!unanswered && status < SERVER_ERROR) this.#accepted(permit, attempt);
  }

  #stop(waitMs: number): void {
    const until = this.#clock.monotonic() + Math.min(waitMs, RETRY_AFTER_MAX_MS);
    this.#stoppedUntil = Math.max(this.#stoppedUntil, until);
  }

  #measure({ sequence }: BatchPermit, { bytes, durationMs }: Attempt): void {
    this.#learnedWindow.measure(
      { sequence, next: this.#nextSequence, inFlight: this.#inFlight, bytes, durationMs },
      this.#options.maxInFlight,
    );
  }

  #accepted(permit: BatchPermit, attempt: Attempt): void {
    this.#passed.add(permit.soon);
    this.#refusals.accepted(permit, this.#clock.monotonic());
    this.#outage.accepted();
    this.#measure(permit, attempt);
    this.#learnedWindow.grow(this.#options.maxInFlight);
  }

  #failed(batch: Batch, { soon }: BatchPermit): void {
    // Of a parked event it is known that it fails; of a batch of which a part has passed, that some
    // event of it does.
    if (sourceOf(batch).parked === true || this.#passed.has(soon)) return;
    this.#outage.failed(soon, {
      now: this.#clock.monotonic(),
      longestMs: this.#options.backoffMaxMs ?? BACKOFF_MAX_MS,
    });
    if (this.#outage.lasts) this.#restart(1);
  }

  #refused(permit: BatchPermit, status: number): void {
    const now = this.#clock.monotonic();
    const { roundTripMs } = this.#learnedWindow;
    const isOut = this.#outage.lasts;
    const meaning = this.#refusals.refused(permit, { now, next: this.#nextSequence, roundTripMs, isOut });
    if (meaning === undefined) return;
    const pauseMs = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, roundTripMs ?? 0));
    if (this.#stoppedUntil <= now) this.#stop(pauseMs);
    this.#refusal = `${status} at ${new Date(this.#clock.now()).toISOString()}`;
    if (meaning === "shut") this.#restart(1);
  }

  #reason(): string {
    if (this.#outage.lasts) return "most requests fail";
    if (this.#refusal !== undefined)
      return this.#heldUntil() > this.#clock.monotonic()
        ? `${this.#refusal}, waiting as the vendor requests`
        : this.#refusal;
    if (this.#limit() >= this.#options.maxInFlight)
      return this.#perSecond() === undefined ? "at maxInFlight" : "at the documented requests per second";
    return this.#learnedWindow.why;
  }
}

/** The longest wait that the vendor requests for any event. */
function requestedWaitMs(verdict: Verdict, { retryable }: Attempt): number | undefined {
  if (retryable === 0 || "split" in verdict) return undefined;
  let longest: number | undefined;
  for (const outcome of verdict)
    if (outcome.status === "retryable" && outcome.retryAfterMs !== undefined)
      longest = Math.max(longest ?? 0, outcome.retryAfterMs);
  return longest;
}
