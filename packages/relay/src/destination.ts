import type { DiskRuntime } from "@waybill/core";
import {
  type AccountView,
  type Attempt,
  createSender,
  Lane,
  type LaneSnapshot,
  type Pending,
  type Runtime,
  type Sender,
} from "@waybill/core";
import { LaneState, type LaneStateValue, type Log, LogStore, newLaneState, openDeadLetters } from "@waybill/log";
import { segmentProtocol } from "@waybill/vendors";
import type { LaneMode } from "./admin-types.ts";
import type { DestinationConfig } from "./config/types.ts";
import { LIBRARY } from "./version.ts";

export interface DestinationOptions {
  readonly environment: string;
  readonly config: DestinationConfig;
  readonly log: Log;
  readonly runtime: DiskRuntime;
  /** The environment's directory. */
  readonly directory: string;
  readonly observer: DestinationObserver;
}

/** Told what happens on a destination's lane. Must not throw. */
export interface DestinationObserver {
  attempted(environment: string, destination: string, attempt: Attempt): void;
  modeChanged(environment: string, destination: string, mode: LaneMode, reason: string | undefined): void;
  stateNotWritten(environment: string, destination: string, error: unknown): void;
}

/** A batch of 2,500 events of 200 bytes is 500 KB; a lane never waits for more than its linger to fill one. */
const PROBE_MS = 30_000;

/** One destination of an environment: its lane over the log, its durable state, its dead letters. */
export class Destination {
  readonly #options: DestinationOptions;
  readonly #store: LogStore;
  readonly #lane: Lane;
  readonly #stopListening: () => void;
  #config: DestinationConfig;

  private constructor(options: DestinationOptions, store: LogStore) {
    const { environment, config, log, runtime, observer } = options;
    this.#options = options;
    this.#config = config;
    this.#store = store;
    this.#lane = new Lane({
      name: `${environment}/${config.name}`,
      store,
      sender: senderOf(config, runtime),
      runtime,
      limits: { maxEvents: config.batchMaxEvents, maxBytes: config.batchMaxBytes },
      trigger: {
        flushAt: config.batchMaxEvents,
        flushBytes: config.batchMaxBytes,
        flushIntervalMs: config.lingerMs,
      },
      probeMs: PROBE_MS,
      onAttempt: (attempt) => observer.attempted(environment, config.name, attempt),
      onModeChange: (mode, reason) => observer.modeChanged(environment, config.name, mode, reason),
    });
    this.#stopListening = log.onCommit(() => this.#lane.notify());
  }

  static async open(options: DestinationOptions): Promise<Destination> {
    const { config, log, runtime, directory, environment, observer } = options;
    const state = await LaneState.open<LaneStateValue>(runtime.disk, `${directory}/lanes`, config.name, (damaged) =>
      newLaneState(log, damaged),
    );
    const deadLetters = await openDeadLetters(`${directory}/dead/${config.name}`, log.head, runtime);
    const store = new LogStore({
      name: config.name,
      log,
      state,
      deadLetters,
      onStateError: (error) => observer.stateNotWritten(environment, config.name, error),
    });
    return new Destination(options, store);
  }

  get config(): DestinationConfig {
    return this.#config;
  }

  /** Begins to deliver. Apart from {@link open}, so that a relay that fails to start sends nothing. */
  start(): void {
    this.#lane.notify();
  }

  /** Takes over changed settings; the next attempt uses them, a halted lane tries at once. */
  reconfigure(config: DestinationConfig): void {
    this.#config = config;
    this.#lane.replaceSender(senderOf(config, this.#options.runtime));
  }

  pause(): void {
    this.#lane.pause();
  }

  resume(): void {
    this.#lane.resume();
  }

  get neededFrom(): number {
    return this.#store.neededFrom;
  }

  account(): AccountView {
    return this.#store.account();
  }

  pending(): Pending {
    return this.#store.pending();
  }

  lane(): LaneSnapshot {
    return this.#lane.snapshot();
  }

  /** Makes the cursor durable. */
  sync(): Promise<void> {
    return this.#store.sync();
  }

  /** Finishes the attempt in flight, at most until the deadline. What is pending stays in the log. */
  async close(deadlineMs: number): Promise<void> {
    this.#stopListening();
    await this.#lane.close(deadlineMs, { drain: false });
    await this.#store.close();
  }
}

function senderOf(config: DestinationConfig, runtime: Runtime): Sender {
  return createSender({
    protocol: segmentProtocol({ url: config.url, writeKey: config.writeKey, library: LIBRARY }),
    runtime,
    timeoutMs: config.timeoutMs,
    backoffBaseMs: config.backoffBaseMs,
    backoffMaxMs: config.backoffMaxMs,
    maxAttempts: Number.POSITIVE_INFINITY,
    ...(config.maxRequestsPerSecond === undefined ? {} : { maxRequestsPerSecond: config.maxRequestsPerSecond }),
  });
}
