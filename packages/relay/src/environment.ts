/**
 * An environment: one log, its sources on one side and one lane per destination on the other.
 *
 * Directory: `log/` the segments, `ids/` the ids that were stored, `lanes/<destination>` each
 * lane's cursor, `dead/<destination>/` its dead letters, `attempts/<destination>/` what was tried,
 * `paused/` the names of lanes that operators have paused, `replays/` those that run or ran.
 */
import { assert, type HttpResponse } from "@waybill/core";
import type { Log, Position, RetentionLimits } from "@waybill/log";
import type { PassthroughRequest, Vendor } from "@waybill/vendors/registry";
import type { ComponentView, LaneView, TracedEvent } from "./admin/views.ts";
import { Cleanup } from "./cleanup.ts";
import type { DestinationConfig, EnvironmentConfig, SourceConfig } from "./config/types.ts";
import { Destination } from "./delivery/destination.ts";
import { type PreparedPlan, prepareDestinations } from "./delivery/destination-plan.ts";
import { Exchanges } from "./delivery/exchanges.ts";
import { KeptPauses } from "./delivery/kept-pauses.ts";
import type { LaneEngine } from "./delivery/lane-engine.ts";
import { laneViewOf } from "./delivery/lane-view.ts";
import { takesFrom } from "./delivery/left-out.ts";
import { type Lanes, type OrphanedLane, orphanedLanes, tracesOfRemoved } from "./delivery/removed-lanes.ts";
import { Replays } from "./delivery/replays.ts";
import { type Traceable, type Traced, type TraceOptions, traceEvents, tracePosition } from "./delivery/tracer.ts";
import { DIRECTORIES, makeDirectories, openIds, openSegments } from "./environment-files.ts";
import type { EnvironmentOptions } from "./environment-options.ts";
import { Histogram } from "./histogram.ts";
import { AppendRate } from "./intake/append-rate.ts";
import type { StoredHere } from "./intake/source-environment.ts";
import type { StoredIds } from "./intake/stored-ids.ts";
import type { MemoryRelay } from "./launchdarkly/memory-relay.ts";
import { MemorySources } from "./launchdarkly/memory-sources.ts";
import { isInMemory } from "./launchdarkly/options.ts";
import { SILENT, type WriteLine } from "./log-lines/operator-log.ts";
import { safeError } from "./log-lines/safe-text.ts";
import { openDestination } from "./open-destination.ts";

