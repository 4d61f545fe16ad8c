/** The parts of a lane with strands, opened on a disk, and the order of the users in it. */
import type { Batch, BatchLimits, Clock, Disk } from "@waybill/core";
import {
  DeadLetters,
  Fates,
  fatesOf,
  type Log,
  type LogBatch,
  type LogRecord,
  LogStore,
  type OrderHashes,
  openLaneState,
  openLog,
} from "@waybill/log";
import { SeededRandom } from "@waybill/testing";

export const DIRECTORIES = ["/log", "/lanes", "/dead", "/dead/marks", "/fates"] as const;
const NAME = "one";
/** Small, so that a run has many segments, blocks and runs. */
const SEGMENT_BYTES = 500;
const TAIL_MAX_RUNS = 4;
const GIVE_UP_AFTER_MS = 60_000;
/** Of events that are nobody's the order is nobody's. */
const NOBODY = 0;

/** What an operator may change. */
export interface StrandSettings {
  readonly order: "user" | "arrival" | "none";
  readonly maxInFlight: number;
}

export interface StrandEvent {
  readonly user: number;
  /** A user whose earlier events go first as well; 0 for none. */
  readonly tie: number;
}

export interface StrandLane {
  readonly log: Log;
  readonly store: LogStore;
  readonly deadLetters: DeadLetters;
  readonly settings: StrandSettings;
}

export interface OpenStrandLane {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly settings: StrandSettings;
  readonly durableLease: boolean;
}

export async function openStrandLane({ disk, clock, settings, durableLease }: OpenStrandLane): Promise<StrandLane> {
  const runtime = { disk, clock };
  const log = await openLog({ directory: "/log", segmentMaxBytes: SEGMENT_BYTES }, runtime);
  const state = await openLaneState({ disk, directory: "/lanes", name: NAME, log, random: new SeededRandom(1) });
  const deadLetters = await DeadLetters.open("/dead", log.head, runtime, state.initial.dead);
  const lane = { directory: "/fates", runtime, ...fatesOf(state.initial, log) };
  const fates = await Fates.open({ ...lane, tailMaxRuns: TAIL_MAX_RUNS });
  const delivery = {
    durableLease,
    order: settings.order,
    orderOf,
    maxInFlight: () => settings.maxInFlight,
    giveUpAfterMs: GIVE_UP_AFTER_MS,
  };
  const store = new LogStore({ name: NAME, log, state, fates, deadLetters, clock, delivery });
  return { log, store, deadLetters, settings };
}

export function reconfigure({ store }: StrandLane, { order, maxInFlight }: StrandSettings): void {
  store.reconfigure({ order, maxInFlight: () => maxInFlight });
}

export async function closeStrandLane({ log, store }: StrandLane): Promise<void> {
  await store.close();
  await log.close();
}

const hashOf = (user: number): number => (user === NOBODY ? 0 : Math.imul(user, 0x9e3779b1) >>> 0);

function orderOf({ body, ends }: LogRecord): OrderHashes {
  const events = Array.from(ends, (end, at): StrandEvent => {
    const start = at === 0 ? 0 : (ends[at - 1] as number) + 1;
    return JSON.parse(Buffer.from(body.subarray(start, end)).toString()) as StrandEvent;
  });
  const ties = Uint32Array.from(events, ({ tie }) => hashOf(tie));
  return {
    hashes: Uint32Array.from(events, ({ user }) => hashOf(user)),
    ties: ties.some((tie) => tie !== 0) ? ties : undefined,
  };
}

const USERS = 9;
const RECORD_EVENTS_MAX = 4;
const TIE_SHARE = 0.06;

export function newEvents(random: SeededRandom): readonly StrandEvent[] {
  return Array.from({ length: 1 + random.below(RECORD_EVENTS_MAX) }, () => ({
    user: random.below(USERS + 1),
    tie: random.chance(TIE_SHARE) ? 1 + random.below(USERS) : NOBODY,
  }));
}

