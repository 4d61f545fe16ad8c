import {
  type AccountView,
  type Attempt,
  type BatchLimits,
  type DiskRuntime,
  type HttpRequest,
  type HttpResponse,
  Lane,
  type LaneSnapshot,
  type Pending,
  requestFault,
  type Sender,
} from "@waybill/core";
import {
  AttemptJournal,
  attemptsFor,
  DeadLetters,
  LaneState,
  type LaneStateValue,
  type Log,
  LogBatch,
  LogStore,
  newLaneState,
  type Position,
  type RetentionLimits,
} from "@waybill/log";
import { TROPHY_URL } from "@waybill/vendors";
import type { LaneMode, TraceDestination } from "./admin-types.ts";
import type { DestinationConfig } from "./config/types.ts";
import { forCaller, isPlainPath, refusedQuestion } from "./exchanges.ts";
import { FileWriter } from "./file-destination.ts";
import { createDestinationSender, type DestinationSender, protocolOf, type SenderSettings } from "./senders.ts";

export interface DestinationOptions {
  readonly environment: string;
  readonly config: DestinationConfig;
  readonly log: Log;
  readonly runtime: DiskRuntime;
  /** The environment's directory. */
  readonly directory: string;
  readonly observer: DestinationObserver;
  readonly settings: SenderSettings;
  /** Told of each request about the events from `first` on. Must not throw. */
  readonly onAttempt?: (destination: string, first: Position, attempt: Attempt) => void;
  /** What a person should know of. Must not throw. */
  readonly onWarning?: (message: string) => void;
}

/** A request of a client that is no event. Trophy's are the only ones. */
export interface Question {
  readonly method: HttpRequest["method"];
  /** With its query. */
  readonly path: string;
  readonly body: Uint8Array;
  readonly type: string | undefined;
}

/** Told what happens on a destination's lane. Must not throw. */
export interface DestinationObserver {
  attempted(environment: string, destination: string, attempt: Attempt): void;
  modeChanged(environment: string, destination: string, mode: LaneMode, reason: string | undefined): void;
  stateNotWritten(environment: string, destination: string, error: unknown): void;
}

const PROBE_MS = 30_000;
const NOT_FOUND = 404;
const BAD_GATEWAY = 502;

/** What a destination holds open. */
interface Parts {
  readonly store: LogStore;
  readonly deadLetters: DeadLetters;
  readonly attempts: AttemptJournal;
}

/** One destination of an environment: its lane over the log, its durable state, its dead letters, what was tried. */
export class Destination {
  readonly deadLetters: DeadLetters;
  /** Of a batch. */
  readonly limits: BatchLimits;
  readonly #options: DestinationOptions;
  readonly #store: LogStore;
  readonly #attempts: AttemptJournal;
  readonly #lane: Lane;
  readonly #stopListening: () => void;
  readonly #writer: FileWriter;
  #config: DestinationConfig;
  #sender: DestinationSender;

