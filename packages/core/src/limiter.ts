/**
 * How many requests one destination has in flight, and how fast they follow each other. Nobody sets
 * it: it is learned from the vendor's answers.
 *
 * Three limits hold at once:
 * - the window grows while round trips go well and it is used: doubled per round trip at first, by
 *   a tenth once answers took longer with more in flight. Answers that take longer shrink it; when
 *   most attempts fail it is 1
 * - the learned pace and number in flight, once the vendor refused (429, 503): see `LearnedPace`
 * - `maxInFlight` and `maxPerSecond`, which are never exceeded
 *
 * Refusals of requests that were sent before the first of them was known are one episode and count
 * once. `Retry-After` stops every request of the destination. Nothing accepted between two episodes
 * means that the vendor takes nothing at all: the pace is kept, and one request at a time finds out.
 *
 * Invariants: a permit that was given comes back; permits are given in the order of the calls; a
 * timer is there only while something waits. Work and memory for each request are constant.
 */
import { type Attempt, type Batch, outcomesOf, type SendContext, type Verdict } from "./delivery.ts";
import { LearnedPace, RecentMost, RoundTrips, Spacing } from "./limiter-models.ts";
import type { Clock, Timer } from "./runtime.ts";
import type { Exchange } from "./senders/exchange.ts";

export interface LimiterOptions {
  /** Most requests in flight at once. At least 1. */
  readonly maxInFlight: number;
  /** The vendor's documented limit: in no second there are more. Absent: none. */
  readonly maxPerSecond?: number;
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

interface Permit {
  readonly sequence: number;
  /** Requests in flight when it was given, this one included. */
  readonly inFlight: number;
}

type Give = (permit: Permit) => void;

interface Round {
  /** The round is over once a request of this number or a later one is answered. */
  readonly from: number;
  most: number;
  ratios: number;
  answers: number;
}

interface Episode {
  readonly atMs: number;
  readonly wallMs: number;
  readonly status: number;
  /** Requests below this number were sent before it was known. */
  readonly until: number;
  /** Nothing was accepted since the one before, or most requests fail: it tells of no limit. */
  readonly shut: boolean;
  /** The fewest in flight that were refused, the most that were accepted all the same. */
  refused: number;
  accepted: number;
}

const SECOND_MS = 1_000;
/** A shorter delay may be lost when it is added to the time. */
const TIMER_MIN_MS = 0.001;
const WINDOW_AT_START = 2;
/** The retry stage's: a longer wait is not believed. */
const RETRY_AFTER_MAX_MS = 3_600_000;
const TOO_MANY_REQUESTS = 429;
const UNAVAILABLE = 503;
const SERVER_ERROR = 500;

/** Of a destination that was idle for so long, other requests may have warmed nothing. */
const IDLE_WINDOW_MS = 60_000;
const IDLE_PACE_MS = 600_000;

/** Answers of a round that take longer than this by its mean are a queue at the vendor. */
const QUEUE_RATIO = 1.7;
/** A mean of fewer answers says nothing. */
const ROUND_MIN_ANSWERS = 4;
const SHRINK_MOST = 0.7;
const SHRINK_MOST_AT_START = 0.5;
/** With half as many in flight a queue is shorter than this; another distance is not. */
const UNCHANGED_SHARE = 0.8;
const GROWTH_PER_ROUND = 0.1;
/** Of the window: with fewer in flight it was not the limit. */
const USED_SHARE = 0.75;
const USED_SHARE_AT_START = 0.5;

/** The share of failures follows the last attempts, about this many. */
const FAILURES_OVER = 8;
const OUTAGE_SHARE = 0.5;
const REFUSALS_OVER = 32;
/** Beyond this share a 503 without Retry-After is no single event's. */
const BUSY_SHARE = 0.1;

/** A limit is exceeded for about this long before it is noticed, beside the round trip. */
const NOTICED_MS = 250;
/** What is kept after a refusal, of the pace at which it came. */
const KEPT_SHARE = 0.93;
/** Within this time of the episode before, what was accepted in between tells more. */
const CLOSE_EPISODES_MS = 5_000;
const ACCEPTED_FACTOR = 1.25;
const KEPT_LEAST = 0.5;
/** A pause for a refusal that names no wait, within these bounds one round trip long. */
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 1_000;
/** Requests that the lane may have prepared, beyond those that the pace needs. */
const WINDOW_HEADROOM = 4;

export class Limiter {
  readonly #clock: Clock;
  #options: LimiterOptions;
  #inFlight = 0;
  #nextSequence = 0;
  readonly #waiting = new Set<Give>();
  #timer: Timer | undefined;
  readonly #spacing = new Spacing();
  #stoppedUntil = Number.NEGATIVE_INFINITY;

