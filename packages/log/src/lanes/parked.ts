/**
 * Users whose events are set aside, because the first of them fails while others pass. That one is
 * tried alone, now and then; the later ones wait for it, and go once it has its outcome. They
 * stay in the log; here are their positions.
 *
 * Bounded: at most so many users, and so many events that wait. What has no room holds up its
 * strand, as it would without this.
 *
 * Durable: the state has the hash of each user, its first open event, and for how long that has
 * failed. Which events wait for it is found by reading the log again from there.
 */
import type { Position } from "../types.ts";
import { PARKED_MAX, type ParkedValue } from "./lane-value.ts";

/** Positions that all users of a lane have waiting: 1.6 MB of memory. */
const HELD_MAX = 100_000;
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 30_000;

/** An event that waits. */
export interface Held {
  readonly position: Position;
  /** Where its record begins; -1 where that is not known. */
  readonly byte: number;
  /** When it was received, epoch ms. */
  readonly atMs: number;
  readonly bytes: number;
}

/** An attempt of an event alone. */
export interface Failure {
  /** Monotonic. */
  readonly at: number;
  /** For how long the lane's events had passed by then: see `passing.ts`. */
  readonly passedMs: number;
  readonly reason: string;
}

export interface ParkedUser {
  /** The order hash of its events. */
  readonly hash: number;
  /** In order; the first one is tried alone. */
  readonly events: Held[];
  /** Its events before are settled. */
  first: Position;
  /** Whether {@link events} has all that wait: not yet, right after a start. */
  isRead: boolean;
  /** For how long its first event has failed while others passed. */
  failedMs: number;
  /** When that failed last; absent when it has not since the start, or was not tried yet. */
  failure: Failure | undefined;
  /** When it is tried again: monotonic. */
  dueAt: number;
  failures: number;
  /** How many of its first events are being tried. */
  leased: number;
  /** Its first event has its outcome: those after it go together. */
  passing: boolean;
  /** The order hash of whom its first event waits for; 0 where that is nobody, or not known. */
  tie: number;
}

export class Parked {
  readonly #byHash = new Map<number, ParkedUser>();
  readonly #positions = new Set<Position>();

  constructor(values: readonly ParkedValue[], now: number) {
    for (const { hash, position, failedMs } of values) {
      const user = this.#newUser(hash, position, now);
      user.failedMs = failedMs;
      user.isRead = false;
    }
  }

  /** Of the events that wait. */
  bytes = 0;

  /** Users. */
  get size(): number {
    return this.#byHash.size;
  }

  /** Events. */
  get events(): number {
    return this.#positions.size;
  }

  get shape(): { readonly parkedUsers: number; readonly parkedEvents: number } {
    return { parkedUsers: this.size, parkedEvents: this.events };
  }

  /** Whether none has failed: they wait for others, and soon need not. */
  get onlyWait(): boolean {
    return [...this.#byHash.values()].every(
      ({ isRead, failures, failedMs }) => isRead && failures === 0 && failedMs === 0,
    );
  }

  /** How many users more there may be. */
  get room(): number {
    return PARKED_MAX - this.#byHash.size;
  }