  private constructor(options: DestinationOptions, { store, deadLetters, attempts }: Parts) {
    const { environment, config, log, runtime, observer } = options;
    this.#options = options;
    this.#config = config;
    this.#store = store;
    this.deadLetters = deadLetters;
    this.#attempts = attempts;
    this.#writer = new FileWriter(runtime);
    this.#sender = this.#senderOf(config);
    this.limits = limitsOf(config, options);
    const { maxEvents, maxBytes } = this.limits;
    this.#lane = new Lane({
      name: `${environment}/${config.name}`,
      store,
      sender: this.#sender,
      runtime,
      limits: this.limits,
      trigger: { flushAt: maxEvents, flushBytes: maxBytes, flushIntervalMs: config.lingerMs },
      probeMs: PROBE_MS,
      onAttempt: (attempt, batch) => {
        observer.attempted(environment, config.name, attempt);
        if (!(batch instanceof LogBatch)) return;
        attempts.note(batch.first, batch.count, attempt);
        options.onAttempt?.(config.name, batch.first, attempt);
      },
      onModeChange: (mode, reason) => observer.modeChanged(environment, config.name, mode, reason),
    });
    this.#stopListening = log.onCommit(() => this.#lane.notify());
  }

  static async open(options: DestinationOptions): Promise<Destination> {
    const { config, log, runtime, directory, environment, observer } = options;
    const state = await LaneState.open<LaneStateValue>(runtime.disk, `${directory}/lanes`, config.name, (damaged) =>
      newLaneState(log, damaged),
    );
    const deadLetters = await DeadLetters.open(`${directory}/dead/${config.name}`, log.head, runtime);
    const store = new LogStore({
      name: config.name,
      log,
      state,
      deadLetters,
      // It knows a repeat by the batch's key too: the same batch must go again after a power cut.
      durableLease: config.vendor === "getfluxly" || config.vendor === "http" || config.vendor === "launchdarkly",
      onStateError: (error) => observer.stateNotWritten(environment, config.name, error),
      onExpired: (events) =>
        options.onWarning?.(
          `retention took ${events} events from ${config.name} before they were delivered; they are expired`,
        ),
    });
    const attempts = await AttemptJournal.open(attemptsDirectory(options), runtime.disk);
    return new Destination(options, { store, deadLetters, attempts });
  }

  get config(): DestinationConfig {
    return this.#config;
  }

  #senderOf(config: DestinationConfig): DestinationSender {
    const { runtime, settings } = this.#options;
    return createDestinationSender({ config, runtime, settings, writer: this.#writer });
  }

  /** Begins to deliver. Apart from {@link open}, so that a relay that fails to start sends nothing. */
  start(): void {
    this.#lane.notify();
  }

  /** Takes over changed settings; the next attempt uses them, a halted lane tries at once. */
  reconfigure(config: DestinationConfig): void {
    const before = this.#sender;
    // May throw: then everything stays as it is.
    this.#sender = this.#senderOf(config);
    this.#config = config;
    this.#lane.replaceSender(this.#sender);
    before.close();
  }

  /** Asks the vendor at once, past the lane. `undefined` when no answer comes in time. */
  async ask({ method, path, body, type }: Question, deadlineMs: number): Promise<HttpResponse | undefined> {
    if (!isPlainPath(path)) return refusedQuestion(NOT_FOUND, "There is no such path.");
    const { url, writeKey, tenantId } = this.#config;
    const { runtime } = this.#options;
    const request: HttpRequest = {
      method,
      url: `${url ?? TROPHY_URL}${path}`,
      headers: {
        "x-api-key": writeKey,
        ...(tenantId === undefined ? {} : { "tenant-id": tenantId }),
        ...(type === undefined ? {} : { "content-type": type }),
      },
      body: body.length === 0 ? [] : [body],
    };
    if (requestFault(request) !== undefined) return undefined;
    const controller = new AbortController();
    const timer = runtime.clock.after(deadlineMs, () => controller.abort());
    try {
      const answer = await runtime.transport(request, controller.signal);
      if (answer.cut === true) return refusedQuestion(BAD_GATEWAY, "The vendor's answer is too long.");
      return isRedirect(answer)
        ? refusedQuestion(BAD_GATEWAY, "The vendor answers with a redirect.")
        : forCaller(answer);
    } catch {
      return undefined;
    } finally {
      timer.cancel();
    }
  }

  /** Sends what is not the lane's own: replays. As the lane does, with the credential of now. */
  get sender(): Sender {
    return this.#sender;
  }

  /** Whether the lane sends and has less than a batch to send: then there is room for something else. */
  get hasRoom(): boolean {
    const { mode } = this.#lane.snapshot();
    return (mode === "idle" || mode === "sending") && this.#store.pending().events < this.limits.maxEvents;
  }

  /** The attempts for the event at `position`, oldest first. */
  async attempts(position: Position): Promise<TraceDestination["attempts"]> {
    await this.#attempts.flush();
    return attemptsFor(attemptsDirectory(this.#options), this.#options.runtime.disk, position);
  }

  /** What became of the event at `position` here. */
  async trace(position: Position): Promise<TraceDestination> {
    const attempts = await this.attempts(position);
    const traced = { destination: this.#config.name, attempts, replays: [] };
    if (position >= this.#store.neededFrom) {
      const { mode, reason } = this.#lane.snapshot();
      return { ...traced, outcome: "pending", lane: mode, ...(reason === undefined ? {} : { reason }) };
    }
    if (position < this.#store.base) return { ...traced, outcome: "not_addressed" };
    const letter = await this.deadLetters.forEvent(position);
    if (letter === undefined) return { ...traced, outcome: "delivered" };
    const { reason, rejectedAtMs, state } = letter;
    return {
      ...traced,
      outcome: "rejected",
      reason,
      deadLetter: { letter: letter.letter, state, rejectedAtMs },
    };
  }

  /** Lets go of what speaks of events that the log no longer has, and of old dead letters. */
  async retain(limits: RetentionLimits, nowMs: number): Promise<void> {
    try {
      await this.#attempts.retain(this.#options.log.first);
    } finally {
      await this.deadLetters.retain(limits, nowMs);
    }
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
    this.#sender.close();
    await this.#writer.close();
    await this.#store.close();
    await this.#attempts.close();
  }
}

function isRedirect({ status }: HttpResponse): boolean {
  return status >= 300 && status < 400;
}

function attemptsDirectory({ directory, config }: DestinationOptions): string {
  return `${directory}/attempts/${config.name}`;
}

/** The vendor's limits, or less where the configuration says so. */
function limitsOf(config: DestinationConfig, { settings }: DestinationOptions): BatchLimits {
  const { limits } = protocolOf(config, settings);
  return {
    maxEvents: Math.min(limits.maxEvents, config.batchMaxEvents ?? Number.POSITIVE_INFINITY),
    maxBytes: Math.min(limits.maxBytes, config.batchMaxBytes ?? Number.POSITIVE_INFINITY),
  };
}
