/**
 * What lies in a spool's directory: a lock, the log, and per destination its cursor and its dead
 * letters.
 *
 * Whatever was found damaged or lost is reported with its amount: the purpose of a spool is that
 * nothing is lost silently.
 */
import {
  type AccountView,
  type Clock,
  type Disk,
  isFinal,
  type Lane,
  type LaneOptions,
  messageOf,
  OperatedLane,
  type Outcome,
  WaybillError,
} from "@waybill/core";
import {
  DeadLetters,
  LaneState,
  type LaneStateValue,
  type Log,
  type LogBatch,
  LogStore,
  newLaneId,
  newLaneState,
  openLog,
  type Position,
} from "@waybill/log";
import type { DirectoryLock } from "@waybill/node";
import { segmentOrderHashes } from "@waybill/vendors";
import type { Destination } from "../destinations.ts";
import { MAX_IN_FLIGHT } from "../in-flight.ts";
import type { PipelineOptions } from "../options.ts";
import { reportTo } from "../pipeline.ts";
import { messageIdOf } from "../serialise.ts";
import { type WatchedLane, watchedLane } from "../watched-lane.ts";
import { StoredEvents } from "./stored-events.ts";

/** What the spool needs of the machine; replaced by tests. */
export interface SpoolHost {
  readonly disk: Disk;
  readonly lock: (directory: string) => Promise<DirectoryLock>;
}

export interface SpoolLane extends WatchedLane {
  readonly name: string;
  readonly store: LogStore;
  /** The ledger as earlier processes left it. */
  readonly before: AccountView;
  /** Everything below has its outcome, and that was reported. */
  doneTo: Position;
  /** From there on, of the events that somebody may wait for: those that have their outcome. */
  readonly doneAhead: Set<Position>;
  /** Damaged events, as far as they were reported. */
  reportedDamaged: number;
}

export interface OpenSpool {
  readonly lock: DirectoryLock;
  readonly log: Log;
  readonly lanes: readonly SpoolLane[];
  readonly events: StoredEvents;
}

export const SEGMENT_BYTES: number = 8 * 1024 * 1024;

/** **Errors**: `WAYBILL_LOG_LOCKED`, `WAYBILL_DISK`, `WAYBILL_LOG_DAMAGED`. */
export async function openSpool(directory: string, host: SpoolHost, pipeline: PipelineOptions): Promise<OpenSpool> {
  const { disk } = host;
  await disk.makeDirectory(directory);
  const lock = await host.lock(directory);
  const events = new StoredEvents();
  const lanes: SpoolLane[] = [];
  let log: Log | undefined;
  try {
    const runtime = { disk, clock: pipeline.host.runtime.clock };
    log = await openLog({ directory: `${directory}/log`, segmentMaxBytes: SEGMENT_BYTES }, runtime);
    reportDamage(directory, log, pipeline);
    for (const destination of pipeline.destinations)
      lanes.push(await openLane(directory, destination, { log, events, runtime, pipeline }));
    await reportForgotten(directory, disk, log, pipeline);
    return { lock, log, lanes, events };
  } catch (error) {
    // With what was reported: the next try must not report it again.
    await closeLogs(lanes, log).catch(() => undefined);
    await lock.release();
    throw error;
  }
}

/** Delivers from here on, what an earlier process left first. */
export function startSpool({ log, lanes }: OpenSpool): void {
  const notify = (): void => {
    for (const { lane } of lanes) lane.notify();
  };
  log.onCommit(notify);
  notify();
}

/** After every lane was closed. */
export async function closeSpool({ lanes, log, lock }: OpenSpool): Promise<void> {
  try {
    await closeLogs(lanes, log);
  } finally {
    await lock.release();
  }
}

async function closeLogs(lanes: readonly SpoolLane[], log: Log | undefined): Promise<void> {
  await Promise.all(lanes.map(({ store }) => store.close()));
  await log?.close();
}

interface Opening {
  readonly log: Log;
  readonly events: StoredEvents;
  readonly runtime: { readonly disk: Disk; readonly clock: Clock };
  readonly pipeline: PipelineOptions;
}

