/**
 * Events of schema 1 and 2 become what a newer SDK would have sent: an index event per new user,
 * full events where the flag is tracked, debug events where it is debugged, and one summary of all
 * evaluations. Source: protocol section 6.
 *
 * One summariser per value of the metadata, fed a batch at a time. What it remembers of users
 * counts once the batch was delivered: a batch that is sent again says the same.
 */
import { messageOf, own } from "@waybill/core";
import { type OldEvent, type OldUser, readOldEvent } from "./old-events.ts";

/** As much of a flag as decides about its events. */
export interface Flag {
  readonly variations: readonly unknown[];
  readonly trackEvents?: boolean | undefined;
  /** Epoch ms. */
  readonly debugEventsUntilDate?: number | null | undefined;
}

export interface SummariserOptions {
  /** 1 or 2. */
  readonly schema: number;
  /** Whether events carry their user instead of its key. */
  readonly inlineUsers: boolean;
  readonly flag: (key: string) => Flag | undefined;
  readonly now: () => number;
}

/** Users remembered, and for how long. */
const USERS_MAX = 1_000;
const USERS_MS = 5 * 60_000;
/** A longer key is none of LaunchDarkly's; its user is announced each time. */
const USER_KEY_MAX_CHARACTERS = 256;

export interface Summary {
  /** JSON texts in order: index, full and debug events as they came, the summary last. */
  readonly texts: readonly string[];
  readonly rejected: ReadonlyMap<number, string>;
  /** Remembers the users of the batch; `serverTimeMs` from the answer's Date. */
  readonly delivered: (serverTimeMs: number | undefined) => void;
}

interface Counter {
  readonly variation: number | undefined;
  readonly version: number | undefined;
  readonly value: unknown;
  count: number;
}

interface FlagCounters {
  readonly default: unknown;
  readonly counters: Map<string, Counter>;
}

type Feature = Extract<OldEvent, { kind: "feature" }>;

interface Tracking {
  readonly variation: number | undefined;
  readonly trackEvents: boolean;
  readonly debugUntilMs: number;
}

export class Summariser {
  readonly #options: SummariserOptions;
  /** Keys of users that had an index event; the one seen last is at the end. */
  #users = new Set<string>();
  #usersSinceMs: number;
  #serverTimeMs = 0;

  constructor(options: SummariserOptions) {
    this.#options = options;
    this.#usersSinceMs = options.now();
  }

