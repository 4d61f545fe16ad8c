/**
 * An environment: one log, its sources on one side and one lane per destination on the other.
 *
 * Directory: `log/` the segments, `ids/` the ids that were stored, `lanes/<destination>` where each lane stands, `dead/<destination>/` its dead letters,
 * `attempts/<destination>/` what was tried, `replays/` those that run or ran.
 */
import { type Clock, type DiskRuntime, type HttpResponse, sleep } from "@waybill/core";
import { type Log, type LogRecord, openLog, type RetentionLimits } from "@waybill/log";
import { storedIdsOf, type Vendor } from "@waybill/vendors";
import { accountView } from "./account-view.ts";
import type { ComponentView, LaneView, TraceDestination, TracedEvent } from "./admin-types.ts";
import { AppendRate } from "./append-rate.ts";
import { batchScanner } from "./batch-scanner.ts";
import type { DestinationConfig, EnvironmentConfig, RelayConfig, SourceConfig } from "./config/types.ts";
import { Destination, type DestinationObserver, type Question } from "./destination.ts";
import { Exchanges } from "./exchanges.ts";
import { MemoryRelay } from "./memory-relay.ts";
import { Replays } from "./replays.ts";
import type { SenderSettings } from "./senders.ts";
import { scopeOf } from "./sources.ts";
import { StoredIds } from "./stored-ids.ts";

export interface EnvironmentOptions {
  readonly config: EnvironmentConfig;
  readonly directory: string;
  readonly runtime: DiskRuntime;
  readonly observer: DestinationObserver;
  readonly dedupe: RelayConfig["dedupe"];
  /** Default: not strict. */
  readonly settings?: SenderSettings;
  /** What is lost in memory is told here. */
  readonly onWarning?: (message: string) => void;
  /** As of the log's options. */
  readonly segmentMaxBytes?: number;
}

export class Environment {
  readonly name: string;
  readonly log: Log;
  readonly ids: StoredIds;
  readonly replays: Replays;
  readonly exchanges: Exchanges;
  readonly #memory = new Map<string, MemoryRelay>();
  readonly #rate: AppendRate;
  readonly #options: EnvironmentOptions;
  readonly #destinations: Map<string, Destination>;
  #delivery: Promise<void> | undefined;

  private constructor(
    options: EnvironmentOptions,
    parts: { readonly log: Log; readonly ids: StoredIds; readonly replays: Replays; readonly exchanges: Exchanges },
    destinations: Map<string, Destination>,
  ) {
    this.name = options.config.name;
    this.log = parts.log;
    this.ids = parts.ids;
    this.replays = parts.replays;
    this.exchanges = parts.exchanges;
    this.#options = options;
    this.#destinations = destinations;
    this.#rate = new AppendRate(options.runtime.clock, this.log.headByte);
  }

  static async open(options: EnvironmentOptions): Promise<Environment> {
    const { segmentMaxBytes } = options;
    const log = await openLog(
      { directory: `${options.directory}/log`, ...(segmentMaxBytes === undefined ? {} : { segmentMaxBytes }) },
      options.runtime,
    );
    const { config: environmentConfig, directory, runtime, dedupe } = options;
    const ids = await StoredIds.open({
      directory: `${directory}/ids`,
      runtime,
      log,
      ...dedupe,
      idsOf: ({ source, body, metadata }) => ({
        scope: scopeOf(environmentConfig.name, source),
        ids: storedIdsOf(body, metadata, batchScanner()),
      }),
    });
    const destinations = new Map<string, Destination>();
    const exchanges = new Exchanges(() => destinations.values());
    for (const config of environmentConfig.destinations)
      destinations.set(config.name, await openDestination(options, log, config, exchanges));
    const replays = await Replays.open({
      environment: environmentConfig.name,
      directory,
      log,
      runtime,
      destination: (name) => destinations.get(name),
      onFailed: (name, replay, reason) =>
        options.observer.modeChanged(environmentConfig.name, `${name}/replay-${replay}`, "failed", reason),
    });
    return new Environment(options, { log, ids, replays, exchanges }, destinations);
  }