  #window = WINDOW_AT_START;
  /** Nothing has gone wrong since the window was small. */
  #starting = true;
  #round: Round = { from: 0, most: 0, ratios: 0, answers: 0 };
  #mostBefore = 0;
  readonly #roundTrips = new RoundTrips();
  #longRounds = 0;
  /** Where the window was when answers became slow. */
  #slow: { readonly window: number; readonly ratio: number } | undefined;
  /** Answers of this round are partly of requests from before the window shrank. */
  #stale = false;

  readonly #pace = new LearnedPace();
  readonly #acceptedInFlight = new RecentMost();
  #episode: Episode | undefined;
  #acceptedSince = 0;
  /** The pace holds requests back, or so many are in flight as were accepted. */
  #bound = false;
  #advancedAt: number;
  #pacedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #refusals = 0;
  #why = "starting";

  constructor(clock: Clock, options: LimiterOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#advancedAt = clock.monotonic();
  }

  /**
   * How many batches the lane may have leased: what may be in flight, less where a pace holds
   * requests back for longer. At least 1.
   */
  get window(): number {
    const limit = this.#limit();
    const perSecond = this.#perSecond();
    const { smoothMs } = this.#roundTrips;
    if (perSecond === undefined || smoothMs === undefined) return limit;
    return Math.min(limit, Math.ceil((2 * perSecond * smoothMs) / SECOND_MS) + WINDOW_HEADROOM);
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
    this.#pump();
  }

  /**
   * What `createSender` takes as `limit`. Waiting for a permit is not an attempt; an interrupted
   * wait leaves the batch retryable. **Concurrency**: any number of chains may share it.
   */
  readonly stage = (next: Exchange): Exchange => {
    return async (batch, context) => {
      const permit = await this.#take(context.soon);
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
        // What was aborted says nothing of the vendor.
        if (attempt !== undefined && !context.now.aborted) this.#learn(permit, attempt, verdict);
        return verdict;
      } finally {
        this.#inFlight -= 1;
        this.#pump();
      }
    };
  };

