/**
 * A destination in the cluster: the group whose members are the relays, and the lanes of the
 * partitions that are this relay's now.
 */
import { type Clock, Limiter, type LimiterOptions, messageOf, type Random, WaybillError } from "@waybill/core";
import { type LaneStateValue, newLaneId, newLaneState } from "@waybill/log";
import { type Broker, BrokerError, LaneStates, Member, type Tenure, type TopicPartition } from "@waybill/log-kafka";
import type { DestinationConfig } from "../config/types.ts";
import type { Destination } from "../delivery/destination.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import type { ReplayRecords } from "./asked-replays.ts";
import { committedOffsets, writeFirstStates } from "./checkpoints.ts";
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
/** Between tries to find the first states of a destination. */
const FIRST_MS = 500;
const FIRST_TRIES = 20;
/** For so many of them another relay, which made the destination's topics, may write the states. */
const FIRST_WAITS = 4;
/** Of a session, until heartbeats that are not answered are reported. */
const SILENT_SHARE = 1 / 3;

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

  constructor(options: LaneGroupOptions) {
    this.#options = options;
    this.#config = options.config;
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
        revoke: (partitions) => this.#end(partitions, options.deadlineMs),
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

  get group(): string {
    return this.#options.group;
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
  writeFirst(): Promise<void> {
    return patiently(this.#options.clock, () => this.#writeFirst());
  }

  async #writeFirst(): Promise<void> {
    const { broker, group, topic, partitions, clock, random } = this.#options;
    for (let tries = 0; tries < FIRST_TRIES; tries++) {
      // Looked up before it is known that there is none: what another relay accepts after it has
      // written the states comes after these ends.
      const missing = await this.#missing();
      if (missing.length === 0) return;
      const ends = await Promise.all(missing.map((partition) => partitions.endOf(partition)));
      const still = new Set(await this.#missing());
      const states = new Map(
        ends.flatMap((end, at) => {
          const partition = missing[at] as number;
          return still.has(partition)
            ? [[partition, { offset: end.offset, state: firstState(end, random) }] as const]
            : [];
        }),
      );
      if (states.size === 0) return;
      if (await partitions.hasTraces(this.#config.name, [...states.keys()])) throw stateGone(group);
      const mayBeOthers = !this.#options.isNew && tries < FIRST_WAITS;
      if (!mayBeOthers && (await writeFirstStates(broker, { group, topic }, states))) {
        this.#tellBegun(states);
        return;
      }
      await new Promise<void>((resume) => clock.after(FIRST_MS, resume));
    }
    // Others deliver without a state that could be read.
    throw stateGone(group);
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

  async #missing(): Promise<readonly number[]> {
    const { broker, group, topic, partitions } = this.#options;
    const committed = await committedOffsets(broker, { group, topic, partitions: partitions.all });
    return partitions.all.filter((partition) => !committed.has(partition));
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

  /** Ends what is in flight, writes the last states, and leaves: others take over at once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#member.close();
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

  /** Never rejects. */
  #begin(partition: number, tenure: Tenure): Promise<void> {
    const { topic, partitions, clock, holds } = this.#options;
    const mayBegin = (): boolean => !this.#isClosed && tenure.mayBegin({ topic, partition });
    return this.#serially(partition, async () => {
      if (!mayBegin() || this.#lanes.has(partition)) return;
      let held: OpenPartition | undefined;
      try {
        // An answer to an operator may not wait for this relay, if it comes before this. And what
        // the owner before has read, as that a replay is over, is in the lane's state no more.
        await holds.caughtUpWithAll();
        held = await partitions.open(partition);
        const lane = await this.#open(held, tenure);
        this.#lanes.set(partition, { ...lane, held, tenure });
        this.#opened(partition);
        holds.lanesChanged();
        lane.replays.look();
        if (!mayBegin()) await this.#close(partition, 0);
      } catch (error) {
        if (held !== undefined) await partitions.release(held);
        if (!mayBegin()) return;
        this.#couldNotOpen(partition, error);
        const isElecting = error instanceof BrokerError && error.isTransient;
        clock.after(isElecting ? SOON_MS : AGAIN_MS, () => void this.#begin(partition, tenure));
      }
    });
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

function firstState(
  { position, byte }: { readonly position: number; readonly byte: number },
  random: Random,
): LaneStateValue {
  const log = { first: position, firstByte: byte, head: position, headByte: byte };
  return newLaneState(log, false, newLaneId(random));
}

/** Up to where the log was read when a state was written, as far as the state tells. */
function knownTo({ position, frontier = 0, readTo = 0 }: LaneStateValue): number {
  return Math.max(position, frontier, readTo);
}

function stateGone(group: string): WaybillError {
  return new WaybillError("WAYBILL_LOG_DAMAGED", `the committed offsets of group ${group} are gone`, {
    hint: "Kafka removes those of a group without members after offsets.retention.minutes. Nothing is made up: give the destination another name, which begins at the end, and replay to it what is missing.",
  });
}
