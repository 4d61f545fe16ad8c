/**
 * Users whose events are set aside, because the first of them fails while others pass. That one is
 * tried alone, now and then; the later ones wait behind it, and go once it has its outcome. They
 * stay in the log; here are their positions.
 *
 * Bounded: at most so many users, and so many events that wait. What has no room holds up its
 * strand, as it would without this.
 *
 * Durable: the state has the hash of each user, its first open event, and for how long that has
 * failed. Which events wait behind it is found by reading the log again from there.
 */
import type { Position } from "../types.ts";
import { PARKED_MAX, type ParkedValue } from "./lane-value.ts";

/** Positions that all users of a lane have waiting: 1.6 MB of memory. */
const HELD_MAX = 100_000;
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 30_000;

/** An event that waits, and where its record begins. */
export interface Held {
  readonly position: Position;
  readonly byte: number;
}

export interface ParkedUser {
  /** The order hash of its first event; others may be tied to it. */
  readonly hash: number;
  /** In order; the first one is tried alone. */
  readonly events: Held[];
  /** Where its first event is; it may not have been read again since the start. */
  first: Position;
  /** For how long its first event has failed while others passed. */
  failedMs: number;
  /** When it was tried last, and is tried again: monotonic. */
  triedAt: number;
  dueAt: number;
  failures: number;
  /** Being tried. */
  leased: boolean;
  /** Its first event has its outcome: those behind it go together. */
  passing: boolean;
}

export class Parked {
  /** By every hash whose events wait. */
  readonly #byHash = new Map<number, ParkedUser>();
  readonly #users = new Set<ParkedUser>();
  readonly #positions = new Set<Position>();

  constructor(values: readonly ParkedValue[], now: number) {
    for (const { hash, position, failedMs } of values) {
      const user = this.#newUser(hash, position, now);
      user.failedMs = failedMs;
      user.dueAt = now;
    }
  }

  /** Users. */
  get size(): number {
    return this.#users.size;
  }

  /** Events. */
  get events(): number {
    return this.#positions.size;
  }

  /** How many users more there may be. */
  get room(): number {
    return PARKED_MAX - this.#users.size;
  }

  /** Events at `position` and behind it. */
  eventsFrom(position: Position): number {
    let events = 0;
    for (const one of this.#positions) if (one >= position) events += 1;
    return events;
  }

  has(hash: number): boolean {
    return this.#byHash.has(hash);
  }

  holds(position: Position): boolean {
    return this.#positions.has(position);
  }

  /** The first event that is not settled; `undefined` without one. */
  get first(): Held | undefined {
    let first: Held | undefined;
    for (const { events, first: position } of this.#users) {
      const one = events[0] ?? { position, byte: -1 };
      if (first === undefined || one.position < first.position) first = one;
    }
    return first;
  }

  /** An event has failed while others passed, or is a later one of such a user. */
  park(hash: number, held: Held, now: number): void {
    this.#add(this.#byHash.get(hash) ?? this.#newUser(hash, held.position, now), held);
  }

  /**
   * Takes an event of a parked user to those that wait; `tie`: it waits for that user although it
   * is another's, whose later events wait too. `full`: there is no room; `none`: nobody to wait
   * for.
   */
  hold(hash: number, tie: number, held: Held): "held" | "full" | "none" {
    const user = this.#byHash.get(hash) ?? (tie === 0 ? undefined : this.#byHash.get(tie));
    if (user === undefined || held.position < user.first) return "none";
    if (this.#positions.has(held.position)) return "held";
    if (this.#positions.size >= HELD_MAX) return "full";
    this.#byHash.set(hash, user);
    this.#add(user, held);
    return "held";
  }

  /** The log was read again up to where the lane was at the start: who has no events is done. */
  allRead(): void {
    for (const user of this.#users) if (user.events.length === 0) this.#forget(user);
  }

  /** Who is to be tried now. */
  due(now: number): ParkedUser | undefined {
    for (const user of this.#users) if (!user.leased && user.dueAt <= now && user.events.length > 0) return user;
    return undefined;
  }

  /** The first event has its outcome. */
  settled(user: ParkedUser): void {
    const held = user.events.shift();
    if (held !== undefined) this.#positions.delete(held.position);
    user.passing = true;
    user.failures = 0;
    user.failedMs = 0;
    user.dueAt = user.triedAt;
    const [next] = user.events;
    if (next !== undefined) user.first = next.position;
    else this.#forget(user);
  }

  /** It has failed again; `othersPassed` since it was tried before. Returns for how long in all. */
  failed(user: ParkedUser, now: number, othersPassed: boolean): number {
    if (othersPassed) user.failedMs += now - user.triedAt;
    user.triedAt = now;
    user.passing = false;
    user.dueAt = now + Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(user.failures, 10));
    user.failures += 1;
    return user.failedMs;
  }

  /** Retention has taken what is before `first`. Returns what waited there, but what is being tried. */
  removeBefore(first: Position): readonly Position[] {
    const removed: Position[] = [];
    for (const user of this.#users) {
      if (user.leased) continue;
      user.first = Math.max(user.first, first);
      while (user.events[0] !== undefined && user.events[0].position < first) {
        removed.push(user.events[0].position);
        this.settled(user);
      }
    }
    return removed;
  }

  values(): ParkedValue[] {
    return [...this.#users].map(({ hash, first, failedMs }) => ({ hash, position: first, failedMs }));
  }

  #newUser(hash: number, first: Position, now: number): ParkedUser {
    const user: ParkedUser = {
      hash,
      events: [],
      first,
      failedMs: 0,
      triedAt: now,
      dueAt: now + FIRST_WAIT_MS,
      failures: 1,
      leased: false,
      passing: false,
    };
    this.#users.add(user);
    this.#byHash.set(hash, user);
    return user;
  }

  #add(user: ParkedUser, held: Held): void {
    user.events.push(held);
    this.#positions.add(held.position);
  }

  #forget(user: ParkedUser): void {
    this.#users.delete(user);
    for (const [hash, one] of this.#byHash) if (one === user) this.#byHash.delete(hash);
  }
}
