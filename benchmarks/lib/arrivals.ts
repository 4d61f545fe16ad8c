/**
 * What a vendor finds out about the events that reach it: which came, which came again, and whether
 * those of each user came in order. Cheap enough to be asked 300,000 times a second: typed arrays
 * by ordinal and by user.
 *
 * An event breaks the order of its user when it arrives for the first time
 * - after a later event of the user, or
 * - while another request with an event of the user is not answered yet: had that one failed, the
 *   order would be lost.
 * It counts once, whatever it breaks. An event that came before is a duplicate, and breaks nothing:
 * only so can a request be sent again whose answer was lost. Events of a request that is refused
 * have not arrived; the request is in flight all the same.
 */
import { grown, Marks, NORMAL, USERS_MAX } from "./marks.ts";

export interface ArrivalsReport {
  /** Different events. */
  readonly events: number;
  /** Those of them whose users have no poisonous event. */
  readonly others: number;
  /** Events that were taken again. */
  readonly duplicates: number;
  readonly orderViolations: number;
  readonly requests: number;
  /** Requests that are not answered. */
  readonly open: number;
  /** Most requests at once. */
  readonly inFlight: number;
  /** When the first request was there, epoch ms. */
  readonly firstAtMs: number;
  /** When the last answer was given, epoch ms. */
  readonly lastAtMs: number;
  /** From when an event was sent to its arrival, of users without poisonous events. */
  readonly longestDelayMs: number;
}

/** A request. */
export interface Arrived {
  readonly events: number;
  /** Whether its events count as arrived. */
  readonly isTaken: boolean;
  /** Whose events it has, each once; empty once it is answered. */
  users: readonly number[];
  isOpen: boolean;
}

const ORDINALS_AT_FIRST = 65_536;

export class Arrivals {
  readonly #marks = new Marks();
  #seen: Uint8Array = new Uint8Array(ORDINALS_AT_FIRST);
  /** By user: the highest ordinal that arrived, and -1 for none. */
  readonly #newest = new Int32Array(USERS_MAX).fill(-1);
  /** By user: requests in flight with an event of theirs. */
  readonly #openRequests = new Int32Array(USERS_MAX);
  /** By user: the last request with an event of theirs, and whether it met another one. */
  readonly #lastRequest = new Int32Array(USERS_MAX);
  readonly #hasMet = new Uint8Array(USERS_MAX);
  #events = 0;
  #others = 0;
  #duplicates = 0;
  #orderViolations = 0;
  #requests = 0;
  #open = 0;
  #inFlight = 0;
  #firstAtMs = 0;
  #lastAtMs = 0;
  #longestDelayMs = 0;
  /** Delays of events that were sent later are not of interest. */
  delaysUntilMs: number = Number.POSITIVE_INFINITY;

  /** A request is here, whole. `takes`: whether its events arrive with it. */
  arrive(body: Buffer, atMs: number, takes: (poisonous: number) => boolean = () => true): Arrived {
    const marks = this.#marks;
    marks.read(body);
    this.#requests += 1;
    this.#open += 1;
    this.#inFlight = Math.max(this.#inFlight, this.#open);
    if (this.#requests === 1) this.#firstAtMs = atMs;
    const users = this.#enter();
    const isTaken = takes(marks.poisonous);
    if (isTaken) for (let index = 0; index < marks.count; index++) this.#take(index, atMs);
    return { events: marks.count, isTaken, users, isOpen: true };
  }

  /** It is answered, or its connection is gone. Once is enough, more often is harmless. */
  answered(request: Arrived, atMs: number): void {
    if (!request.isOpen) return;
    request.isOpen = false;
    this.#open -= 1;
    this.#lastAtMs = atMs;
    for (const user of request.users) this.#openRequests[user] = (this.#openRequests[user] as number) - 1;
    request.users = [];
  }

  report(): ArrivalsReport {
    return {
      events: this.#events,
      others: this.#others,
      duplicates: this.#duplicates,
      orderViolations: this.#orderViolations,
      requests: this.#requests,
      open: this.#open,
      inFlight: this.#inFlight,
      firstAtMs: this.#firstAtMs,
      lastAtMs: this.#lastAtMs,
      longestDelayMs: this.#longestDelayMs,
    };
  }

  /** Notes the users of the request. Returns each once. */
  #enter(): readonly number[] {
    const { count, users: all } = this.#marks;
    const users: number[] = [];
    for (let index = 0; index < count; index++) {
      const user = all[index] as number;
      if (this.#lastRequest[user] === this.#requests) continue;
      this.#lastRequest[user] = this.#requests;
      const others = this.#openRequests[user] as number;
      this.#hasMet[user] = others > 0 ? 1 : 0;
      this.#openRequests[user] = others + 1;
      users.push(user);
    }
    return users;
  }

  #take(index: number, atMs: number): void {
    const { users, ordinals, kinds, sentAtMs } = this.#marks;
    const user = users[index] as number;
    const ordinal = ordinals[index] as number;
    if (ordinal >= this.#seen.length)
      this.#seen = grown(this.#seen, new Uint8Array(2 * Math.max(this.#seen.length, ordinal)));
    if (this.#seen[ordinal] === 1) {
      this.#duplicates += 1;
      return;
    }
    this.#seen[ordinal] = 1;
    this.#events += 1;
    if ((this.#newest[user] as number) > ordinal || this.#hasMet[user] === 1) this.#orderViolations += 1;
    if ((this.#newest[user] as number) < ordinal) this.#newest[user] = ordinal;
    if (kinds[index] !== NORMAL) return;
    this.#others += 1;
    const sent = sentAtMs[index] as number;
    if (sent > 0 && sent < this.delaysUntilMs) this.#longestDelayMs = Math.max(this.#longestDelayMs, atMs - sent);
  }
}