  /** Summarises a batch of raw events. Changes nothing until `delivered` is called. */
  summarise(events: readonly string[]): Summary {
    const nowMs = this.#options.now();
    const expired = nowMs - this.#usersSinceMs >= USERS_MS;
    const users = new Set(expired ? [] : this.#users);
    const texts: string[] = [];
    const flags = new Map<string, FlagCounters>();
    const rejected = new Map<number, string>();
    let startDate = Number.POSITIVE_INFINITY;
    let endDate = 0;
    for (const [index, text] of events.entries()) {
      let event: OldEvent;
      let made: readonly string[];
      try {
        event = readOldEvent(JSON.parse(text));
        made = this.#eventsFor(event, users, flags, nowMs).map((one) => JSON.stringify(one));
      } catch (error) {
        rejected.set(index, `event was discarded: ${messageOf(error)}`);
        continue;
      }
      if (event.kind === "feature") {
        startDate = Math.min(startDate, event.creationDate);
        endDate = Math.max(endDate, event.creationDate);
      }
      texts.push(...made);
    }
    if (flags.size > 0)
      texts.push(JSON.stringify({ kind: "summary", startDate, endDate, features: featuresOf(flags) }));
    return {
      texts,
      rejected,
      delivered: (serverTimeMs) => {
        this.#users = users;
        if (expired) this.#usersSinceMs = nowMs;
        if (serverTimeMs !== undefined) this.noteServerTime(serverTimeMs);
      },
    };
  }

  /**
   * The vendor's time, from the `Date` of an answer that took events: a debug date that is over
   * there is over.
   */
  noteServerTime(serverTimeMs: number): void {
    this.#serverTimeMs = serverTimeMs;
  }

  #eventsFor(event: OldEvent, users: Set<string>, flags: Map<string, FlagCounters>, nowMs: number): object[] {
    if (event.kind === "alias") {
      const { kind, creationDate, key, contextKind, previousKey, previousContextKind } = event;
      return [{ kind, creationDate, key, contextKind, previousKey, previousContextKind }];
    }
    const { inlineUsers } = this.#options;
    const tracking = event.kind === "feature" ? this.#trackingOf(event) : undefined;
    if (event.kind === "feature") count(flags, event, tracking?.variation);
    const isFull = event.kind !== "feature" || tracking?.trackEvents === true;
    const carriesUser = event.kind === "identify" || (inlineUsers && isFull);
    const made: object[] = [];
    if (remember(users, event.user.key) && !carriesUser)
      made.push({ kind: "index", creationDate: event.creationDate, user: event.user });
    if (isFull) made.push(fullEvent(event, tracking?.variation, inlineUsers));
    const debugUntilMs = tracking?.debugUntilMs ?? 0;
    if (event.kind === "feature" && debugUntilMs > nowMs && debugUntilMs > this.#serverTimeMs)
      made.push({ ...featureEvent(event, tracking?.variation, true), kind: "debug" });
    return made;
  }

  /** Section 6.2. */
  #trackingOf(event: Feature): Tracking {
    const { key, version, variation, trackEvents, debugEventsUntilDate, value } = event;
    if (version === undefined) return { variation: undefined, trackEvents: false, debugUntilMs: 0 };
    if (trackEvents || debugEventsUntilDate !== 0)
      return { variation, trackEvents, debugUntilMs: debugEventsUntilDate };
    const flag = this.#options.flag(key);
    // A flag is data of somebody else.
    if (typeof flag !== "object" || flag === null) return { variation, trackEvents: false, debugUntilMs: 0 };
    return {
      variation: variation ?? (this.#options.schema <= 1 ? indexOf(flag.variations, value) : undefined),
      trackEvents: flag.trackEvents === true,
      debugUntilMs: flag.debugEventsUntilDate ?? 0,
    };
  }
}

/** Whether the user is new; it is the one seen last now. */
function remember(users: Set<string>, key: string): boolean {
  if (key.length > USER_KEY_MAX_CHARACTERS) return true;
  const isNew = !users.delete(key);
  users.add(key);
  if (users.size > USERS_MAX) users.delete(users.values().next().value as string);
  return isNew;
}

function count(flags: Map<string, FlagCounters>, event: Feature, variation: number | undefined): void {
  let flag = flags.get(event.key);
  if (flag === undefined) {
    flag = { default: event.default, counters: new Map() };
    flags.set(event.key, flag);
  }
  const id = `${variation} ${event.version}`;
  const counter = flag.counters.get(id);
  if (counter === undefined) flag.counters.set(id, { variation, version: event.version, value: event.value, count: 1 });
  else counter.count += 1;
}

function featuresOf(flags: Map<string, FlagCounters>): object {
  return Object.fromEntries(
    [...flags].map(([key, { default: fallback, counters }]) => [
      key,
      {
        default: fallback,
        counters: [...counters.values()].map(({ variation, version, value, count: times }) => ({
          ...(variation === undefined ? {} : { variation }),
          ...(version === undefined ? { unknown: true } : { version }),
          value,
          count: times,
        })),
      },
    ]),
  );
}

function fullEvent(
  event: Exclude<OldEvent, { kind: "alias" }>,
  variation: number | undefined,
  inlineUsers: boolean,
): object {
  const { kind, creationDate, user } = event;
  if (event.kind === "identify") return { kind, creationDate, key: user.key, user };
  if (event.kind === "feature") return featureEvent(event, variation, inlineUsers);
  return {
    kind,
    creationDate,
    key: event.key,
    ...(event.data === undefined ? {} : { data: event.data }),
    ...who(user, inlineUsers),
    ...(event.metricValue === undefined ? {} : { metricValue: event.metricValue }),
  };
}

function featureEvent(event: Feature, variation: number | undefined, inlineUser: boolean): object {
  const { kind, creationDate, key, version, user, value, default: fallback, reason } = event;
  return {
    kind,
    creationDate,
    key,
    ...(version === undefined ? {} : { version }),
    ...who(user, inlineUser),
    ...(variation === undefined ? {} : { variation }),
    value,
    default: fallback,
    ...(reason === undefined ? {} : { reason }),
  };
}

function who(user: OldUser, inline: boolean): object {
  return {
    ...(user["anonymous"] === true ? { contextKind: "anonymousUser" } : {}),
    ...(inline ? { user } : { userKey: user.key }),
  };
}

/** The first variation that is deeply equal. */
function indexOf(variations: readonly unknown[] | undefined, value: unknown): number | undefined {
  if (!Array.isArray(variations)) return undefined;
  const index = variations.findIndex((one) => isEqual(one, value));
  return index === -1 ? undefined : index;
}

function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) =>
        Object.hasOwn(b, key) &&
        isEqual(own(a as Record<string, unknown>, key), own(b as Record<string, unknown>, key)),
    )
  );
}
