/**
 * What a limiter knows of its vendor: the pace at which it refuses, the number in flight at which
 * it refuses, how long its answers take when it is not busy, and whether it is out.
 */

const SECOND_MS = 1_000;
/** How long the pace stays at or below the one that was refused: each refusal may cost a second. */
const PLATEAU_MS = 15_500;
/** Where a number in flight was refused: of one that has changed the new one is found faster. */
const NUMBER_PLATEAU_MS = 18_000;
/** It is back at the plateau within this time: a pace far too low costs more than a refusal. */
const RECOVERY_MS = 7_000;
/** A slow climb first, so that a limit that has not changed is hardly overshot. */
const CLIMB_MS = 3_500;
const CLIMB_PER_MS = 0.01 / SECOND_MS;
/** After the climb the pace doubles within this time: the limit has risen. */
const DOUBLING_MS = 5_000;
/** The plateau lies this much below the pace at which the vendor refused. */
const PLATEAU_SHARE = 0.97;
/** A plateau that held, and was refused this little above it, is right; it is raised a little. */
const HELD_RATIO = 1.06;
const RAISE_HELD = 1.005;

export interface Lowered {
  /** The pace at which it was refused, requests per second. */
  readonly from: number;
  /** The pace to go on with; between it and `from` the limit is looked for. */
  readonly to: number;
}

/**
 * The learned pace as a cubic curve over the time in which it held requests back: from the pace
 * after a refusal quickly up to just below the one that was refused, flat there, then upward faster
 * and faster. The number in flight that was accepted follows the same curve, and never goes below.
 */
export class LearnedPace {
  #plateau: number | undefined;
  /** How far below the plateau the curve began, as a share of it. */
  #depth = 0;
  #curveMs = 0;
  #plateauMs = PLATEAU_MS;
  #accepted = Number.POSITIVE_INFINITY;

  /** Requests per second; `undefined` while nothing is known. */
  get perSecond(): number | undefined {
    return this.before(0);
  }

  /** The pace of so long ago. */
  before(ms: number): number | undefined {
    return this.#plateau === undefined ? undefined : this.#plateau * this.#factor(ms);
  }

