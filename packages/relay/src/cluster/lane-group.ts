/**
 * A destination in the cluster: the group whose members are the relays, and the lanes of the
 * partitions that are this relay's now.
 */
import { type Clock, Limiter, type LimiterOptions, messageOf, type Random } from "@waybill/core";
import type { LaneStateValue } from "@waybill/log";
import { type Broker, BrokerError, LaneStates, Member, type Tenure, type TopicPartition } from "@waybill/log-kafka";
import type { DestinationConfig } from "../config/types.ts";
import type { Destination } from "../delivery/destination.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import { within } from "../within.ts";
import type { ReplayRecords } from "./asked-replays.ts";
import { committedOffsets } from "./checkpoints.ts";
import { stateGone, writeFirst } from "./first-states.ts";
import type { Holds } from "./holds.ts";
import { LaneReplays } from "./lane-replays.ts";
import { LaneWithReplays, type LaneWithReplaysValue, parseLaneWithReplays } from "./lane-with-replays.ts";
import { kindOf, Outage } from "./outage.ts";
import type { OpenPartition, Partitions } from "./partitions.ts";
import { patiently } from "./patiently.ts";
import { readTo } from "./read-to.ts";

export interface LaneGroupOptions {
  readonly environment: string;
  readonly config: DestinationConfig;
  /** Of this relay, which its lanes are shown with. */
  readonly relayId: string;
  readonly group: string;
  /** As of `MemberOptions`. */
  readonly sessionMs: number;
  /** Its companion topics were made just now. */
  readonly isNew: boolean;
  readonly topic: string;
  readonly partitions: Partitions;
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  readonly holds: Holds;
  readonly records: ReplayRecords;
  /** How long a lane that is given up may take to end what is in flight, ms. */
  readonly deadlineMs: number;
  readonly report: WriteLine;
}

interface OpenLane {
  readonly destination: Destination;
  readonly replays: LaneReplays;
  readonly held: OpenPartition;
  readonly tenure: Tenure;
}

/** Before a lane that could not be opened is tried again. */
const AGAIN_MS = 5_000;
/** The same when all that is wrong is that a leader is being elected. */
const SOON_MS = 500;
/** Of a session, until heartbeats that are not answered are reported. */
const SILENT_SHARE = 1 / 3;
/** Of the time for closing, for the last commits and for leaving. At most so much of it. */
const LEAVING_SHARE = 0.2;
const LEAVING_MS = 2_000;

export class LaneGroup {
  readonly #options: LaneGroupOptions;
  readonly #member: Member;
  readonly #states: LaneStates;
  /** Of all lanes that are here: what one learns of the vendor, all know. */
  readonly #limiter: Limiter;
  readonly #lanes = new Map<number, OpenLane>();
  /** Of partitions that cannot be opened, the codes of the errors that were reported. */
  readonly #notOpened = new Map<number, Set<string>>();
  /** What is done for a partition, one after another. */
  readonly #doing = new Map<number, Promise<void>>();
  #config: DestinationConfig;
  #fault: string | undefined;
  #isClosed = false;
  /** Of a lane that is given up. */
  #deadlineMs: number;