/** Seconds: a disk with a write cache, one without, one that hangs. */
const SYNC_LIMITS: readonly number[] = [1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

export class Environment {
  readonly name: string;
  readonly log: Log;
  readonly replays: Replays;
  readonly exchanges: Exchanges;
  readonly pauses: KeptPauses;
  /** How long the disk took for each write and sync of the log. */
  readonly syncSeconds: Histogram;
  /** Absent where duplicates are found by the log itself. */
  readonly #ids: StoredIds | undefined;
  readonly #memory: MemorySources;
  readonly #rate: AppendRate;
  readonly #options: EnvironmentOptions;
  readonly #destinations: Map<string, Destination>;
  #delivery: Promise<void> | undefined;
  #syncError: string | undefined;

  private constructor(
    options: EnvironmentOptions,
    parts: Pick<Environment, "log" | "replays" | "exchanges" | "pauses" | "syncSeconds"> & {
      readonly ids: StoredIds | undefined;
    },
    destinations: Map<string, Destination>,
  ) {
    this.name = options.config.name;
    this.log = parts.log;
    this.#ids = parts.ids;
    this.replays = parts.replays;
    this.exchanges = parts.exchanges;
    this.pauses = parts.pauses;
    this.syncSeconds = parts.syncSeconds;
    this.#options = options;
    this.#destinations = destinations;
    this.#memory = new MemorySources({ ...options, report: options.report ?? SILENT });
    this.#rate = new AppendRate(options.runtime.clock, this.log.headByte);
  }

  static open(options: EnvironmentOptions): Promise<Environment> {
    return Cleanup.around((cleanup) => Environment.#open(options, cleanup));
  }

  static async #open(options: EnvironmentOptions, cleanup: Cleanup): Promise<Environment> {
    await makeDirectories(options);
    const syncSeconds = new Histogram(SYNC_LIMITS);
    const log = options.log ?? (await openSegments(options, syncSeconds));
    cleanup.add(() => log.close());
    const { config: environmentConfig, directory, runtime } = options;
    const ids = options.log === undefined ? await openIds(options, log) : undefined;
    cleanup.add(() => ids?.close());
    const destinations = new Map<string, Destination>();
    const pauses = new KeptPauses(runtime.disk, `${directory}/paused`);
    const exchanges = new Exchanges({
      environment: environmentConfig.name,
      destinations: () => destinations.values(),
      kept: options.keptAnswers,
    });
    for (const config of options.log === undefined ? environmentConfig.destinations : []) {
      const destination = await openDestination(options, config, { log, exchanges, pauses });
      cleanup.add(() => destination.close(0));
      destinations.set(config.name, destination);
    }
    const replays = await Replays.open({
      environment: environmentConfig.name,
      directory,
      log,
      runtime,
      destination: (name) => destinations.get(name),
      onFailed: (name, replay, reason) =>
        options.observer.modeChanged({
          environment: environmentConfig.name,
          destination: `${name}/replay-${replay}`,
          mode: "failed",
          reason,
        }),
      report: options.report ?? SILENT,
    });
    const environment = new Environment(options, { log, ids, replays, exchanges, pauses, syncSeconds }, destinations);
    for (const { destination, events } of await environment.orphanedLanes())
      if (events > 0)
        options.report?.("lane_orphaned", { environment: environment.name, destination, events, directory });
    return environment;
  }

  /** Lanes that have a state, and no destination: what waits for them is delivered to nobody. */
  orphanedLanes(): Promise<readonly OrphanedLane[]> {
    return orphanedLanes(this.#lanes());
  }

  #removed(positions: readonly Position[]): ReturnType<Traceable["removed"]> {
    return tracesOfRemoved(this.#lanes(), positions);
  }

  #lanes(): Lanes {
    const { directory, runtime } = this.#options;
    return { directory, disk: runtime.disk, log: this.log, isConfigured: (name) => this.#destinations.has(name) };
  }

  /** Of what was stored. Where the log finds duplicates there are none. */
  get ids(): StoredIds {
    assert(this.#ids !== undefined, "a source's environment has ids");
    return this.#ids;
  }

  /** As what delivers. */
  get shards(): readonly Environment[] {
    return [this];
  }

  /** As what sources store in. */
  get source(): StoredHere {
    return this;
  }

  start(): void {
    // A disk that is full or broken at the start is shown before the first request finds out.
    void this.log.tryDisk();
    for (const destination of this.#destinations.values()) destination.start();
    this.replays.start();
  }

  /**
   * Where a source's events are kept in memory; `undefined` when they are stored, or there is no
   * destination for them.
   */
  memoryOf(source: SourceConfig): MemoryRelay | undefined {
    if (!isInMemory(source)) return undefined;
    return this.#memory.of(source, this.#destinationsOf(source.name));
  }

  /**
   * Sends a request that is not an event to the destination of a vendor; `undefined` without such a
   * destination, or without an answer in time.
   */
  async passThrough(
    { source, vendor }: { readonly source: string; readonly vendor: Vendor },
    request: PassthroughRequest,
    deadlineMs: number,
  ): Promise<HttpResponse | undefined> {
    const wanted = this.#destinationsOf(source).find((config) => config.vendor === vendor);
    return wanted === undefined ? undefined : this.#destinations.get(wanted.name)?.passThrough(request, deadlineMs);
  }

  /** Those that take its events. */
  #destinationsOf(source: string): readonly DestinationConfig[] {
    return [...this.#destinations.values()].map(({ config }) => config).filter((config) => takesFrom(config, source));
  }

  /**
   * Pauses or resumes a lane on the disk, for starts to come as well. `false`: there is none of
   * that name. **Errors**: `WAYBILL_DISK`; a lane that was to be paused is, until the next start.
   */
  async setPaused(name: string, isPaused: boolean): Promise<boolean> {
    if (!this.#destinations.has(name)) return false;
    if (isPaused) this.#destinations.get(name)?.pause();
    await this.pauses.keep(name, isPaused);
    if (!isPaused) this.#destinations.get(name)?.resume();
    return true;
  }

  destination(name: string): Destination | undefined {
    return this.#destinations.get(name);
  }

  /** Begins to deliver to a destination that another engine gives us. **Errors**: the engine's. */
  async addLane(config: DestinationConfig, lane: LaneEngine): Promise<Destination> {
    const destination = await openDestination(this.#options, config, this, lane);
    this.#destinations.set(config.name, destination);
    const hold = lane.hold?.();
    if (hold !== undefined) destination.pause(hold);
    destination.start();
    return destination;
  }

  /** Ends the delivery to a destination, which another process goes on with. */
  async removeLane(name: string, deadlineMs: number): Promise<void> {
    const destination = this.#destinations.get(name);
    this.#destinations.delete(name);
    try {
      await destination?.close(deadlineMs);
    } finally {
      this.exchanges.left(name);
    }
  }

  destinations(): Iterable<Destination> {
    return this.#destinations.values();
  }

  /** Follows a new plan, or fails and goes on as before. Tells what has changed. */
  async reconfigure(config: EnvironmentConfig, deadlineMs: number): Promise<readonly string[]> {
    const { changed, commit } = await this.prepare(config);
    await commit(deadlineMs);
    return changed;
  }

  /**
   * Makes a new plan ready: changed destinations take their settings over, new ones begin at the
   * head, missing ones close. One at a time.
   */
  prepare(config: EnvironmentConfig): Promise<PreparedPlan> {
    return Cleanup.around(async (cleanup) => {
      const { directory, runtime } = this.#options;
      const plan = await prepareDestinations(config.destinations, {
        environment: this.name,
        directory,
        disk: runtime.disk,
        destinations: this.#destinations,
        open: (destination) => openDestination(this.#options, destination, this),
        report: this.#report,
      });
      cleanup.add(plan.discard);
      const memory = this.#memory.prepare(config, cleanup);
      return {
        ...plan,
        commit: async (deadlineMs) => {
          const committed = [plan.commit(deadlineMs), memory(deadlineMs)];
          this.replays.reconfigured();
          await Promise.all(committed);
        },
        discard: () => cleanup.run(),
      };
    });
  }

  /**
   * Makes every cursor durable. Never rejects: a failure is reported when it begins, and tried
   * again at the next call.
   */
  async sync(): Promise<void> {
    this.#rate.note(this.log.headByte);
    await this.#syncCursors();
    await this.replays.sync();
  }

  /** Whether all of them are. */
  async #syncCursors(): Promise<boolean> {
    const synced = await Promise.allSettled([...this.#destinations.values()].map((destination) => destination.sync()));
    const failed = synced.find((result) => result.status === "rejected");
    const reason = failed === undefined ? undefined : safeError(failed.reason);
    if (reason !== undefined && this.#syncError === undefined)
      this.#report("cursor_not_durable", { environment: this.name, error: reason });
    this.#syncError = reason;
    return failed === undefined;
  }

  /**
   * Gives space back. Cursors are synced first: after a power cut they must not point at what is
   * gone; where that fails, only the hard limit takes events. Never rejects: a step that fails is
   * reported and tried again at the next call, the others are done.
   */
  async retain(limits: RetentionLimits, nowMs: number): Promise<number> {
    let neededFrom = (await this.#syncCursors()) ? this.log.head : this.log.first;
    for (const destination of this.#destinations.values()) neededFrom = Math.min(neededFrom, destination.neededFrom);
    await this.#try("remove old ids", async () => this.#ids?.retain());
    let removed = 0;
    await this.#try("remove old segments", async () => {
      removed = await this.#retainLog(this.log.retainedFrom(limits, nowMs, neededFrom));
    });
    for (const destination of this.#destinations.values())
      await this.#try(`remove old dead letters and attempts of ${destination.config.name}`, () =>
        this.#retainDestination(destination, limits, { nowMs, first: this.log.first }),
      );
    await this.#try("remove old replays", () => this.replays.retain(limits.maxAgeMs, nowMs));
    return removed;
  }

  /**
   * The same of what is beside the lanes alone: dead letters, outcomes, attempts. `first`: the
   * log's, which it need not have counted. **Errors**: those of their logs.
   */
  async retainLanes(limits: RetentionLimits, nowMs: number, first: Position): Promise<void> {
    for (const destination of this.#destinations.values())
      await this.#retainDestination(destination, limits, { nowMs, first });
  }

  /** The lanes hear of it from the log; what replays lose has to be counted before it is gone. */
  async #retainLog(from: Position): Promise<number> {
    if (from <= this.log.first) return 0;
    const expire = await this.replays.expiring(from);
    for (const destination of this.#destinations.values()) await destination.expiring(from);
    await this.#try("keep the ids of what is removed", async () => this.#ids?.removing(from));
    const removed = await this.log.removeBefore(from);
    await expire();
    return removed;
  }

  async #retainDestination(
    destination: Destination,
    limits: RetentionLimits,
    { nowMs, first }: { readonly nowMs: number; readonly first: Position },
  ): Promise<void> {
    const { deadLetters, config } = destination;
    const from = deadLetters.retainedFrom(limits, nowMs);
    const expire = from <= deadLetters.log.first ? undefined : await this.replays.expiring(from, config.name);
    await destination.retain(limits, nowMs, first);
    if (deadLetters.log.first === from) await expire?.();
  }

  /** What is done again and again, or last, must not end anything else. */
  async #try(what: string, run: () => Promise<unknown>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#report("maintenance_failed", { environment: this.name, error: `cannot ${what}: ${safeError(error)}` });
    }
  }

  get #report(): WriteLine {
    return this.#options.report ?? SILENT;
  }

  /** Where what it keeps is, by what that is. */
  get directories(): readonly (readonly [name: string, path: string])[] {
    return DIRECTORIES.map((name) => [name, `${this.#options.directory}/${name}`]);
  }

  components(): readonly ComponentView[] {
    return [this.component()];
  }

  component(): ComponentView {
    const reason = this.log.lastError;
    return { name: `log ${this.name}`, ready: reason === undefined, ...(reason === undefined ? {} : { reason }) };
  }

  /** `hardMaxBytes` of retention: where a lane that is still behind begins to lose events. */
  lanes(nowMs: number, hardMaxBytes: number = Number.POSITIVE_INFINITY): readonly LaneView[] {
    return [...this.#destinations.values()].map((destination) => this.lane(destination, nowMs, hardMaxBytes));
  }

  /** What became of the events of this id: see {@link traceEvents}. */
  trace(messageId: string, options: TraceOptions = {}): Promise<Traced> {
    return traceEvents(this.#traceable(), messageId, options);
  }

  /**
   * What became of the event at `position`, also when the event itself is no longer in the log.
   * `undefined`: no event has this position yet.
   */
  traceAt(position: Position): Promise<TracedEvent | undefined> {
    return tracePosition(this.#traceable(), position);
  }

  #traceable(): Traceable {
    const { name: environment, log, replays } = this;
    const removed: Traceable["removed"] = (positions) => this.#removed(positions);
    return { environment, log, replays, destinations: [...this.#destinations.values()], removed };
  }

  /**
   * Ends delivery: attempts in flight are finished within the deadline, no other is begun. What is
   * accepted from now on is stored and stays pending; callers that wait for a vendor's answer to it
   * are answered that it was only stored.
   */
  async stopDelivery(deadlineMs: number): Promise<void> {
    this.#delivery ??= this.#stopDelivery(deadlineMs);
    await this.#delivery;
  }

  async #stopDelivery(deadlineMs: number): Promise<void> {
    this.exchanges.stop();
    const replays = this.#try("close the replays", () => this.replays.close(deadlineMs));
    const closed = [...this.#destinations.values()].map((destination) =>
      this.#try(`close ${destination.config.name}`, () => destination.close(deadlineMs, replays)),
    );
    await Promise.all([replays, ...closed]);
    this.exchanges.close();
  }

  async close(deadlineMs: number): Promise<void> {
    await Promise.all([
      this.stopDelivery(deadlineMs),
      // They keep what comes until the last request, and have no log.
      this.#try("close the sources in memory", () => this.#memory.close(deadlineMs)),
    ]);
    await this.#try("close the log", () => this.log.close());
    await this.#try("close the ids", async () => this.#ids?.close());
  }

  lane(destination: Destination, nowMs: number, hardMaxBytes: number): LaneView {
    return laneViewOf(destination, {
      environment: this.name,
      nowMs,
      timeToGrow: (bytes) => this.#rate.timeToGrow(bytes),
      hardMaxBytes,
    });
  }
}
