/** A replay that runs: a lane over a {@link ReplayStore}, with the destination's own sender. */
import { type DiskRuntime, OperatedLane, outcomesOf, printable, type Sender, sleep, WaybillError } from "@waybill/core";
import {
  AttemptJournal,
  type DeadLetters,
  type DurableState,
  Fates,
  heldBy,
  type Marks,
  NO_FATES,
  type Piece,
  type Position,
  ReplayStore,
} from "@waybill/log";
import { accountView } from "../admin/account-view.ts";
import type { ReplayView } from "../admin/views.ts";
import type { Destination } from "./destination.ts";
import type { RetryTurns } from "./retry-turns.ts";
import { pacedLimits, type StoredReplay, stateChosen } from "./stored-replay.ts";

export interface Job {
  readonly store: ReplayStore<StoredReplay>;
  readonly state: DurableState<StoredReplay>;
  readonly attempts: AttemptJournal;
  readonly lane: OperatedLane;
}

export interface JobOptions {
  readonly environment: string;
  /** Of all replays: files of this one begin with its id. */
  readonly directory: string;
  readonly runtime: DiskRuntime;
  readonly destination: (name: string) => Destination | undefined;
  /** Of the retries of a destination's dead letters. */
  readonly turns: (destination: string) => RetryTurns;
  /** The chosen events from a position on. */
  readonly pieces: (replay: StoredReplay, from: Position, marks: number | undefined) => AsyncGenerator<Piece>;
  /** Called when a defect stopped a replay. */
  readonly onFailed?: (destination: string, replay: string, reason: string | undefined) => void;
}

/** How often a replay looks whether the live lane has left it room. */
const YIELD_MS = 20;
const SECOND_MS = 1_000;
const PROBE_MS = 30_000;
const TRIGGER = { flushAt: 1, flushBytes: 1, flushIntervalMs: SECOND_MS };
const ATTEMPTS = ".attempts";
const FATES = ".fates";
/** The slot holds the choice too. */
const FATES_TAIL_RUNS = 20;
const NO_DESTINATION = "its destination is not configured";

/** Where the requests of a replay are noted. */
export function attemptsDirectory(directory: string, id: string): string {
  return `${directory}/${id}${ATTEMPTS}`;
}

/** Opens a replay; it begins to send once its lane is notified. **Errors**: `WAYBILL_DISK`. */
export async function openJob(options: JobOptions, state: DurableState<StoredReplay>): Promise<Job> {
  const { environment, directory, runtime, pieces } = options;
  const value = state.initial;
  const { id } = value;
  const attempts = await AttemptJournal.open(attemptsDirectory(directory, id), runtime.disk);
  const fates = await Fates.open({
    directory: `${directory}/${id}${FATES}`,
    runtime,
    tail: value.fates ?? { from: value.cursor, runs: [], before: NO_FATES },
    tailMaxRuns: FATES_TAIL_RUNS,
  });
  const name = `${environment}/${value.destination}/replay-${id}`;
  const turn = "log" in value.choice ? undefined : options.turns(value.destination).join(() => lane.notify());
  const store = new ReplayStore<StoredReplay>({
    name,
    state,
    fates,
    pieces: (from, marks) => pieces(value, from, marks),
    ...(turn === undefined ? {} : { turn }),
    ...marksOf(value, () => options.destination(value.destination)?.deadLetters),
    onSettled: async (batch, outcomes) => {
      if (!("deadLetters" in value.choice)) return;
      const sent = outcomes.flatMap(({ status }, index) =>
        status === "delivered" ? [batch.locate(index).record.first] : [],
      );
      if (sent.length === 0) return;
      const { deadLetters } = options.destination(value.destination) ?? {};
      // Tried again until it is there: what was delivered must not wait as a dead letter.
      if (deadLetters === undefined) throw new WaybillError("WAYBILL_CLOSED", NO_DESTINATION);
      await deadLetters.mark(sent, "retried");
    },
  });
  const destination = options.destination(value.destination);
  const limits = pacedLimits(destination?.limits ?? { maxEvents: 1, maxBytes: 1 }, value.eventsPerSecond);
  const lane = new OperatedLane({
    name,
    store,
    sender: senderFor(options, value),
    runtime,
    limits,
    trigger: TRIGGER,
    probeMs: PROBE_MS,
    onAttempt: (attempt, batch) => {
      const held = heldBy(batch);
      if (held !== undefined) attempts.note(held, attempt);
    },
    onModeChange: (mode, reason) => {
      if (mode === "failed" || mode === "closed") turn?.leave();
      if (mode === "failed") options.onFailed?.(value.destination, id, reason && printable(reason));
    },
  });
  if (value.cancelled) await lane.close(0, { drain: false });
  else if (destination === undefined) lane.pause(NO_DESTINATION);
  return { store, state, attempts, lane };
}

