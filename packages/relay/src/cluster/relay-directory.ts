/**
 * The relays before a cluster, as each tells of itself in the topic `<prefix>.relays`, and how long
 * ago: what any relay knows of all the others.
 */
import type { Clock } from "@waybill/core";
import { z } from "zod";
import { laneMode } from "../admin/schemas/overview.ts";
import { DESTINATIONS_MAX, destinationKey } from "./reported-config.ts";

/** Of one record: some 200 KB with names of usual length. */
export const LANES_MAX = 1_000;

/**
 * More than a cluster has in an hour, and more than a relay writes of itself: who else can write to
 * the topic must not fill our memory.
 */
const RELAYS_MAX = 256;
const NAME_MAX_CHARACTERS = 100;
const REASON_MAX_CHARACTERS = 500;
const TEXT_MAX_CHARACTERS = 2_000;
const TEXTS_MAX = 100;
/** The last instant that a date has. */
const LATEST_MS = 8.64e15;

const count = z.number().int().min(0);
const text = z.string().max(TEXT_MAX_CHARACTERS);
const texts = z.array(text).max(TEXTS_MAX);

const laneEntry = z.object({
  environment: z.string().max(NAME_MAX_CHARACTERS),
  destination: z.string().max(NAME_MAX_CHARACTERS),
  partition: count,
  mode: laneMode,
  reason: z.string().max(REASON_MAX_CHARACTERS).exactOptional(),
  /** Of the cursor, in the partition. */
  position: count,
  /** Of a record at or before the cursor. */
  offset: count,
  pendingEvents: count,
  oldestPendingMs: z.number().min(0).exactOptional(),
  /** Requests. */
  inFlight: count,
});

const relayRecord = z.object({
  /** Made at the start of the process. */
  id: text,
  /** Host name and process id. */
  name: text,
  version: text,
  startedAtMs: count.max(LATEST_MS),
  /** Where its admin API is, as `kafka.advertise` says. Absent: it does not say. */
  adminUrl: text.exactOptional(),
  /** The first hexadecimal characters of the SHA-256 of the configuration that it runs. */
  configDigest: text,
  /** Of that configuration, as {@link destinationKey}. Absent: there are more than 1,000. */
  destinations: z
    .array(z.string().max(2 * NAME_MAX_CHARACTERS + 1))
    .max(DESTINATIONS_MAX)
    .exactOptional(),
  /** All records of the desired state before this offset are carried out. */
  appliedOffset: count,
  /** What it could not carry out of the desired state, a sentence each. */
  faults: texts,
  /** Why its last reload of this process was refused; empty: it was not, or there was none. */
  reloadErrors: texts,
  /** At most 1,000, those that do not deliver first. */
  lanes: z.array(laneEntry).max(LANES_MAX),
  /** How many more lanes it has. */
  lanesLeftOut: count,
});

/** A lane that a relay has: one destination's, of one partition. */
export type LaneEntry = Readonly<z.infer<typeof laneEntry>>;
/** What a relay tells of itself. */
export type RelayRecord = Readonly<Omit<z.infer<typeof relayRecord>, "lanes">> & {
  readonly lanes: readonly LaneEntry[];
};

export interface RelayEntry extends RelayRecord {
  /** The relay that is asked. */
  readonly isSelf: boolean;
  /** Since its last record, ms. */
  readonly seenMs: number;
  /** No record for 15 s, and none that it stops: it died, or is cut off. */
  readonly isMissing: boolean;
}

const MISSING_MS = 15_000;
const FORGOTTEN_MS = 3_600_000;

interface Seen {
  readonly record: RelayRecord;
  /** By our monotonic clock. */
  readonly atMs: number;
}

export class RelayDirectory {
  readonly #clock: Clock;
  readonly #selfId: string;
  readonly #seen = new Map<string, Seen>();
  #readAtMs: number;

  constructor(clock: Clock, selfId: string) {
    this.#clock = clock;
    this.#selfId = selfId;
    this.#readAtMs = clock.monotonic();
  }

  /** Id of this relay. */
  get selfId(): string {
    return this.#selfId;
  }

