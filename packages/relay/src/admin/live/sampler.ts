/**
 * Reads the relay's own counters once a second, and keeps the last hour in steps of ten seconds.
 * Nothing is counted for it: ingest and delivery do not know of it. A reading of 1,000 lanes takes
 * some 15 ms, in parts of a millisecond; what it keeps of a lane has 7 KiB, and goes with the lane.
 */
import { type Clock, own, type Timer } from "@waybill/core";
import { partitionOf } from "../../cluster/partition-name.ts";
import type { EnvironmentConfig } from "../../config/types.ts";
import type { Destination } from "../../delivery/destination.ts";
import { Durations } from "../../delivery/lane-activity.ts";
import type { Environment } from "../../environment.ts";
import type { SourceCounters, SourceTable } from "../../intake/sources.ts";
import type { History, ReplayView } from "../views.ts";
import { Column, STEP_MS, STEPS_MAX } from "./history.ts";
import { LaneColumns, LaneTrack, type Moment, setDurations, shownMs } from "./lane-track.ts";
import { PartitionedTrack } from "./partitioned-track.ts";
import { Rate, RecentGrowth } from "./rates.ts";

export interface SamplerOptions {
  readonly clock: Clock;
  readonly environments: () => Iterable<Environment>;
  readonly sources: () => SourceTable | undefined;
  /** Those that are in partitions, as configured; `environments` then are the partitions. */
  readonly inPartitions: () => readonly Pick<EnvironmentConfig, "name" | "destinations">[];
  /** Requests that were refused as a whole, by code; "" names no environment or source. */
  readonly refusedRequests: (environment: string, source: string) => Readonly<Record<string, number>>;
  /** Called after each tick with a new step. Must not throw. */
  readonly onStep?: () => void;
}

const TICK_MS = 1_000;
/** A millisecond's work, and then a rest. */
const LANES_AT_ONCE = 50;
const REST_MS = 5;
/** Of a history: about 20 lanes, a millisecond's work. */
const PIECE_CHARACTERS = 64 * 1024;
/** So long a source that refuses keys or is short of memory is spoken of. */
const LATELY_MS = 600_000;

export class SourceTrack {
  readonly in: Rate = new Rate();
  readonly refusedKeys: RecentGrowth = new RecentGrowth(LATELY_MS);
  readonly refusedForMemory: RecentGrowth = new RecentGrowth(LATELY_MS);
  /** Epoch ms. */
  lastSeenAt: number | null = null;
  #seen: number | undefined;