/** What happens to dead letters while their replay runs. */
function marksOf(
  { choice }: StoredReplay,
  find: () => Pick<DeadLetters, "marks" | "stateOf"> | undefined,
): { readonly marks?: Marks } {
  if ("log" in choice) return {};
  const state = stateChosen(choice.deadLetters);
  return {
    marks: {
      count: () => find()?.marks ?? 0,
      isChosen: (deadLetterId) => (find()?.stateOf(deadLetterId) ?? state) === state,
    },
  };
}

/**
 * New credentials are used at once; a replay waits while its destination is not configured.
 */
export function reconfigureJob({ lane, store }: Job, options: JobOptions): void {
  const destination = options.destination(store.value.destination);
  if (destination === undefined) return lane.pause(NO_DESTINATION);
  lane.reconfigure({
    sender: senderFor(options, store.value),
    limits: pacedLimits(destination.limits, store.value.eventsPerSecond),
    trigger: TRIGGER,
  });
  lane.resume();
}

/** The destination's own sender, slowed to the replay's rate; live traffic goes first. */
function senderFor(
  { runtime: { clock }, destination: find }: JobOptions,
  { destination: name, eventsPerSecond }: StoredReplay,
): Sender {
  let freeAt = clock.monotonic();
  return {
    send: async (batch, context) => {
      for (;;) {
        const destination = find(name);
        const waitMs = destination?.hasRoom === true ? freeAt - clock.monotonic() : YIELD_MS;
        if (waitMs <= 0 && destination !== undefined) {
          if (eventsPerSecond !== undefined)
            freeAt = Math.max(freeAt, clock.monotonic()) + (batch.count * SECOND_MS) / eventsPerSecond;
          return destination.sender.send(batch, context);
        }
        if (!(await sleep(clock, waitMs, context.soon)))
          return outcomesOf(batch.count, { status: "retryable", reason: "interrupted while waiting for its turn" });
      }
    },
  };
}

export function isOver({ store, lane }: Job): boolean {
  return store.value.done || store.value.cancelled || lane.snapshot().mode === "closed";
}

export function viewOf(job: Job, environment: string): ReplayView {
  const { id, destination, choice, createdAtMs, done } = job.store.value;
  const { mode, reason } = job.lane.snapshot();
  const state = done
    ? "done"
    : mode === "closed"
      ? "cancelled"
      : mode === "halted" || mode === "waiting" || mode === "paused" || mode === "failed"
        ? mode
        : "running";
  return {
    id,
    environment,
    destination,
    of: "log" in choice ? "log" : "dead letters",
    createdAtMs,
    state,
    ...(reason === undefined ? {} : { reason: printable(reason) }),
    account: accountView(job.store.account()),
  };
}

export async function closeJob({ lane, store, attempts }: Job, deadlineMs: number): Promise<void> {
  await lane.close(deadlineMs, { drain: false });
  await store.close();
  await attempts.close();
}

/** Removes what a replay has beside its state. **Errors**: `WAYBILL_DISK`. */
export async function removeJobFiles({ directory, runtime: { disk } }: JobOptions, id: string): Promise<void> {
  const present = new Set(await disk.list(directory));
  for (const name of [`${id}${ATTEMPTS}`, `${id}${FATES}`].filter((one) => present.has(one)))
    for (const file of await disk.list(`${directory}/${name}`)) await disk.remove(`${directory}/${name}/${file}`);
}