  #take(soon: AbortSignal): Promise<Permit | undefined> {
    if (soon.aborted) return Promise.resolve(undefined);
    this.#forgetWhenIdle();
    return new Promise((resolve) => {
      const give = (permit: Permit): void => {
        soon.removeEventListener("abort", onAbort);
        resolve(permit);
      };
      const onAbort = (): void => {
        this.#waiting.delete(give);
        resolve(undefined);
        this.#pump();
      };
      soon.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(give);
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
    for (const give of this.#waiting) {
      if (this.#inFlight >= this.#limit()) {
        this.#bound = this.#inFlight >= this.#pace.inFlight;
        return;
      }
      const freeAt = Math.max(this.#spacing.freeAt, this.#stoppedUntil);
      if (freeAt > now) {
        this.#bound = this.#stoppedUntil <= now;
        if (this.#bound) this.#pacedAt = now;
        this.#timer = this.#clock.after(Math.max(TIMER_MIN_MS, freeAt - now), () => this.#pump());
        return;
      }
      this.#waiting.delete(give);
      this.#spacing.take(now, { pace: this.#pace.perSecond, most: this.#options.maxPerSecond });
      this.#inFlight += 1;
      this.#round.most = Math.max(this.#round.most, this.#inFlight);
      give({ sequence: this.#nextSequence++, inFlight: this.#inFlight });
    }
    this.#bound = this.#inFlight >= this.#pace.inFlight * USED_SHARE;
  }

  #advance(now: number): void {
    if (this.#bound) this.#pace.advance(now - this.#advancedAt);
    this.#advancedAt = now;
  }

  #limit(): number {
    const limit = Math.min(this.#options.maxInFlight, this.#window, this.#pace.inFlight);
    return Math.max(1, Math.floor(limit));
  }

  #perSecond(): number | undefined {
    const { maxPerSecond } = this.#options;
    const { perSecond } = this.#pace;
    if (perSecond === undefined) return maxPerSecond;
    return Math.min(perSecond, maxPerSecond ?? Number.POSITIVE_INFINITY);
  }

  #forgetWhenIdle(): void {
    if (this.#inFlight > 0 || this.#waiting.size > 0) return;
    const idleMs = this.#clock.monotonic() - Math.max(this.#advancedAt, this.#stoppedUntil);
    if (idleMs >= IDLE_WINDOW_MS) this.#restart(WINDOW_AT_START);
    if (idleMs >= IDLE_PACE_MS) this.#pace.forget();
  }

  #restart(window: number): void {
    this.#window = Math.min(this.#window, window);
    this.#starting = true;
    this.#slow = undefined;
    this.#longRounds = 0;
    this.#beginRound();
  }

  #learn(permit: Permit, attempt: Attempt, verdict: Verdict): void {
    // Without an answer only a retryable batch was a request that failed.
    const { status } = attempt;
    const unanswered = status === undefined;
    if (unanswered && ("split" in verdict || attempt.retryable === 0)) return;
    const waitMs = requestedWaitMs(verdict, attempt);
    if (waitMs !== undefined) this.#stop(waitMs);
    const refused = status === TOO_MANY_REQUESTS || status === UNAVAILABLE;
    this.#refusals += ((refused ? 1 : 0) - this.#refusals) / REFUSALS_OVER;
    const failed = unanswered || status >= SERVER_ERROR;
    this.#failures += ((failed ? 1 : 0) - this.#failures) / FAILURES_OVER;
    if (refused && (status === TOO_MANY_REQUESTS || waitMs !== undefined || this.#refusals >= BUSY_SHARE))
      this.#refused(permit, status);
    if (unanswered) this.#measure(permit, attempt);
    if (failed) this.#failed();
    else if (!refused) this.#accepted(permit, attempt);
  }

  #stop(waitMs: number): void {
    const until = this.#clock.monotonic() + Math.min(waitMs, RETRY_AFTER_MAX_MS);
    this.#stoppedUntil = Math.max(this.#stoppedUntil, until);
  }

  #accepted(permit: Permit, attempt: Attempt): void {
    const now = this.#clock.monotonic();
    this.#acceptedSince += 1;
    const episode = this.#episode;
    if (episode === undefined || permit.sequence >= episode.until) this.#acceptedInFlight.note(permit.inFlight, now);
    else if (permit.inFlight > episode.accepted) {
      episode.accepted = permit.inFlight;
      this.#capPace(episode);
    }
    // One success after many failures is the end of an outage.
    this.#failures = Math.min(this.#failures, OUTAGE_SHARE);
    this.#measure(permit, attempt);
    this.#grow();
  }

  #grow(): void {
    const window = Math.floor(this.#window);
    const most = Math.max(this.#round.most, this.#mostBefore);
    if (most < window * (this.#starting ? USED_SHARE_AT_START : USED_SHARE)) return;
    const byAnswer = this.#starting ? 1 : Math.max(1, window * GROWTH_PER_ROUND) / window;
    this.#window = Math.min(this.#options.maxInFlight, this.#window + byAnswer);
    if (this.#starting && this.#perSecond() === undefined) this.#why = "growing";
  }

  /** Most attempts fail: one request at a time is enough to see the end of it. */
  #failed(): void {
    if (this.#failures <= OUTAGE_SHARE) return;
    this.#restart(1);
    this.#why = "most requests fail";
  }

  #refused(permit: Permit, status: number): void {
    const now = this.#clock.monotonic();
    const current = this.#episode;
    if (current !== undefined && permit.sequence < current.until) {
      current.refused = Math.min(current.refused, permit.inFlight);
      this.#capPace(current);
      return;
    }
    const pauseMs = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, this.#roundTrips.smoothMs ?? 0));
    if (this.#stoppedUntil <= now) this.#stop(pauseMs);
    const episode: Episode = {
      atMs: now,
      wallMs: this.#clock.now(),
      status,
      until: this.#nextSequence,
      shut: this.#failures > OUTAGE_SHARE || (current !== undefined && this.#acceptedSince === 0),
      refused: permit.inFlight,
      accepted: this.#acceptedInFlight.value,
    };
    this.#why = `${status} at ${new Date(episode.wallMs).toISOString()}`;
    if (episode.shut) this.#restart(1);
    else {
      this.#lowerPace(episode, current);
      this.#capPace(episode);
    }
    this.#episode = episode;
    this.#acceptedSince = 0;
    this.#acceptedInFlight.clear();
  }

  #lowerPace(episode: Episode, before: Episode | undefined): void {
    const from = this.#refusedPace(episode);
    const highest = from * KEPT_SHARE;
    const sinceMs = before === undefined ? Number.POSITIVE_INFINITY : episode.atMs - before.atMs;
    // Where as many were accepted as ever, the pace itself is at fault: go to what was accepted.
    const byRate = episode.accepted >= episode.refused && sinceMs < CLOSE_EPISODES_MS;
    const accepted = (this.#acceptedSince * SECOND_MS) / sinceMs;
    const to = byRate ? Math.min(highest, Math.max(KEPT_LEAST * from, ACCEPTED_FACTOR * accepted)) : highest;
    this.#pace.lower({ from, to });
  }

  /** How fast requests were sent when one was refused. */
  #refusedPace({ atMs, refused, accepted }: Episode): number {
    const roundTripMs = Math.max(1, this.#roundTrips.smoothMs ?? SECOND_MS);
    const known = this.#pace.before(roundTripMs + NOTICED_MS) ?? Number.POSITIVE_INFINITY;
    if (Number.isFinite(known) && atMs - this.#pacedAt <= roundTripMs + SECOND_MS) return known;
    return Math.min(known, (Math.max(refused, accepted) * SECOND_MS) / roundTripMs);
  }

  /** So many in flight were accepted, or at least one fewer than were refused. */
  #capPace({ shut, refused, accepted }: Episode): void {
    if (!shut) this.#pace.cap(Math.max(accepted, refused - 1, 1));
  }

  #measure(permit: Permit, { bytes, durationMs }: Attempt): void {
    const round = this.#round;
    round.ratios += this.#roundTrips.note(bytes, durationMs);
    round.answers += 1;
    if (permit.sequence < round.from || round.answers < ROUND_MIN_ANSWERS) return;
    const ratio = round.ratios / round.answers;
    this.#beginRound();
    if (this.#stale) this.#stale = false;
    else this.#judge(ratio);
  }

  #beginRound(): void {
    this.#mostBefore = this.#round.most;
    this.#round = { from: this.#nextSequence, most: this.#inFlight, ratios: 0, answers: 0 };
  }

  /** Of a round: answers that take longer when more are in flight are a queue at the vendor. */
  #judge(ratio: number): void {
    if (ratio <= QUEUE_RATIO) {
      this.#longRounds = 0;
      this.#slow = undefined;
      return;
    }
    this.#longRounds += 1;
    if (!this.#starting && this.#longRounds < 2) return;
    this.#longRounds = 0;
    this.#slow ??= { window: this.#window, ratio };
    const least = Math.min(WINDOW_AT_START, this.#options.maxInFlight);
    const halved = this.#window <= Math.max(least, this.#slow.window / 2);
    if (halved && ratio >= UNCHANGED_SHARE * this.#slow.ratio) {
      this.#roundTrips.moved(ratio);
      this.#slow = undefined;
      this.#starting = true;
      this.#why = "answers take longer, whatever is in flight";
      return;
    }
    const kept = Math.max(this.#starting ? SHRINK_MOST_AT_START : SHRINK_MOST, QUEUE_RATIO / ratio);
    this.#window = Math.max(least, this.#window * kept);
    this.#starting = false;
    this.#stale = true;
    this.#why = "answers take longer with more in flight";
  }

  #reason(): string {
    if (this.#stoppedUntil > this.#clock.monotonic()) return `${this.#why}, waiting as the vendor requests`;
    return this.#limit() >= this.#options.maxInFlight && this.#perSecond() === undefined ? "at maxInFlight" : this.#why;
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
