/**
 * Replays: chosen events of an environment's log, or dead letters, sent to a destination once more.
 *
 * Each is a lane of its own over a {@link ReplayStore}: with a ledger of its own, a state on disk
 * (it goes on after a restart), the destination's own sender and credential. Live traffic comes
 * first: a replay waits whenever the destination's lane has a batch to send, or cannot send.
 */
import {
  createUuidV7,
  type DiskRuntime,
  OperatedLane,
  outcomesOf,
  printable,
  type Sender,
  sleep,
  WaybillError,
} from "@waybill/core";
import {
  AttemptJournal,
  attemptsFor,
  Fates,
  heldBy,
  LaneState,
  type Log,
  makeDirectoryInPlace,
  NO_FATES,
  originalRecord,
  type Piece,
  type Position,
  ReplayStore,
} from "@waybill/log";
import { accountView } from "../admin/account-view.ts";
import type { ReplayView, TraceDestination, TraceReplay } from "../admin/views.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { chosenPieces } from "./chosen-events.ts";
import { chosenDeadLetters } from "./dead-letter-choice.ts";
import type { Destination } from "./destination.ts";
import { abandoned, pacedLimits, parseReplay, type ReplayChoice, type StoredReplay } from "./stored-replay.ts";
import { Turns } from "./turns.ts";

interface Range {
  readonly from: Position;
  /** Absent: all there is. */
  readonly to?: Position;
}

interface Job {
  readonly store: ReplayStore<StoredReplay>;
  readonly state: LaneState<StoredReplay>;
  readonly attempts: AttemptJournal;
  readonly lane: OperatedLane;
}

export interface ReplaysOptions {
  readonly environment: string;
  /** The environment's directory. */
  readonly directory: string;
  readonly log: Log;
  readonly runtime: DiskRuntime;
  readonly destination: (name: string) => Destination | undefined;
  /** Called when a defect stopped a replay. */
  readonly onFailed?: (destination: string, replay: string, reason: string | undefined) => void;
  /** What a person should know of. */
  readonly report: WriteLine;
}

/** How often a replay looks whether the live lane has left it room. */
const YIELD_MS = 20;
const SECOND_MS = 1_000;
const PROBE_MS = 30_000;
const TRIGGER = { flushAt: 1, flushBytes: 1, flushIntervalMs: SECOND_MS };
/** A slot of a state file has 4 KiB. */
const CHOICE_MAX_BYTES = 2_700;
const ATTEMPTS = ".attempts";
/** A UUID: nothing else in the directory is a replay's. */
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const FATES = ".fates";
/** The slot holds the choice too. */
const FATES_TAIL_RUNS = 20;
/** That are not over, of an environment: each holds a lane, files and its choice in memory. */
const REPLAYS_MAX = 64;
const NO_DESTINATION = "its destination is not configured";

export class Replays {
  readonly #options: ReplaysOptions;
  readonly #directory: string;
  readonly #jobs = new Map<string, Job>();
  #reading: Promise<void> = Promise.resolve();
  /** That are being begun. */
  #beginning = 0;

  private constructor(options: ReplaysOptions) {
    this.#options = options;
    this.#directory = `${options.directory}/replays`;
  }