  /** After the last event that a user has settled: it may be after what all strands have. */
  get settledTo(): Position {
    let to = 0;
    for (const { first } of this.#byHash.values()) to = Math.max(to, first);
    return to;
  }

  /** Events at `position` and after it. */
  eventsFrom(position: Position): number {
    let events = 0;
    for (const one of this.#positions) if (one >= position) events += 1;
    return events;
  }

  has(hash: number): boolean {
    return this.#byHash.has(hash);
  }

  userOf(hash: number): ParkedUser | undefined {
    return this.#byHash.get(hash);
  }

  /** Whether an event of a user waits that is before `position`, or nobody knows yet. */
  hasBefore(position: Position, { events, isRead, first }: ParkedUser): boolean {
    return (events[0]?.position ?? (isRead ? position : first)) < position;
  }

  holds(position: Position): boolean {
    return this.#positions.has(position);
  }

  /** The first event that is not settled; `undefined` without one. */
  get first(): Held | undefined {
    let first: Held | undefined;
    for (const { events, isRead, first: position } of this.#byHash.values()) {
      const one = events[0] ?? (isRead ? undefined : { position, byte: -1, atMs: Number.POSITIVE_INFINITY, bytes: 0 });
      if (one === undefined) continue;
      if (first === undefined || one.position < first.position) first = one;
    }
    return first;
  }

  /** An event has failed alone, or is a later one of such a user. */
  park(hash: number, held: Held, failure: Failure): void {
    let user = this.#byHash.get(hash);
    if (user === undefined) {
      user = this.#newUser(hash, held.position, failure.at);
      this.failed(user, failure);
    }
    this.#add(user, held);
  }

  /** An event waits for those of another order hash, and the later ones of its user wait for it. */
  parkAfter(hash: number, held: Held, tie: number): void {
    const user = this.#newUser(hash, held.position, Number.NEGATIVE_INFINITY);
    user.passing = true;
    user.tie = tie;
    this.#add(user, held);
  }

  /**
   * Takes an event of a parked user to those that wait. `full`: there is no room; `none`: its user
   * is not parked.
   */
  hold(hash: number, held: Held): "held" | "full" | "none" {
    const user = this.#byHash.get(hash);
    if (user === undefined || held.position < user.first) return "none";
    if (this.#positions.has(held.position)) return "held";
    if (this.#positions.size >= HELD_MAX) return "full";
    this.#add(user, held);
    return "held";
  }

  /** The log was read again up to where the lane was at the start: all that waits is known. */
  allRead(): void {
    for (const user of this.#byHash.values()) user.isRead = true;
  }

  /**
   * Forgets users of whom nothing waits. Not before `firstOf` their strand is behind what they had
   * settled: its position does not show that it is.
   */
  prune(firstOf: (hash: number) => Position): void {
    for (const { isRead, events, hash, first } of this.#byHash.values())
      if (isRead && events.length === 0 && firstOf(hash) >= first) this.#byHash.delete(hash);
  }

  /** Who is to be tried now, and may be. */
  due(now: number, mayGo: (user: ParkedUser) => boolean): ParkedUser | undefined {
    for (const user of this.#byHash.values())
      if (user.leased === 0 && user.dueAt <= now && user.events.length > 0 && mayGo(user)) return user;
    return undefined;
  }

  /**
   * Whose first event has failed for so long while others passed, and failed before `deliveredAt`,
   * when something passed.
   */
  failedFor(ms: number, deliveredAt: number): ParkedUser | undefined {
    for (const user of this.#byHash.values()) {
      const { leased, events, failedMs, failure } = user;
      const isOver = failure !== undefined && failure.at < deliveredAt && failedMs >= ms;
      if (isOver && leased === 0 && events.length > 0) return user;
    }
    return undefined;
  }

  /**
   * Nothing had passed after `since`: what has failed since then tells nothing of its event. Who
   * never failed while others passed is tried at once.
   */
  outageEnded(since: number, now: number): void {
    for (const user of this.#byHash.values()) {
      if ((user.failure?.at ?? since) > since) user.failure = undefined;
      if (user.failedMs === 0) user.dueAt = Math.min(user.dueAt, now);
    }
  }

  /** The first event has its outcome; the next one has not been tried. */
  settled(user: ParkedUser): void {
    const held = user.events.shift();
    if (held !== undefined) this.#delete(held);
    notTried(user);
    user.passing = true;
    user.first = user.events[0]?.position ?? (held?.position ?? user.first) + 1;
  }

  /** Somebody wants to know whether they pass now: all are due. False when nobody is parked. */
  retryNow(now: number): boolean {
    for (const user of this.#byHash.values()) user.dueAt = Math.min(user.dueAt, now);
    return this.#byHash.size > 0;
  }

  /**
   * The first event has failed alone. The time since it failed before counts as far as others
   * passed: in an outage, and while the vendor refuses the credential or the rate, none does.
   */
  failed(user: ParkedUser, failure: Failure): void {
    const before = user.failure;
    if (before !== undefined) user.failedMs += Math.min(failure.at - before.at, failure.passedMs - before.passedMs);
    user.failure = failure;
    user.passing = false;
    user.dueAt = failure.at + Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(user.failures, 10));
    user.failures += 1;
  }

  /**
   * Retention has taken what is before `first`. Returns what waited there, but what is being tried.
   */
  removeBefore(first: Position): readonly Position[] {
    const removed: Position[] = [];
    for (const user of this.#byHash.values()) {
      const { leased, events } = user;
      const end = events.findIndex(({ position }, index) => index >= leased && position >= first);
      const gone = events.splice(leased, (end === -1 ? events.length : end) - leased);
      for (const held of gone) {
        this.#delete(held);
        removed.push(held.position);
      }
      if (leased > 0) continue;
      if (user.first < first) notTried(user);
      // Its first event may not have been read again since the start.
      user.first = Math.max(events[0]?.position ?? user.first, first);
    }
    return removed;
  }

  values(): ParkedValue[] {
    return [...this.#byHash.values()].map(({ hash, first, failedMs }) => ({ hash, position: first, failedMs }));
  }

  #newUser(hash: number, first: Position, now: number): ParkedUser {
    const user: ParkedUser = {
      hash,
      events: [],
      first,
      isRead: true,
      failedMs: 0,
      failure: undefined,
      dueAt: now,
      failures: 0,
      leased: 0,
      passing: false,
      tie: 0,
    };
    this.#byHash.set(hash, user);
    return user;
  }

  #delete({ position, bytes }: Held): void {
    this.#positions.delete(position);
    this.bytes -= bytes;
  }

  #add(user: ParkedUser, held: Held): void {
    user.events.push(held);
    this.#positions.add(held.position);
    this.bytes += held.bytes;
  }
}

/** Another event is the first one now: nothing is known of it yet. */
function notTried(user: ParkedUser): void {
  user.passing = false;
  user.failures = 0;
  user.failedMs = 0;
  user.failure = undefined;
  user.dueAt = Number.NEGATIVE_INFINITY;
  user.tie = 0;
}