async function openLane(
  directory: string,
  destination: Destination,
  { log, events, runtime, pipeline }: Opening,
): Promise<SpoolLane> {
  const { name } = destination;
  const state = await LaneState.open<LaneStateValue>(runtime.disk, `${directory}/lanes`, name, (damaged) => {
    if (damaged)
      pipeline.onError(
        damageOf(directory, `the cursor of ${name} cannot be read; all ${log.head - log.first} events are sent again`),
      );
    return newLaneState(log, damaged, newLaneId(pipeline.host.runtime.random));
  });
  const lost = state.initial.position - log.head;
  if (lost > 0) pipeline.onError(damageOf(directory, `its end is missing: ${lost} events that ${name} was done with`));
  const deadLetters = await DeadLetters.open(`${directory}/dead/${name}`, log.head, runtime, state.initial.dead);
  const store = new LogStore({
    name,
    log,
    clock: runtime.clock,
    state,
    deadLetters,
    delivery: { order: "user", orderOf: segmentOrderHashes(), maxInFlight: () => MAX_IN_FLIGHT },
    // Before the state has it: after a kill in between the next process reports it.
    onExpired: (events) => pipeline.onDrop({ reason: "expired", events, destination: name }),
    onStateError: (error) =>
      pipeline.onError(
        new WaybillError(
          "WAYBILL_DISK",
          `The spool in ${directory} cannot write the cursor of ${name}: ${messageOf(error)}`,
          { cause: error },
        ),
      ),
  });
  const createLane = (options: LaneOptions): Lane =>
    new OperatedLane({
      ...options,
      name,
      onSettled: (batch, outcomes) => passed(spoolLane, batch as LogBatch, outcomes, { log, events, pipeline }),
    });
  const watched = watchedLane(destination, store, pipeline, createLane);
  const account = store.account();
  const { expired } = state.initial;
  const spoolLane: SpoolLane = {
    ...watched,
    name,
    store,
    // What retention took and nobody has counted is reported by this process, and counted by it.
    before: { ...account, expired, pending: account.pending + account.expired - expired },
    doneTo: store.neededFrom,
    doneAhead: new Set(),
    reportedDamaged: account.dropped.log_damaged ?? 0,
  };
  return spoolLane;
}

/**
 * A batch was settled, in any order with others on their way. The store settles the events before
 * the first one that has to go again; the others come once more.
 */
function passed(
  lane: SpoolLane,
  batch: LogBatch,
  outcomes: readonly Outcome[],
  { log, events, pipeline }: Omit<Opening, "runtime">,
): void {
  if (pipeline.shared.over) return;
  for (let index = 0; index < batch.count; index++) {
    const outcome = outcomes[index] as Outcome;
    if (!isFinal(outcome)) break;
    const { record, at } = batch.locate(index);
    const position = record.first + at;
    if (events.at(position) !== undefined) lane.doneAhead.add(position);
    settleAt(position, outcome, events);
    if (outcome.status !== "delivered")
      reportTo(pipeline, outcome, {
        messageId: messageIdOf(Buffer.from(batch.event(index)).toString()),
        destination: lane.name,
      });
  }
  reportSkipped(lane, lane.store.neededFrom, { log, events, pipeline });
}

/**
 * Settles events that were in the log and never came out of it: retention took them, which was
 * reported when it did, or they are damaged.
 */
export function reportSkipped(
  lane: SpoolLane,
  to: Position,
  { log, events, pipeline }: Omit<Opening, "runtime">,
): void {
  const damaged = (lane.store.account().dropped.log_damaged ?? 0) - lane.reportedDamaged;
  lane.reportedDamaged += damaged;
  for (; lane.doneTo < to; lane.doneTo++) {
    if (lane.doneAhead.delete(lane.doneTo)) continue;
    const reason = lane.doneTo < log.first ? "queue_full" : "log_damaged";
    settleAt(lane.doneTo, { status: "dropped", reason }, events);
  }
  if (pipeline.shared.over) return;
  if (damaged > 0) pipeline.onDrop({ reason: "log_damaged", events: damaged, destination: lane.name });
}

function settleAt(position: Position, outcome: Outcome, events: StoredEvents): void {
  const event = events.at(position);
  event?.settle(outcome);
  if (event === undefined || event.text === "") events.forget(position);
}

/**
 * A torn end is what a kill or a power cut in the middle of a write leaves: those events were
 * captured, and are lost.
 */
function reportDamage(directory: string, { recovery }: Log, { onError }: PipelineOptions): void {
  const { tornBytes, damaged } = recovery;
  if (tornBytes > 0)
    onError(damageOf(directory, `the last write was cut short; its ${tornBytes} bytes of events are lost`));
  for (const { segment, offset, bytes, events } of damaged)
    onError(damageOf(directory, `${events} events are lost in ${segment}, ${bytes} bytes from byte ${offset} on`));
}

/** A destination that is not there any more has a cursor, and nobody who moves it. */
async function reportForgotten(
  directory: string,
  disk: Disk,
  log: Log,
  { destinations, onError, host }: PipelineOptions,
): Promise<void> {
  const known = destinations.map(({ name }) => name);
  for (const name of await disk.list(`${directory}/lanes`)) {
    if (known.includes(name)) continue;
    const state = await LaneState.open<LaneStateValue>(disk, `${directory}/lanes`, name, (damaged) =>
      newLaneState(log, damaged, newLaneId(host.runtime.random)),
    );
    await state.close();
    const waiting = log.head - Math.max(state.initial.position, log.first);
    if (waiting > 0)
      onError(
        new WaybillError(
          "WAYBILL_OPTIONS",
          `The spool in ${directory} holds ${waiting} events for "${name}", which is not a destination of this client: they are not delivered`,
          { hint: `Give a destination the name "${name}" until they are.` },
        ),
      );
  }
}

function damageOf(directory: string, what: string): WaybillError {
  return new WaybillError("WAYBILL_LOG_DAMAGED", `The spool in ${directory} was damaged: ${what}`);
}