  note(counters: SourceCounters | undefined, refused: Readonly<Record<string, number>>, moment: Moment): void {
    const { accepted = 0, duplicates = 0, refusedByCode = new Map<string, number>() } = counters ?? {};
    this.in.note(accepted, moment.monotonicMs);
    this.refusedKeys.note(refused["unauthorized"] ?? 0, moment);
    this.refusedForMemory.note(memoryRefusals(refused), moment);
    let seen = accepted + duplicates;
    for (const events of refusedByCode.values()) seen += events;
    for (const requests of Object.values(refused)) seen += requests;
    if (seen > (this.#seen ?? 0)) this.lastSeenAt = moment.nowMs;
    this.#seen = seen;
  }
}

/** What is refused because too much is in memory already. */
const MEMORY_CODES = ["unavailable", "log_busy"];

function memoryRefusals(refused: Readonly<Record<string, number>>): number {
  return MEMORY_CODES.reduce((sum, code) => sum + (own(refused, code) ?? 0), 0);
}

type ReplayOf = Pick<ReplayView, "environment" | "id">;

/** Of one over partitions several may be here, each with its own ledger. */
function nameOf({ environment, id }: ReplayOf): string {
  return `${environment}/${id}`;
}

/** Of all lanes of an environment together. */
class EnvironmentTrack {
  readonly accepted: Column = new Column(0);
  readonly columns: LaneColumns = new LaneColumns();
  sampledHead: number | undefined;
}

export class Sampler {
  /** Of requests of which no source is known. */
  readonly unknownSource: SourceTrack = new SourceTrack();
  readonly #options: SamplerOptions;
  readonly #lanes = new WeakMap<Destination, LaneTrack>();
  readonly #sources = new WeakMap<SourceCounters, SourceTrack>();
  readonly #environments = new WeakMap<Environment, EnvironmentTrack>();
  readonly #partitioned = new Map<string, PartitionedTrack>();
  readonly #replays = new Map<string, Rate>();
  #timer: Timer | undefined;
  #isStopped = false;
  #steps = 0;
  #nextStepAt = 0;
  /** When the last step ended, epoch ms. */
  #steppedAt = 0;

  constructor(options: SamplerOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock } = this.#options;
    this.#nextStepAt = clock.monotonic() + STEP_MS;
    this.#steppedAt = clock.now();
    this.#tick();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  lane(destination: Destination): LaneTrack {
    return made(this.#lanes, destination, () => new LaneTrack());
  }

  source(counters: SourceCounters): SourceTrack {
    return made(this.#sources, counters, () => new SourceTrack());
  }

  replayRate(replay: ReplayOf): number {
    return this.#replays.get(nameOf(replay))?.perSecond ?? 0;
  }

  /**
   * A `History` as JSON, in pieces that are made when they are taken: of 1,000 lanes it has
   * megabytes. Of an environment in partitions it has those that were here; of one partition, what
   * is here of it.
   */
  *history(wants: HistoryChoice): Generator<string> {
    const [end, steps] = [this.#steps, this.steps];
    let text = `{"stepMs":${STEP_MS},"from":${this.from},"steps":${steps},"environments":[`;
    let between = "";
    for (const { name: environment, track, destinations } of this.#tracks(wants.environment)) {
      const accepted = track.accepted.readTotals(end, steps);
      const own = JSON.stringify({ name: environment, accepted, ...columnsOf(track.columns, end, steps) });
      text += `${between}${own.slice(0, -1)},"destinations":[`;
      between = "";
      for (const [name, columns] of destinations) {
        if (wants.destination !== undefined && wants.destination !== name) continue;
        text += between + JSON.stringify({ name, ...columnsOf(columns, end, steps) });
        between = ",";
        if (text.length < PIECE_CHARACTERS) continue;
        yield text;
        text = "";
      }
      text += "]}";
      between = ",";
    }
    yield `${text}]}`;
  }

  *#tracks(wanted: string | undefined): Generator<EnvironmentColumns> {
    const isWanted = (name: string): boolean => wanted === undefined || wanted === name;
    const partitioned = this.#options.inPartitions();
    for (const { name, destinations } of partitioned) {
      if (!isWanted(name)) continue;
      const track = this.#overPartitions(name);
      yield { name, track, destinations: destinations.map((one) => [one.name, track.of(one.name)]) };
    }
    if (wanted === undefined && partitioned.length > 0) return;
    for (const environment of this.#options.environments()) {
      if (!isWanted(environment.name)) continue;
      const destinations = [...environment.destinations()].map(
        (destination) => [destination.config.name, this.lane(destination).columns] as const,
      );
      yield { name: environment.name, track: this.#environment(environment), destinations };
    }
  }

  /** How many steps there are. */
  get steps(): number {
    return Math.min(this.#steps, STEPS_MAX);
  }

  /** When the first of them began, epoch ms. */
  get from(): number {
    return Math.max(0, this.#steppedAt - this.steps * STEP_MS);
  }

  #tick(): void {
    const { clock, environments } = this.#options;
    const nextAt = clock.monotonic() + TICK_MS;
    const lanes: Destination[] = [];
    for (const environment of environments()) {
      this.#environment(environment);
      lanes.push(...environment.destinations());
    }
    this.#readFrom(lanes, 0, nextAt);
  }

  /** Some lanes at a time: what comes in has its turn in between. */
  #readFrom(lanes: readonly Destination[], from: number, nextAt: number): void {
    if (this.#isStopped) return;
    const { clock } = this.#options;
    const moment = this.#now();
    const end = from + LANES_AT_ONCE;
    for (const destination of lanes.slice(from, end)) this.#readLane(destination, moment);
    if (end < lanes.length) {
      this.#timer = clock.after(REST_MS, () => this.#readFrom(lanes, end, nextAt));
      return;
    }
    this.#readReplays(moment);
    this.#readSources(moment);
    this.#stepUntil(moment);
    this.#timer = clock.after(Math.max(REST_MS, nextAt - clock.monotonic()), () => this.#tick());
  }

  #now(): Moment {
    const { clock } = this.#options;
    return { monotonicMs: clock.monotonic(), nowMs: clock.now() };
  }

  #stepUntil({ monotonicMs, nowMs }: Moment): void {
    // After a long standstill all that came is in the first step.
    const isFar = monotonicMs - this.#nextStepAt > STEPS_MAX * STEP_MS;
    if (isFar) this.#nextStepAt = monotonicMs - STEPS_MAX * STEP_MS;
    for (; this.#nextStepAt <= monotonicMs; this.#nextStepAt += STEP_MS) this.#step(nowMs);
  }

  #readLane(destination: Destination, moment: Moment): void {
    const { accepted, delivered, expired, pending } = destination.account();
    // So that the age of what waits is known when somebody looks.
    if (pending > 0) destination.pending();
    const { limitReason } = destination.delivery();
    const lane = destination.lane();
    this.lane(destination).note({ lane, accepted, delivered, expired, pending, limitReason }, moment);
  }

  #readReplays({ monotonicMs }: Moment): void {
    const known = new Set<string>();
    for (const environment of this.#options.environments())
      for (const replay of environment.replays.views()) {
        const { account } = replay;
        const name = nameOf(replay);
        known.add(name);
        const rate = this.#replays.get(name) ?? new Rate();
        this.#replays.set(name, rate);
        rate.note(account.accepted - account.pending, monotonicMs);
      }
    for (const name of this.#replays.keys()) if (!known.has(name)) this.#replays.delete(name);
  }

  #readSources(moment: Moment): void {
    const { sources, refusedRequests } = this.#options;
    for (const { environment, config, counters } of sources()?.sources ?? [])
      this.source(counters).note(counters, refusedRequests(environment.name, config.name), moment);
    this.unknownSource.note(undefined, refusedRequests("", ""), moment);
  }

  #step(nowMs: number): void {
    const step = this.#steps;
    for (const environment of this.#options.environments()) {
      const track = this.#environment(environment);
      const { head } = environment.log;
      track.accepted.set(step, head - (track.sampledHead ?? head));
      track.sampledHead = head;
      const place = partitionOf(environment.name);
      const over = place === undefined ? undefined : this.#overPartitions(place.environment);
      const all = new Durations();
      const sum = { delivered: 0, failedAttempts: 0 };
      for (const destination of environment.destinations()) {
        const { columns } = this.lane(destination);
        const { durations } = destination.activity;
        setDurations(columns, step, durations);
        all.add(durations);
        const grown = this.lane(destination).sample(step);
        over?.add(destination.config.name, grown, durations);
        durations.clear();
        sum.delivered += grown.delivered;
        sum.failedAttempts += grown.failedAttempts;
      }
      track.columns.delivered.set(step, sum.delivered);
      track.columns.failedAttempts.set(step, sum.failedAttempts);
      setDurations(track.columns, step, all);
    }
    for (const { name } of this.#options.inPartitions()) this.#overPartitions(name).write(step, this.#acceptedOf(name));
    this.#steps += 1;
    this.#steppedAt = nowMs;
    this.#options.onStep?.();
  }

  #overPartitions(name: string): PartitionedTrack {
    const track = this.#partitioned.get(name) ?? new PartitionedTrack();
    this.#partitioned.set(name, track);
    return track;
  }

  #acceptedOf(environment: string): number {
    const sources = this.#options.sources()?.sources ?? [];
    return sources
      .filter((source) => source.environment.name === environment)
      .reduce((sum, { counters }) => sum + counters.accepted, 0);
  }

  /** What is stored from its first sight on is in its first step. */
  #environment(environment: Environment): EnvironmentTrack {
    return made(this.#environments, environment, () => {
      const track = new EnvironmentTrack();
      track.sampledHead = environment.log.head;
      return track;
    });
  }
}

interface EnvironmentColumns {
  readonly name: string;
  readonly track: { readonly accepted: Column; readonly columns: LaneColumns };
  readonly destinations: Iterable<readonly [name: string, columns: LaneColumns]>;
}

export interface HistoryChoice {
  readonly environment?: string | undefined;
  readonly destination?: string | undefined;
}

function columnsOf(
  { delivered, failedAttempts, p50Ms, p99Ms }: LaneColumns,
  end: number,
  steps: number,
): Pick<History["environments"][number], "delivered" | "failedAttempts" | "p50Ms" | "p99Ms"> {
  return {
    delivered: delivered.readTotals(end, steps),
    failedAttempts: failedAttempts.readTotals(end, steps),
    p50Ms: p50Ms.read(end, steps).map((value) => (value === null ? null : shownMs(value))),
    p99Ms: p99Ms.read(end, steps).map((value) => (value === null ? null : shownMs(value))),
  };
}

function made<K extends object, V>(map: WeakMap<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const fresh = make();
  map.set(key, fresh);
  return fresh;
}