  /** Opens the replays there are; those that are not over go on with {@link start}. */
  static async open(options: ReplaysOptions): Promise<Replays> {
    const replays = new Replays(options);
    const { disk } = options.runtime;
    await makeDirectoryInPlace(disk, replays.#directory);
    for (const name of await disk.list(replays.#directory)) {
      if (!ID.test(name)) continue;
      const lost = (): StoredReplay => {
        options.report("replay_state_lost", { environment: options.environment, replay: name });
        return abandoned(name, options.runtime.clock.now());
      };
      const state = await LaneState.open(disk, replays.#directory, name, lost, (value) => parseReplay(value, name));
      await replays.#add(name, state);
    }
    return replays;
  }

  start(): void {
    for (const { lane } of this.#jobs.values()) lane.notify();
  }

  /**
   * How many events a choice has. Reads them all. **Errors**: `WAYBILL_INPUT` for an unknown
   * destination.
   */
  async count(destination: string, choice: ReplayChoice): Promise<number> {
    let events = 0;
    for await (const { start, end } of this.#pieces(this.#known(destination), choice, { from: 0 }))
      events += end - start;
    return events;
  }

  /**
   * Begins a replay. **Errors**: `WAYBILL_INPUT`, also when {@link REPLAYS_MAX} are not over;
   * `WAYBILL_DISK`.
   */
  async begin(destination: string, choice: ReplayChoice, eventsPerSecond: number | undefined): Promise<ReplayView> {
    const { clock, random, disk } = this.#options.runtime;
    if (Buffer.byteLength(JSON.stringify(choice)) > CHOICE_MAX_BYTES)
      throw new WaybillError("WAYBILL_INPUT", "The replay names too much at once", {
        hint: "Choose by filter instead of naming single letters, or make several replays.",
      });
    this.#assertRoom();
    const total = await this.count(destination, choice);
    this.#assertRoom();
    this.#beginning += 1;
    try {
      const id = createUuidV7(clock, random)();
      const state = await LaneState.open<StoredReplay>(disk, this.#directory, id, () => ({
        id,
        destination,
        choice,
        ...(eventsPerSecond === undefined ? {} : { eventsPerSecond }),
        createdAtMs: clock.now(),
        cancelled: false,
        total,
        cursor: "log" in choice ? choice.log.from : 0,
        leased: 0,
        delivered: 0,
        rejected: 0,
        expired: 0,
        done: total === 0,
      }));
      const job = await this.#add(id, state);
      job.lane.notify();
      return this.#view(job);
    } finally {
      this.#beginning -= 1;
    }
  }

  /** **Errors**: `WAYBILL_INPUT` when as many as may be are not over. */
  #assertRoom(): void {
    const going = this.#beginning + [...this.#jobs.values()].filter((job) => !this.#isOver(job)).length;
    if (going < REPLAYS_MAX) return;
    throw new WaybillError(
      "WAYBILL_INPUT",
      `There are ${going} replays that are not over; at most ${REPLAYS_MAX} may be`,
      {
        hint: "Wait for some to end, or cancel some.",
      },
    );
  }

  /** Ends a replay where it is. `false` when there is none of that name. */
  async cancel(id: string): Promise<boolean> {
    const job = this.#jobs.get(id);
    if (job === undefined) return false;
    await job.lane.close(0, { drain: false });
    await job.state.write({ ...job.store.value, cancelled: true });
    await job.state.sync();
    return true;
  }

  /**
   * The destinations have changed: new credentials are used at once; a replay waits while its
   * destination is not configured.
   */
  reconfigured(): void {
    for (const { lane, store } of this.#jobs.values()) {
      const destination = this.#options.destination(store.value.destination);
      if (destination === undefined) lane.pause(NO_DESTINATION);
      else {
        lane.reconfigure({
          sender: this.#senderFor(store.value),
          limits: pacedLimits(destination.limits, store.value.eventsPerSecond),
          trigger: TRIGGER,
        });
        lane.resume();
      }
    }
  }

  views(): readonly ReplayView[] {
    return [...this.#jobs.values()].map((job) => this.#view(job));
  }

  /** What became of an event, or its dead letter, in replays that chose it. */
  async trace(
    destination: string,
    position: Position,
    deadLetterId: Position | undefined,
  ): Promise<TraceDestination["replays"]> {
    const found: TraceReplay[] = [];
    for (const [id, { store, attempts }] of this.#jobs) {
      const { choice, destination: to } = store.value;
      const at = "log" in choice ? position : deadLetterId;
      if (to !== destination || at === undefined) continue;
      const fate = await store.fateAt(at);
      await attempts.flush();
      const tried = await attemptsFor(this.#attemptsDirectory(id), this.#options.runtime.disk, at);
      if (fate.status === "not_addressed" || (tried.length === 0 && fate.status !== "dropped")) continue;
      found.push({
        replay: id,
        outcome: fate.status,
        ...("reason" in fate ? { reason: fate.reason } : {}),
        attempts: tried,
      });
    }
    return found;
  }

  async sync(): Promise<void> {
    await Promise.allSettled([...this.#jobs.values()].map(({ store }) => store.sync()));
  }

  /** Forgets replays that are over and older than `maxAgeMs`. */
  async retain(maxAgeMs: number, nowMs: number): Promise<void> {
    const { disk } = this.#options.runtime;
    for (const [id, job] of this.#jobs) {
      if (!this.#isOver(job) || nowMs - job.store.value.createdAtMs <= maxAgeMs) continue;
      for (const directory of [this.#attemptsDirectory(id), `${this.#directory}/${id}${FATES}`])
        for (const name of await disk.list(directory)) await disk.remove(`${directory}/${name}`);
      await disk.remove(`${this.#directory}/${id}`);
      this.#jobs.delete(id);
      await closeJob(job, 0);
    }
  }

  /**
   * Before retention removes what is before `first` of the log, or of a destination's dead letters:
   * counts the chosen events among it that have not had their turn. Call what comes back once they
   * are gone: it puts them into the ledgers of the replays as expired.
   */
  async expiring(first: Position, deadLettersOf?: string): Promise<() => Promise<void>> {
    const found: (() => Promise<number>)[] = [];
    for (const job of this.#jobs.values()) {
      const { value } = job.store;
      const concerned = "log" in value.choice ? deadLettersOf === undefined : deadLettersOf === value.destination;
      const before = job.store.progress();
      if (!concerned || this.#isOver(job)) continue;
      const chosen = before.from >= first ? 0 : await this.#countBefore(value, before.from, first);
      found.push(() => job.store.expire(first, chosen, before));
    }
    return async () => {
      for (const expire of found) {
        const events = await expire();
        const { report, environment } = this.#options;
        if (events > 0) report("replay_expired", { environment, events });
      }
    };
  }

  async #countBefore({ destination, choice }: StoredReplay, from: Position, to: Position): Promise<number> {
    let events = 0;
    for await (const { start, end } of this.#pieces(this.#options.destination(destination), choice, { from, to }))
      events += end - start;
    return events;
  }

  async close(deadlineMs: number): Promise<void> {
    await Promise.all([...this.#jobs.values()].map((job) => closeJob(job, deadlineMs)));
  }

  async #add(id: string, state: LaneState<StoredReplay>): Promise<Job> {
    const { environment, runtime } = this.#options;
    const value = state.initial;
    const attempts = await AttemptJournal.open(this.#attemptsDirectory(id), runtime.disk);
    const fates = await Fates.open({
      directory: `${this.#directory}/${id}${FATES}`,
      runtime,
      tail: value.fates ?? { from: value.cursor, runs: [], before: NO_FATES },
      tailMaxRuns: FATES_TAIL_RUNS,
    });
    const store = new ReplayStore<StoredReplay>({
      name: `${environment}/${value.destination}/replay-${id}`,
      state,
      fates,
      pieces: (from) => this.#piecesOf(value, from),
      onSettled: async (batch, outcomes) => {
        if (!("deadLetters" in value.choice)) return;
        const sent = outcomes.flatMap(({ status }, index) =>
          status === "delivered" ? [batch.locate(index).record.first] : [],
        );
        await this.#options.destination(value.destination)?.deadLetters.mark(sent, "retried");
      },
    });
    const destination = this.#options.destination(value.destination);
    const limits = pacedLimits(destination?.limits ?? { maxEvents: 1, maxBytes: 1 }, value.eventsPerSecond);
    const lane = new OperatedLane({
      name: `${environment}/${value.destination}/replay-${id}`,
      store,
      sender: this.#senderFor(value),
      runtime,
      limits,
      trigger: TRIGGER,
      probeMs: PROBE_MS,
      onAttempt: (attempt, batch) => {
        const held = heldBy(batch);
        if (held !== undefined) attempts.note(held, attempt);
      },
      onModeChange: (mode, reason) => {
        if (mode === "failed") this.#options.onFailed?.(value.destination, id, reason && printable(reason));
      },
    });
    if (value.cancelled) await lane.close(0, { drain: false });
    else if (destination === undefined) lane.pause(NO_DESTINATION);
    const job = { store, state, attempts, lane };
    this.#jobs.set(id, job);
    return job;
  }

  async *#piecesOf({ destination, choice }: StoredReplay, from: Position): AsyncGenerator<Piece> {
    yield* this.#pieces(this.#known(destination), choice, { from });
  }

  async *#pieces(destination: Destination | undefined, choice: ReplayChoice, range: Range): AsyncGenerator<Piece> {
    const pieces = this.#allPieces(destination, choice, range);
    try {
      for (;;) {
        const { done, value } = await this.#oneAtATime(() => pieces.next());
        if (done === true) return;
        yield value;
      }
    } finally {
      await pieces.return(undefined);
    }
  }

  /**
   * What is read is looked through in one step of the event loop: many replays that read at once
   * would be one long step.
   */
  #oneAtATime<T>(read: () => Promise<T>): Promise<T> {
    const result = this.#reading.then(read);
    this.#reading = result.then(ignore, ignore);
    return result;
  }

  async *#allPieces(destination: Destination | undefined, choice: ReplayChoice, range: Range): AsyncGenerator<Piece> {
    const { from, to = Number.POSITIVE_INFINITY } = range;
    if ("log" in choice) {
      const log = { ...choice.log, to: Math.min(choice.log.to, to) };
      yield* chosenPieces(this.#options.log, log, Math.max(from, log.from));
      return;
    }
    if (destination === undefined) return;
    const filter = { state: "waiting", ...choice.deadLetters } as const;
    const turns = new Turns(this.#options.runtime.clock);
    for await (const dead of chosenDeadLetters(destination.deadLetters, filter, { from, to, turns }))
      yield { record: originalRecord(dead), start: 0, end: 1 };
  }

  /** The destination's own sender, slowed to the replay's rate; live traffic goes first. */
  #senderFor({ destination: name, eventsPerSecond }: StoredReplay): Sender {
    const { clock } = this.#options.runtime;
    let freeAt = clock.monotonic();
    return {
      send: async (batch, context) => {
        for (;;) {
          const destination = this.#options.destination(name);
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

  #known(name: string): Destination {
    const destination = this.#options.destination(name);
    if (destination === undefined)
      throw new WaybillError("WAYBILL_INPUT", `There is no destination ${this.#options.environment}/${name}`);
    return destination;
  }

  #isOver({ store, lane }: Job): boolean {
    return store.value.done || store.value.cancelled || lane.snapshot().mode === "closed";
  }

  #view(job: Job): ReplayView {
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
      environment: this.#options.environment,
      destination,
      of: "log" in choice ? "log" : "dead letters",
      createdAtMs,
      state,
      ...(reason === undefined ? {} : { reason: printable(reason) }),
      account: accountView(job.store.account()),
    };
  }

  #attemptsDirectory(id: string): string {
    return `${this.#directory}/${id}${ATTEMPTS}`;
  }
}

const ignore = (): void => undefined;

async function closeJob({ lane, store, attempts }: Job, deadlineMs: number): Promise<void> {
  await lane.close(deadlineMs, { drain: false });
  await store.close();
  await attempts.close();
}