  /** Requests in flight, at least 1. */
  get inFlight(): number {
    return Math.max(1, Math.floor(this.#accepted * Math.max(1, this.#factor())));
  }

  /** The most in flight that is known to be accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Time passed in which requests waited for the pace. */
  advance(ms: number): void {
    this.#curveMs += ms;
  }

  lower({ from, to }: Lowered): void {
    const before = this.#plateau;
    const held = before !== undefined && this.#curveMs >= this.#plateauMs && from <= before * HELD_RATIO;
    this.#plateau = held ? before * RAISE_HELD : from * PLATEAU_SHARE;
    this.#depth = Math.max(0, 1 - to / this.#plateau);
    this.#curveMs = 0;
    this.#plateauMs = PLATEAU_MS;
  }

  /** It was not what the vendor refused: a plateau at this pace. */
  holdAt(perSecond: number): void {
    this.#plateau = perSecond;
    this.#depth = 0;
    this.#curveMs = 0;
    this.#plateauMs = NUMBER_PLATEAU_MS;
  }

  /** So many were in flight when the vendor still accepted. */
  cap(accepted: number): void {
    this.#accepted = accepted;
  }

  forget(): void {
    this.#plateau = undefined;
    this.#accepted = Number.POSITIVE_INFINITY;
    this.#curveMs = 0;
  }

  #factor(agoMs = 0): number {
    const curveMs = Math.max(0, this.#curveMs - agoMs);
    const toPlateau = Math.max(0, 1 - curveMs / RECOVERY_MS);
    const beyondMs = Math.max(0, curveMs - this.#plateauMs);
    const risenMs = Math.max(0, beyondMs - CLIMB_MS);
    const climbed = Math.min(beyondMs, CLIMB_MS) * CLIMB_PER_MS + (risenMs / DOUBLING_MS) ** 3;
    return 1 - this.#depth * toPlateau ** 3 + climbed;
  }
}

/** Longer waits than this for a timer that is late are not made up for. */
const LATE_MS = 20;
const ROUNDING_MS = 1;

/**
 * Spaces requests. What a late timer costs is made up for, within what the limit allows: in no
 * second there are more than `perSecond`.
 */
export class Spacing {
  #nextAt = Number.NEGATIVE_INFINITY;

  /** When the next request may be sent, monotonic ms. */
  get freeAt(): number {
    return this.#nextAt - LATE_MS;
  }

  take(nowMs: number, { pace, most }: { readonly pace: number | undefined; readonly most: number | undefined }): void {
    const paced = pace === undefined ? 0 : SECOND_MS / pace;
    // A request may be early by what is made up for, so the second is longer by that, and by the
    // rounding.
    const spacingMs = Math.max(paced, most === undefined ? 0 : (SECOND_MS + LATE_MS + ROUNDING_MS) / most);
    this.#nextAt = Math.max(this.#nextAt, nowMs) + spacingMs;
  }
}

/** The smoothed time follows a change within about this many answers. */
const SMOOTHING = 8;
/**
 * Differences below this are those of the network and of our own event loop: a relay that is busy
 * looks at an answer that late. A queue so short is nobody's harm.
 */
const NOISE_MS = 30;
/** One answer counts for no more than this, however late it is. */
const RATIO_MAX = 8;
/** Requests of half an octave of sizes are compared with each other. */
const CLASSES_PER_OCTAVE = 2;
const CLASSES = 64;

interface SizeClass {
  /** The shortest smoothed time: what an answer takes when the vendor is not busy. */
  base: number;
  smooth: number;
}

/** How much longer answers take than when the vendor was not busy, by the size of the request. */
export class RoundTrips {
  readonly #classes: (SizeClass | undefined)[] = [];
  #smoothMs: number | undefined;

  /** Of any size, smoothed; `undefined` before the first answer. */
  get smoothMs(): number | undefined {
    return this.#smoothMs;
  }

  /** The time of one answer in relation to that of a vendor that is not busy. */
  note(bytes: number, durationMs: number): number {
    this.#smoothMs = smoothed(this.#smoothMs, durationMs);
    const index = Math.min(CLASSES - 1, Math.floor(CLASSES_PER_OCTAVE * Math.log2(bytes + 1)));
    const known = this.#classes[index];
    if (known === undefined) {
      this.#classes[index] = { base: durationMs, smooth: durationMs };
      return 1;
    }
    known.smooth = smoothed(known.smooth, durationMs);
    known.base = Math.min(known.base, known.smooth);
    return Math.min(RATIO_MAX, Math.max(1, (durationMs - NOISE_MS) / Math.max(1, known.base)));
  }

  /** All answers take `factor` times as long as they did, whatever is in flight. */
  moved(factor: number): void {
    for (const known of this.#classes) {
      if (known === undefined) continue;
      known.base *= factor;
      known.smooth = Math.max(known.smooth, known.base);
    }
  }
}

function smoothed(before: number | undefined, value: number): number {
  return before === undefined ? value : before + (value - before) / SMOOTHING;
}

/** Two spans of this length are remembered. */
const SPAN_MS = 2_000;

/** The largest of the values noted lately: within the last two to four seconds. */
export class RecentMost {
  #now = 0;
  #before = 0;
  #since = 0;

  note(value: number, nowMs: number): void {
    if (nowMs - this.#since >= SPAN_MS) {
      this.#before = nowMs - this.#since >= 2 * SPAN_MS ? 0 : this.#now;
      this.#now = 0;
      this.#since = nowMs;
    }
    this.#now = Math.max(this.#now, value);
  }

  get value(): number {
    return Math.max(this.#now, this.#before);
  }

  clear(): void {
    this.#now = 0;
    this.#before = 0;
  }
}

/** The share of failures follows the last attempts, about this many. */
const FAILURES_OVER = 8;
const OUTAGE_SHARE = 0.5;

/**
 * Whether most requests fail, and when the next one finds out about the end of that: each wait is
 * half as long as the outage has lasted, so that many batches that wait make no more requests than
 * one.
 */
export class Outage {
  #failures = 0;
  #since: number | undefined;
  /** What failed last. */
  #last: unknown;
  #probeAt = Number.NEGATIVE_INFINITY;

  get lasts(): boolean {
    return this.#failures > OUTAGE_SHARE;
  }

  /** Nothing is sent before, monotonic ms. */
  get probeAt(): number {
    return this.#probeAt;
  }

  /** `of`: the leased batch that the request was part of. */
  failed(of: unknown, { now, longestMs }: { readonly now: number; readonly longestMs: number }): void {
    this.#since ??= now;
    // The same batch once more, or a part of it, tells nothing of others, and backs off by itself.
    if (of !== this.#last) this.#failures += (1 - this.#failures) / FAILURES_OVER;
    this.#last = of;
    if (this.lasts) this.#probeAt = now + Math.min(longestMs, now - this.#since) / 2;
  }

  /** One success after many failures is the end of an outage. */
  accepted(): void {
    this.#failures = Math.min(OUTAGE_SHARE, this.#failures - this.#failures / FAILURES_OVER);
    this.#since = undefined;
    this.#last = undefined;
    this.#probeAt = Number.NEGATIVE_INFINITY;
  }

  retryNow(): void {
    this.#probeAt = Number.NEGATIVE_INFINITY;
  }
}
