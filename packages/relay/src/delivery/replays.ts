/**
 * Replays: chosen events of an environment's log, or dead letters, sent to a destination once more.
 *
 * Each is a lane of its own over a {@link ReplayStore}: with a ledger of its own, a state on disk
 * (it goes on after a restart), the destination's own sender and credential. Live traffic comes
 * first: a replay waits whenever the destination's lane has a batch to send, or cannot send.
 */
import { createUuidV7, type DiskRuntime, WaybillError } from "@waybill/core";
import {
  attemptsFor,
  type DurableState,
  LaneState,
  type Log,
  makeDirectoryInPlace,
  originalRecord,
  type Piece,
  type Position,
} from "@waybill/log";
import type { ReplayView, TraceDestination, TraceReplay } from "../admin/views.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { chosenPieces } from "./chosen-events.ts";
import { chosenDeadLetters } from "./dead-letter-choice.ts";
import type { Destination } from "./destination.ts";
import {
  attemptsDirectory,
  closeJob,
  isOver,
  type Job,
  type JobOptions,
  openJob,
  reconfigureJob,
  removeJobFiles,
  viewOf,
} from "./replay-job.ts";
import { RetryTurns } from "./retry-turns.ts";
import { abandoned, parseReplay, type ReplayChoice, type StoredReplay, stateChosen } from "./stored-replay.ts";
import { Turns } from "./turns.ts";

interface Range {
  readonly from: Position;
  /** Absent: all there is. */
  readonly to?: Position;
  /** Of dead letters: as of when there were so many marks. Absent: as they are. */
  readonly marks?: number | undefined;
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

/** A slot of a state file has 4 KiB. */
const CHOICE_MAX_BYTES = 2_700;
/** A UUID: nothing else in the directory is a replay's. */
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** That are not over, of an environment: each holds a lane, files and its choice in memory. */
const REPLAYS_MAX = 64;
/** For writing down the outcomes of an attempt that took all its time. */
const SETTLE_MS = 1_000;

export class Replays {
  readonly #options: ReplaysOptions;
  readonly #directory: string;
  readonly #jobs = new Map<string, Job>();
  /** By destination. */
  readonly #retryTurns = new Map<string, RetryTurns>();
  /** Those whose state is kept elsewhere: who runs them also ends them. */
  readonly #guests = new Set<string>();
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
   * How many events a choice has, before `to` if it is given. Reads them all. **Errors**:
   * `WAYBILL_INPUT` for an unknown destination.
   */
  async count(destination: string, choice: ReplayChoice, to?: Position): Promise<number> {
    let events = 0;
    for await (const { start, end } of this.#pieces(this.#known(destination), choice, rangeOf(0, to)))
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
    const to = "log" in choice ? undefined : this.#known(destination).deadLetters.log.head;
    const total = await this.count(destination, choice, to);
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
        ...(to === undefined ? {} : { to }),
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
      return viewOf(job, this.#options.environment);
    } finally {
      this.#beginning -= 1;
    }
  }

  /**
   * Runs a replay whose state is kept elsewhere, until {@link leave}. What was noted of it here
   * before is removed: another process may have gone on with it. **Errors**: `WAYBILL_DISK`.
   */
  async join(state: DurableState<StoredReplay>): Promise<void> {
    const { id } = state.initial;
    await removeJobFiles(this.#jobOptions, id);
    const { lane } = await this.#add(id, state);
    this.#guests.add(id);
    lane.notify();
  }

  /**
   * Ends the lane of a replay. What is in flight has its time: another replay might send it as
   * well, while nobody knows that it has arrived.
   */
  async stop(id: string, deadlineMs?: number): Promise<void> {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    const timeoutMs = this.#options.destination(job.store.value.destination)?.config.timeoutMs ?? 0;
    await job.lane.close(deadlineMs ?? timeoutMs + SETTLE_MS, { drain: false });
  }

  /** Forgets such a replay, which was ended. */
  async leave(id: string, deadlineMs: number): Promise<void> {
    const job = this.#jobs.get(id);
    if (job === undefined || !this.#guests.delete(id)) return;
    this.#jobs.delete(id);
    await closeJob(job, deadlineMs);
    await removeJobFiles(this.#jobOptions, id);
  }

  /** **Errors**: `WAYBILL_INPUT` when as many as may be are not over. */
  #assertRoom(): void {
    const going = this.#beginning + [...this.#jobs.values()].filter((job) => !isOver(job)).length;
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
    if (job === undefined || this.#guests.has(id)) return false;
    await this.stop(id);
    await job.state.write({ ...job.store.value, cancelled: true });
    await job.state.sync();
    return true;
  }

  /**
   * The destinations have changed: new credentials are used at once; a replay waits while its
   * destination is not configured.
   */
  reconfigured(): void {
    for (const job of this.#jobs.values()) reconfigureJob(job, this.#jobOptions);
  }

  views(): readonly ReplayView[] {
    return [...this.#jobs.values()].map((job) => viewOf(job, this.#options.environment));
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
      const tried = await attemptsFor(attemptsDirectory(this.#directory, id), this.#options.runtime.disk, at);
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
      if (this.#guests.has(id) || !isOver(job) || nowMs - job.store.value.createdAtMs <= maxAgeMs) continue;
      await removeJobFiles(this.#jobOptions, id);
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
      if (!concerned || isOver(job)) continue;
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

  async #add(id: string, state: DurableState<StoredReplay>): Promise<Job> {
    const job = await openJob(this.#jobOptions, state);
    this.#jobs.set(id, job);
    return job;
  }

  async *#piecesOf(
    { destination, choice, to }: StoredReplay,
    from: Position,
    marks: number | undefined,
  ): AsyncGenerator<Piece> {
    yield* this.#pieces(this.#known(destination), choice, { ...rangeOf(from, to), marks });
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
    const { from, to = Number.POSITIVE_INFINITY, marks } = range;
    if ("log" in choice) {
      const log = { ...choice.log, to: Math.min(choice.log.to, to) };
      yield* chosenPieces(this.#options.log, log, Math.max(from, log.from));
      return;
    }
    if (destination === undefined) return;
    const filter = { ...choice.deadLetters, state: stateChosen(choice.deadLetters) };
    const turns = new Turns(this.#options.runtime.clock);
    for await (const dead of chosenDeadLetters(destination.deadLetters, filter, { from, to, marks, turns }))
      yield { record: originalRecord(dead), start: 0, end: 1 };
  }

  get #jobOptions(): JobOptions {
    const pieces: JobOptions["pieces"] = (replay, from, marks) => this.#piecesOf(replay, from, marks);
    return { ...this.#options, directory: this.#directory, pieces, turns: (name) => this.#turnsOf(name) };
  }

  #turnsOf(destination: string): RetryTurns {
    const turns = this.#retryTurns.get(destination) ?? new RetryTurns();
    this.#retryTurns.set(destination, turns);
    return turns;
  }

  #known(name: string): Destination {
    const destination = this.#options.destination(name);
    if (destination === undefined)
      throw new WaybillError("WAYBILL_INPUT", `There is no destination ${this.#options.environment}/${name}`);
    return destination;
  }
}

function rangeOf(from: Position, to: Position | undefined): Range {
  return to === undefined ? { from } : { from, to };
}

const ignore = (): void => undefined;
