/**
 * What a vendor's refusals teach. Those of requests that were sent before the first of them was
 * known are one episode and count once. What was exceeded is the number in flight, or the pace:
 *
 *   the pace held requests back               the pace: it is lowered by less than a tenth; soon
 *                                             after another episode, to what was accepted since
 *   more were in flight than were accepted,   their number: one fewer than were refused is the
 *     or than were known to be                most; the pace goes up out of the way
 *   nothing was accepted in between           neither: the vendor takes nothing at all
 */
import { LearnedPace, RecentMost } from "./limiter-models.ts";

export interface Permit {
  readonly sequence: number;
  /** Requests in flight when it was given, this one included. */
  readonly inFlight: number;
}

interface Episode {
  readonly atMs: number;
  /** Requests below this number were sent before it was known. */
  readonly until: number;
  /** Nothing was accepted since the one before, or most requests fail: it tells of no limit. */
  readonly shut: boolean;
  /** Soon after the one before. */
  readonly close: boolean;
  readonly exceeded: "pace" | "number";
  /** The pace held requests back. */
  readonly isPaced: boolean;
  /** The fewest in flight that were refused, the most that were accepted all the same. */
  refused: number;
  accepted: number;
}

/** The circumstances of a refusal. */
export interface Refused {
  readonly now: number;
  /** Number of the next request. */
  readonly next: number;
  readonly roundTripMs: number | undefined;
  /** Most requests fail. */
  readonly isOut: boolean;
}

const SECOND_MS = 1_000;
/** A limit is exceeded for about this long before it is noticed, beside the round trip. */
const NOTICED_MS = 250;
/** What is kept after a refusal, of the pace at which it came. */
const KEPT_SHARE = 0.93;
/** Within this time of the episode before, what was accepted in between tells more. */
const CLOSE_EPISODES_MS = 5_000;
const ACCEPTED_FACTOR = 1.25;
const KEPT_LEAST = 0.5;
/** Where the number in flight is the limit, the pace lies so much above what it amounts to. */
const UNBOUND_FACTOR = 1.25;
/** A pace that is further above what the number in flight amounts to holds nothing back. */
const PACED_RATIO = 1.12;

export class Refusals {
  readonly pace: LearnedPace = new LearnedPace();
  readonly #acceptedInFlight = new RecentMost();
  #episode: Episode | undefined;
  #acceptedSince = 0;
  #pacedAt = Number.NEGATIVE_INFINITY;

  /** The pace holds a request back. */
  paced(now: number): void {
    this.#pacedAt = now;
  }

  accepted({ sequence, inFlight }: Permit, now: number): void {
    this.#acceptedSince += 1;
    const episode = this.#episode;
    if (episode === undefined || sequence >= episode.until) this.#acceptedInFlight.note(inFlight, now);
    else if (episode.exceeded === "pace" && inFlight > episode.accepted) {
      episode.accepted = inFlight;
      this.#cap(episode);
    }
  }

  /** What it tells; `undefined` for one more of the same episode. */
  refused(permit: Permit, circumstances: Refused): "limit" | "shut" | undefined {
    const current = this.#episode;
    if (current !== undefined && permit.sequence < current.until) {
      current.refused = Math.min(current.refused, permit.inFlight);
      this.#cap(current);
      return undefined;
    }
    const episode = this.#begin(permit, circumstances);
    if (!episode.shut) this.#lower(episode, circumstances.roundTripMs);
    this.#cap(episode);
    this.#episode = episode;
    this.#acceptedSince = 0;
    this.#acceptedInFlight.clear();
    return episode.shut ? "shut" : "limit";
  }

  #begin({ inFlight }: Permit, { now, next, roundTripMs, isOut }: Refused): Episode {
    const before = this.#episode;
    const close = before !== undefined && now - before.atMs < CLOSE_EPISODES_MS;
    const accepted = this.#acceptedInFlight.value;
    const known = this.pace.accepted;
    const isPaced = this.#isPaced({ now, roundTripMs, inFlight: Math.max(inFlight, accepted) });
    const isNumber = !isPaced && (inFlight > accepted || (!close && known < Number.POSITIVE_INFINITY));
    // One more may have been accepted by luck, while an answer was on its way.
    const surely = close ? 0 : Math.min(accepted, known);
    return {
      atMs: now,
      until: next,
      shut: isOut || (before !== undefined && this.#acceptedSince === 0),
      close,
      exceeded: isNumber ? "number" : "pace",
      isPaced,
      refused: inFlight,
      accepted: isNumber ? surely : accepted,
    };
  }

  /** Whether it is the pace that held requests back of late, with so many in flight. */
  #isPaced({
    now,
    roundTripMs = 0,
    inFlight,
  }: Pick<Refused, "now" | "roundTripMs"> & Pick<Permit, "inFlight">): boolean {
    const { perSecond } = this.pace;
    if (perSecond === undefined || now - this.#pacedAt > roundTripMs + SECOND_MS) return false;
    return perSecond * roundTripMs <= PACED_RATIO * inFlight * SECOND_MS;
  }

  #lower(episode: Episode, roundTripMs: number | undefined): void {
    // The first answers are refusals: the number in flight is all that is known.
    if (roundTripMs === undefined) return;
    const from = this.#refusedPace(episode, Math.max(1, roundTripMs));
    if (episode.exceeded === "number") return this.pace.holdAt(from * UNBOUND_FACTOR);
    const highest = from * KEPT_SHARE;
    const sinceMs = this.#episode === undefined ? Number.POSITIVE_INFINITY : episode.atMs - this.#episode.atMs;
    // Where as many were accepted as ever, the pace itself is at fault: go to what was accepted.
    const byRate = episode.close && episode.accepted >= episode.refused;
    const accepted = (this.#acceptedSince * SECOND_MS) / sinceMs;
    const to = byRate ? Math.min(highest, Math.max(KEPT_LEAST * from, ACCEPTED_FACTOR * accepted)) : highest;
    this.pace.lower({ from, to });
  }

  /** How fast requests were sent when one was refused. */
  #refusedPace({ isPaced, refused, accepted }: Episode, roundTripMs: number): number {
    const known = this.pace.before(roundTripMs + NOTICED_MS) ?? Number.POSITIVE_INFINITY;
    return isPaced ? known : Math.min(known, (Math.max(refused, accepted) * SECOND_MS) / roundTripMs);
  }

  /** So many in flight were accepted, or at least one fewer than were refused. */
  #cap({ shut, refused, accepted }: Episode): void {
    if (!shut) this.pace.cap(Math.max(accepted, refused - 1, 1));
  }
}