  constructor(options: LaneGroupOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#deadlineMs = options.deadlineMs;
    const { broker, group, sessionMs, topic, clock, random } = options;
    this.#limiter = new Limiter(clock, this.#limits());
    this.#states = new LaneStates({
      broker,
      group,
      clock,
      onLost: (partition, tenure, error) => {
        this.#tell("lane_fenced", partition.partition, error);
        this.#member.renew(tenure, messageOf(error));
      },
    });
    const heartbeats = this.#heartbeats();
    this.#member = new Member({
      broker,
      group,
      topics: [topic],
      sessionMs,
      clock,
      random,
      host: {
        assigned: (partitions, tenure) => {
          for (const { partition } of partitions) void this.#begin(partition, tenure);
        },
        revoke: (partitions) => this.#end(partitions, this.#deadlineMs),
        lost: (partitions, reason) => {
          const { environment, report } = options;
          const lost = partitions.map(({ partition }) => partition);
          report("lane_lost", { environment, destination: this.#config.name, partitions: lost, reason });
          return this.#end(partitions, 0);
        },
        failed: (error) => heartbeats.failed(safeError(error)),
        answered: () => heartbeats.succeeded(),
      },
    });
  }

  get config(): DestinationConfig {
    return this.#config;
  }

  /** Lanes of this relay. */
  get destinations(): readonly Destination[] {
    return Array.from(this.#lanes.values(), ({ destination }) => destination);
  }

  /** What operators should know of it. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Whether this relay delivers the events of a partition. */
  owns(partition: number): boolean {
    return this.#lanes.has(partition);
  }

  /**
   * Writes the states of lanes that never had one: they begin where their partition ends now.
   * Comes before anything is accepted that they are to deliver. **Errors**: `WAYBILL_LOG_DAMAGED`
   * when the lanes are known to have had states; `WAYBILL_LOG_UNAVAILABLE` when the cluster did not
   * answer in time; `BrokerError`.
   */
  async writeFirst(): Promise<void> {
    const written = await patiently(this.#options.clock, () =>
      writeFirst({ ...this.#options, destination: this.#config.name }),
    );
    this.#tellBegun(written);
  }

  /** Offsets that were lost look as those of a new destination do, but for its topics. */
  #tellBegun(states: ReadonlyMap<number, { readonly offset: number }>): void {
    const { environment, isNew, report } = this.#options;
    const partitions = [...states].filter(([, { offset }]) => offset > 0).map(([partition]) => partition);
    if (isNew || partitions.length === 0) return;
    const destination = this.#config.name;
    report("lanes_begin_at_end", { environment, destination, partitions });
    this.#fault = `${environment}/${destination} had no committed offsets when this relay started: it began at the end of ${partitions.length} partitions, and what it had not got of them is not sent`;
  }

  #heartbeats(): Outage {
    const { environment, clock, sessionMs, report } = this.#options;
    const lane = { environment, destination: this.#config.name };
    return new Outage({
      clock,
      afterMs: sessionMs * SILENT_SHARE,
      failing: (error) => report("heartbeats_failing", { ...lane, error }),
      works: () => report("heartbeats_work", lane),
    });
  }

  start(): void {
    this.#member.start();
  }

  /** As `Destination.prepare`, of all lanes. */
  prepare(config: DestinationConfig): { readonly commit: () => void; readonly discard: () => void } {
    const prepared = new Map(this.destinations.map((destination) => [destination, destination.prepare(config)]));
    return {
      commit: () => {
        this.#config = config;
        for (const { commit } of prepared.values()) commit();
        // Those that were opened meanwhile.
        for (const destination of this.destinations)
          if (!prepared.has(destination)) destination.prepare(config).commit();
        this.#limiter.retryNow();
        for (const { held } of this.#lanes.values()) held.environment.replays.reconfigured();
      },
      discard: () => {
        for (const { discard } of prepared.values()) discard();
      },
    };
  }

  /**
   * Ends what is in flight, writes the last states, and leaves: others take over at once. What no
   * broker has answered by the deadline is not waited for.
   */
  async close(deadlineMs: number): Promise<void> {
    this.#isClosed = true;
    this.#deadlineMs = deadlineMs - Math.min(deadlineMs * LEAVING_SHARE, LEAVING_MS);
    await within(deadlineMs, this.#options.clock, this.#member.close());
  }

  /** Lanes begin to follow what operators ask for now. */
  steer(): void {
    const hold = this.#hold;
    for (const destination of this.destinations)
      if (hold === undefined) destination.resume();
      else destination.pause(hold);
  }

  /** Lanes take the next step of what is asked for about replays. */
  replaysChanged(): void {
    for (const { replays } of this.#lanes.values()) replays.look();
  }

  get #hold(): string | undefined {
    const { environment, holds } = this.#options;
    return holds.holdOf({ environment, destination: this.#config.name });
  }

  /**
   * Limits hold for the destination: a relay has the share of the partitions that are its own, and
   * one request at least.
   */
  #limits(): LimiterOptions {
    const config = (): DestinationConfig => this.#config;
    const share = (): number => Math.max(1, this.#lanes.size) / this.#options.partitions.all.length;
    return {
      get maxInFlight() {
        return Math.max(1, Math.floor(config().maxInFlight * share()));
      },
      get maxPerSecond() {
        const { maxRequestsPerSecond } = config();
        return maxRequestsPerSecond && maxRequestsPerSecond * share();
      },
      get backoffMaxMs() {
        return config().backoffMaxMs;
      },
    };
  }

  #serially(partition: number, run: () => Promise<void>): Promise<void> {
    const done = (this.#doing.get(partition) ?? Promise.resolve()).then(run);
    this.#doing.set(partition, done);
    return done;
  }

  #mayBegin(partition: number, tenure: Tenure): boolean {
    return !this.#isClosed && tenure.mayBegin({ topic: this.#options.topic, partition });
  }

  /** Never rejects. */
  async #begin(partition: number, tenure: Tenure): Promise<void> {
    if (!this.#mayBegin(partition, tenure)) return;
    const { holds, partitions } = this.#options;
    let held: OpenPartition;
    try {
      // An answer to an operator may not wait for this relay, if it comes before this. And what
      // the owner before has read, as that a replay is over, is in the lane's state no more.
      await holds.caughtUpWithAll();
      if (!this.#mayBegin(partition, tenure)) return;
      held = await partitions.open(partition);
    } catch (error) {
      return this.#couldNotBegin(partition, tenure, error);
    }
    // Who takes the partition away does not wait for the above, which may take a minute.
    await this.#serially(partition, () => this.#beginIn(held, tenure));
  }

  async #beginIn(held: OpenPartition, tenure: Tenure): Promise<void> {
    const { partition } = held;
    const { partitions, holds } = this.#options;
    try {
      if (!this.#mayBegin(partition, tenure) || this.#lanes.has(partition)) return await partitions.release(held);
      const lane = await this.#open(held, tenure);
      this.#lanes.set(partition, { ...lane, held, tenure });
      this.#opened(partition);
      holds.lanesChanged();
      lane.replays.look();
      if (!this.#mayBegin(partition, tenure)) await this.#close(partition, 0);
    } catch (error) {
      await partitions.release(held);
      this.#couldNotBegin(partition, tenure, error);
    }
  }

  /** It is tried again, as long as the partition is ours. */
  #couldNotBegin(partition: number, tenure: Tenure, error: unknown): void {
    if (!this.#mayBegin(partition, tenure)) return;
    this.#couldNotOpen(partition, error);
    const isElecting = error instanceof BrokerError && error.isTransient;
    this.#options.clock.after(isElecting ? SOON_MS : AGAIN_MS, () => void this.#begin(partition, tenure));
  }

  /** It is tried every few seconds: each kind of error is reported once. */
  #couldNotOpen(partition: number, error: unknown): void {
    const reported = this.#notOpened.get(partition) ?? new Set();
    this.#notOpened.set(partition, reported);
    const kind = kindOf(error);
    if (!reported.has(kind)) this.#tell("lane_not_opened", partition, error);
    reported.add(kind);
  }

  #opened(partition: number): void {
    const { environment, report } = this.#options;
    if (!this.#notOpened.delete(partition)) return;
    report("lane_opened", { environment, destination: this.#config.name, partition });
  }

  async #open(held: OpenPartition, tenure: Tenure): Promise<Pick<OpenLane, "destination" | "replays">> {
    const { broker, clock, group, topic, partitions, relayId } = this.#options;
    const { partition, log } = held;
    const committed = await committedOffsets(broker, { group, topic, partitions: [partition] });
    // Everything from the cursor on is counted before the lane looks where its log begins.
    await log.extend(committed.get(partition) ?? 0);
    const state = new LaneWithReplays(
      await this.#states.open<LaneWithReplaysValue>({
        partition: { topic, partition },
        tenure,
        parse: parseLaneWithReplays,
        first: () => {
          throw stateGone(group);
        },
        offsetOf: ({ position }) => log.placeBefore(position).offset,
      }),
    );
    const check = (): void => {
      if (!tenure.isOurs({ topic, partition })) throw new BrokerError("fenced", "the partition has gone again");
    };
    await readTo({ clock, what: "the partition", log, position: knownTo(state.lane.initial), check });
    const { dead = 0, marks: ofLane = 0, fates } = state.lane.initial;
    const marks = Math.max(ofLane, ...state.replays.map((replay) => replay.marks ?? 0));
    const known = { dead, marks, fates: fates?.blocksTo ?? 0 };
    const runtime = partitions.companions(this.#config.name, partition, { known, check });
    const config = this.#config;
    const limiter = this.#limiter;
    const own = {
      name: `${config.name}.${partition}`,
      state: state.lane,
      runtime,
      limiter,
      hold: () => this.#hold,
      report: () => ({ relay: relayId, epoch: tenure.memberEpoch, offset: log.checkpoint.offset }),
    };
    const destination = await held.environment.addLane(config, own);
    // A reload came meanwhile.
    if (this.#config !== config) destination.prepare(this.#config).commit();
    return { destination, replays: this.#replaysOf(held, destination, state) };
  }

  #replaysOf(
    { partition, log, environment: { replays } }: OpenPartition,
    { deadLetters }: Destination,
    state: LaneWithReplays,
  ): LaneReplays {
    const { environment, records, clock, report } = this.#options;
    const name = { environment, destination: this.#config.name, partition };
    return new LaneReplays({ ...name, log, deadLetters: deadLetters.log, replays, state, records, clock, report });
  }

  async #end(given: readonly TopicPartition[], deadlineMs: number): Promise<void> {
    // Whoever has them next reports what is wrong.
    for (const { partition } of given) this.#notOpened.delete(partition);
    await Promise.all(
      given.map(({ partition }) => this.#serially(partition, () => this.#close(partition, deadlineMs))),
    );
  }

  /** A log that the lane of a partition reads or writes is broken: it is opened anew. */
  reopen(partition: number): void {
    void this.#serially(partition, async () => {
      const tenure = this.#lanes.get(partition)?.tenure;
      await this.#close(partition, 0);
      if (tenure !== undefined) void this.#begin(partition, tenure);
    });
  }

  /** Never rejects. */
  async #close(partition: number, deadlineMs: number): Promise<void> {
    const lane = this.#lanes.get(partition);
    if (lane === undefined) return;
    const { held, replays } = lane;
    const { holds, clock } = this.#options;
    this.#lanes.delete(partition);
    holds.lanesChanged();
    const endsAtMs = clock.monotonic() + deadlineMs;
    try {
      // They send as the lane does, and their last states go with its own.
      await replays.close(deadlineMs);
      await held.environment.removeLane(this.#config.name, Math.max(0, endsAtMs - clock.monotonic()));
    } catch (error) {
      this.#tell("lane_not_closed", partition, error);
    }
    await this.#options.partitions.release(held);
  }

  #tell(code: "lane_fenced" | "lane_not_opened" | "lane_not_closed", partition: number, error: unknown): void {
    const { environment, report } = this.#options;
    report(code, { environment, destination: this.#config.name, partition, error: safeError(error) });
  }
}

/** Up to where the log was read when a state was written, as far as the state tells. */
function knownTo({ position, frontier = 0, readTo = 0 }: LaneStateValue): number {
  return Math.max(position, frontier, readTo);
}