  /**
   * Those that run or may run. Who stopped in order is not among them, nor who died and was started
   * again, or was not seen for an hour, once others have its lanes. By name.
   */
  relays(): readonly RelayEntry[] {
    const nowMs = this.#clock.monotonic();
    const all = [...this.#seen.values()]
      .map(({ record, atMs }) => ({ record, seenMs: nowMs - atMs }))
      .map(({ record, seenMs }) => ({
        ...record,
        isSelf: record.id === this.#selfId,
        seenMs,
        isMissing: seenMs >= MISSING_MS,
      }))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1));
    const running = all.filter(({ isMissing }) => !isMissing);
    return all.filter((relay) => !relay.isMissing || !isGone(relay, running));
  }

  /**
   * Names of destinations of an environment that relays with another configuration than this one's
   * have; `undefined`: one of them does not tell all that it has.
   */
  destinationsElsewhere(environment: string): readonly string[] | undefined {
    const relays = this.relays();
    const own = relays.find(({ isSelf }) => isSelf)?.configDigest;
    const named = relays.filter(({ configDigest }) => configDigest !== own).map(({ destinations }) => destinations);
    const start = destinationKey({ environment, destination: "" });
    const names = new Set<string>();
    for (const keys of named) {
      if (keys === undefined) return undefined;
      for (const key of keys) if (key.startsWith(start)) names.add(key.slice(start.length));
    }
    return [...names];
  }

  /** Since the topic was read to its end, ms. When it is long ago, everybody seems missing. */
  get readMs(): number {
    return this.#clock.monotonic() - this.#readAtMs;
  }

  /** The topic was read to its end. */
  read(): void {
    this.#readAtMs = this.#clock.monotonic();
  }

  /** A record of the topic that was written `ageMs` ago. What is not ours says nothing. */
  note(id: string, value: string, ageMs: number): void {
    const record = parseRecord(value);
    if (record?.id !== id) return;
    // Those that were heard of last come last.
    this.#seen.delete(id);
    this.#seen.set(id, { record, atMs: this.#clock.monotonic() - ageMs });
    for (const other of this.#seen.keys()) {
      if (this.#seen.size <= RELAYS_MAX) return;
      if (other !== this.#selfId) this.#seen.delete(other);
    }
  }

  /** It stopped in order, or was gone for long. */
  forget(id: string): void {
    this.#seen.delete(id);
  }

  /** Those whose last record may go from the topic: it is too old, or another has their place. */
  get forgotten(): readonly string[] {
    const known = new Set(this.relays().map(({ id }) => id));
    return [...this.#seen.keys()].filter((id) => !known.has(id));
  }
}

/**
 * Whether a later process has its address, or it was silent for long; and others deliver its lanes,
 * or nobody is to. Silence alone says nothing: it may be cut off from the topic alone, and send.
 */
function isGone({ adminUrl, startedAtMs, seenMs, lanes }: RelayEntry, running: readonly RelayEntry[]): boolean {
  const isOld = seenMs >= FORGOTTEN_MS;
  const isOfIt = (other: RelayEntry): boolean => other.adminUrl === adminUrl && other.startedAtMs > startedAtMs;
  const isStartedAgain = adminUrl !== undefined && running.some(isOfIt);
  if (!isOld && !isStartedAgain) return false;
  // Among those that do not name all their lanes may be any.
  if (isOld && running.some(({ lanesLeftOut }) => lanesLeftOut > 0)) return true;
  const telling = running.filter((other) => other.destinations !== undefined || other.lanes.length > 0);
  if (telling.length === 0) return lanes.length === 0;
  const taken = new Set(telling.flatMap((other) => other.lanes.map(laneNameOf)));
  const wanted = new Set(telling.flatMap((other) => other.destinations ?? other.lanes.map(destinationKey)));
  return lanes.every((lane) => taken.has(laneNameOf(lane)) || !wanted.has(destinationKey(lane)));
}

export function laneNameOf({ environment, destination, partition }: LaneEntry): string {
  return `${environment}/${destination}/${partition}`;
}

function parseRecord(value: string): RelayRecord | undefined {
  try {
    return relayRecord.safeParse(JSON.parse(value)).data;
  } catch {
    return undefined;
  }
}