  start(): void {
    // A disk that is full or broken at the start is shown before the first request finds out.
    void this.log.tryDisk();
    for (const destination of this.#destinations.values()) destination.start();
    this.replays.start();
  }

  /** Where a source's events are kept in memory; `undefined` when there is no destination for them. */
  memoryOf(source: SourceConfig): MemoryRelay | undefined {
    const { memory } = source;
    const destination = [...this.#destinations.values()].find(({ config }) => config.vendor === "launchdarkly");
    if (memory === undefined || destination === undefined) return undefined;
    let relay = this.#memory.get(source.name);
    if (relay === undefined) {
      const { runtime, settings, onWarning = () => undefined } = this.#options;
      relay = new MemoryRelay(destination.config, { memory, runtime, strict: settings?.strict ?? false, onWarning });
      this.#memory.set(source.name, relay);
    }
    return relay;
  }

  /** Asks the destination of a vendor something that is no event; `undefined` without such a destination, or without an answer in time. */
  async ask(vendor: Vendor, question: Question, deadlineMs: number): Promise<HttpResponse | undefined> {
    const destination = [...this.#destinations.values()].find(({ config }) => config.vendor === vendor);
    return destination?.ask(question, deadlineMs);
  }

  destination(name: string): Destination | undefined {
    return this.#destinations.get(name);
  }

  /** Follows a new plan: changed destinations take their settings over, new ones begin at the head, missing ones close. */
  async reconfigure(config: EnvironmentConfig, deadlineMs: number): Promise<readonly string[]> {
    const changed: string[] = [];
    for (const wanted of config.destinations) {
      const present = this.#destinations.get(wanted.name);
      if (present === undefined) {
        const opened = await openDestination(this.#options, this.log, wanted, this.exchanges);
        this.#destinations.set(wanted.name, opened);
        opened.start();
        changed.push(`${this.name}/${wanted.name} added`);
      } else if (JSON.stringify(present.config) !== JSON.stringify(wanted)) {
        present.reconfigure(wanted);
        if (wanted.vendor === "launchdarkly") for (const relay of this.#memory.values()) relay.reconfigure(wanted);
        changed.push(`${this.name}/${wanted.name} changed`);
      }
    }
    const names = new Set(config.destinations.map(({ name }) => name));
    for (const [name, destination] of this.#destinations) {
      if (names.has(name)) continue;
      this.#destinations.delete(name);
      await destination.close(deadlineMs);
      changed.push(`${this.name}/${name} removed`);
    }
    this.replays.reconfigured();
    return changed;
  }

  /** Makes every cursor durable. A failure is shown by the component and tried again at the next call. */
  async sync(): Promise<void> {
    this.#rate.note(this.log.headByte);
    await Promise.allSettled([
      ...[...this.#destinations.values()].map((destination) => destination.sync()),
      this.replays.sync(),
    ]);
  }

  /** Gives space back. Cursors are synced first: after a power cut they must not point at what is gone. */
  async retain(limits: RetentionLimits, nowMs: number): Promise<number> {
    await Promise.all([...this.#destinations.values()].map((destination) => destination.sync()));
    let neededFrom = this.log.head;
    for (const destination of this.#destinations.values()) neededFrom = Math.min(neededFrom, destination.neededFrom);
    await this.ids.retain();
    const removed = await this.log.retain(limits, nowMs, neededFrom);
    for (const destination of this.#destinations.values()) await destination.retain(limits, nowMs);
    await this.replays.retain(limits.maxAgeMs, nowMs);
    return removed;
  }

  component(): ComponentView {
    const reason = this.log.lastError;
    return { name: `log ${this.name}`, ready: reason === undefined, ...(reason === undefined ? {} : { reason }) };
  }

  /** `hardMaxBytes` of retention: where a lane that is still behind begins to lose events. */
  lanes(nowMs: number, hardMaxBytes: number = Number.POSITIVE_INFINITY): readonly LaneView[] {
    return [...this.#destinations.values()].map((destination) => this.#laneView(destination, nowMs, hardMaxBytes));
  }

  /** What became of the events of this id: of the segments written to in that time, or of all. */
  async trace(
    messageId: string,
    range: { readonly sinceMs?: number; readonly untilMs?: number } = {},
  ): Promise<readonly TracedEvent[]> {
    const traced: TracedEvent[] = [];
    const seen = new Set<number>();
    for await (const { record, index } of this.log.find(Buffer.from(JSON.stringify(messageId)), range)) {
      if (index === undefined || seen.has(record.first + index)) continue;
      const event = eventAt(record, index);
      // The same text may stand in another event's properties.
      if (!ID_MEMBERS.some((member) => event[member] === messageId)) continue;
      const position = record.first + index;
      seen.add(position);
      const destinations = await Promise.all(
        [...this.#destinations.values()].map((destination) => this.#traceAt(destination, position)),
      );
      const { source, receivedAtMs } = record;
      traced.push({ environment: this.name, source, position, receivedAtMs, event, destinations });
    }
    return traced;
  }

  async #traceAt(destination: Destination, position: number): Promise<TraceDestination> {
    const traced = await destination.trace(position);
    const letter = traced.deadLetter?.letter;
    return { ...traced, replays: await this.replays.trace(destination.config.name, position, letter) };
  }

  /**
   * Ends delivery: attempts in flight are finished within the deadline, no other is begun. What is accepted from now on is stored and stays pending; callers
   * that wait for a vendor's answer to it are told so.
   */
  async stopDelivery(deadlineMs: number): Promise<void> {
    this.#delivery ??= this.#stopDelivery(deadlineMs);
    await this.#delivery;
  }

  async #stopDelivery(deadlineMs: number): Promise<void> {
    const { clock } = this.#options.runtime;
    await Promise.all([
      this.replays.close(deadlineMs),
      ...[...this.#memory.values()].map((relay) => within(deadlineMs, clock, relay.close())),
      ...[...this.#destinations.values()].map((destination) => destination.close(deadlineMs)),
    ]);
    this.exchanges.close();
  }

  async close(deadlineMs: number): Promise<void> {
    await this.stopDelivery(deadlineMs);
    await this.log.close();
    await this.ids.close();
  }

  #laneView(destination: Destination, nowMs: number, hardMaxBytes: number): LaneView {
    const { mode, reason, attempts, failedAttempts, lastError, lastErrorAtMs } = destination.lane();
    const pending = destination.pending();
    const timeUntilLossMs = pending.events === 0 ? undefined : this.#rate.timeToGrow(hardMaxBytes - pending.bytes);
    return {
      environment: this.name,
      destination: destination.config.name,
      vendor: destination.config.vendor,
      mode,
      ...(reason === undefined ? {} : { reason }),
      account: accountView(destination.account()),
      pendingBytes: pending.bytes,
      ...(pending.oldestAtMs === undefined ? {} : { oldestPendingMs: Math.max(0, nowMs - pending.oldestAtMs) }),
      attempts,
      failedAttempts,
      deadLetters: destination.deadLetters.counts(),
      ...(timeUntilLossMs === undefined ? {} : { timeUntilLossMs }),
      ...(lastError === undefined ? {} : { lastError }),
      ...(lastErrorAtMs === undefined ? {} : { lastErrorAtMs }),
    };
  }
}

function openDestination(
  options: EnvironmentOptions,
  log: Log,
  config: DestinationConfig,
  exchanges: Exchanges,
): Promise<Destination> {
  const { directory, runtime, observer, settings = { strict: false } } = options;
  return Destination.open({
    environment: options.config.name,
    config,
    log,
    runtime,
    directory,
    observer,
    settings,
    onAttempt: (destination, first, attempt) => exchanges.attempted(destination, first, attempt),
  });
}

/** Waits for `work`, at most so long. */
async function within(deadlineMs: number, clock: Clock, work: Promise<void>): Promise<void> {
  const done = new AbortController();
  const finished = work.finally(() => done.abort());
  await Promise.race([finished, sleep(clock, deadlineMs, done.signal)]);
}

function eventAt({ body, ends }: LogRecord, index: number): Readonly<Record<string, unknown>> {
  const start = index === 0 ? 0 : (ends[index - 1] as number) + 1;
  return JSON.parse(Buffer.from(body.subarray(start, ends[index])).toString()) as Readonly<Record<string, unknown>>;
}

/** Where an event's id stands, by its vendor. */
const ID_MEMBERS: readonly string[] = ["messageId", "message_id", "key"];