export async function append(log: Log, events: readonly StrandEvent[]): Promise<number> {
  const texts = events.map((event) => JSON.stringify(event));
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
  const body = [Buffer.from(texts.join(","))];
  return log.append({ source: "s", receivedAtMs: 7, metadata: "", body, ends });
}

/** A batch on its way. */
export interface Flight {
  readonly batch: LogBatch;
  readonly positions: readonly number[];
}

/** Leases a batch as a lane does; `undefined` for nothing. */
export async function lease({ store }: StrandLane, limits: BatchLimits): Promise<Flight | undefined> {
  const batch = (await store.lease(limits)) as (Batch & LogBatch) | undefined;
  if (batch === undefined) return undefined;
  return { batch, positions: Array.from({ length: batch.count }, (_, index) => batch.positionAt(index)) };
}

export interface OrderCheck {
  readonly flight: Flight;
  readonly events: readonly StrandEvent[];
  /** Whether an event has no outcome. */
  readonly isOpen: (position: number) => boolean;
  readonly isLeased: (position: number) => boolean;
  readonly isOrdered: boolean;
}

/** What is wrong with sending these events now; `undefined` for nothing. */
export function wrongWith({ flight, events, isOpen, isLeased, isOrdered }: OrderCheck): string | undefined {
  const own = new Set(flight.positions);
  for (const [index, position] of flight.positions.entries()) {
    if (!isOpen(position)) return `the event at ${position} has its outcome and is sent`;
    if (isLeased(position)) return `the event at ${position} is in two requests at once`;
    if (!isOrdered) continue;
    if (index > 0 && position < (flight.positions[index - 1] as number)) return `a request has no order at ${position}`;
    const { user, tie } = events[position] as StrandEvent;
    for (let before = 0; before < position; before++) {
      const earlier = events[before] as StrandEvent;
      const mustWait = earlier.user !== NOBODY && (earlier.user === user || earlier.user === tie);
      if (mustWait && !own.has(before) && isOpen(before))
        return `the event at ${position} of user ${user} overtakes the one at ${before} of user ${earlier.user}`;
    }
  }
  return undefined;
}

/** The dead letters' positions. */
export async function deadPositions({ deadLetters }: StrandLane): Promise<readonly number[]> {
  const positions: number[] = [];
  for await (const { position } of deadLetters.list()) positions.push(position);
  return positions;
}

/** What is wrong with how the lane counts; `undefined` for nothing. */
export async function wrongCounts(lane: StrandLane): Promise<string | undefined> {
  const { log, store } = lane;
  const early = JSON.stringify(store.account());
  const counts = { delivered: 0, rejected: 0, expired: 0, dropped: 0, pending: 0, unknown: 0, not_addressed: 0 };
  let needed: number | undefined;
  for (let position = 0; position < log.head; position++) {
    const { status } = await store.fateAt(position);
    counts[status] += 1;
    if (status === "pending") needed ??= position;
  }
  const account = store.account();
  if (JSON.stringify(account) !== early) return `the ledger was ${early}, once read it is ${JSON.stringify(account)}`;
  const { balanced, accepted, droppedTotal: dropped, delivered, rejected, expired, pending } = account;
  const ledger = { delivered, rejected, expired, dropped, pending, unknown: 0, not_addressed: store.base };
  if (!balanced || accepted !== log.head) return `the ledger does not balance: ${early}`;
  if (JSON.stringify(counts) !== JSON.stringify(ledger))
    return `the fates are ${JSON.stringify(counts)}, the ledger ${JSON.stringify(ledger)}`;
  if (store.unknownFates !== 0) return `${store.unknownFates} fates are unknown`;
  if (account.dropped.log_damaged !== undefined) return `the ledger has damage: ${early}`;
  if (store.neededFrom > (needed ?? log.head)) return `${needed} is pending, and needed from ${store.neededFrom} on`;
  return undefined;
}
