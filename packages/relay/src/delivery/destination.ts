import {
  type AccountView,
  type Attempt,
  type BatchLimits,
  type DiskRuntime,
  type HttpResponse,
  type LaneSnapshot,
  Limiter,
  OperatedLane,
  type Pending,
  printable,
  type Sender,
} from "@waybill/core";
import {
  AttemptJournal,
  attemptsFor,
  DeadLetters,
  Fates,
  fatesOf,
  heldBy,
  type Log,
  type LogRecord,
  LogStore,
  type Position,
  type ReadMemory,
  type RetentionLimits,
  type Skip,
} from "@waybill/log";
import type { PassthroughRequest } from "@waybill/vendors/registry";
import type { LaneDelivery, LaneReport, TraceDestination } from "../admin/views.ts";
import { Cleanup } from "../cleanup.ts";
import type { DestinationConfig } from "../config/types.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { attemptsDirectory, tellVendor } from "./destination-files.ts";
import type { DestinationObserver } from "./destination-observer.ts";
import { deliveryOf, limiterOptionsOf, limitsOf, triggerOf } from "./destination-settings.ts";
import type { SenderSettings } from "./extension.ts";
import { FileWriter } from "./file-writer.ts";
import { Guests } from "./guests.ts";
import { LaneActivity } from "./lane-activity.ts";
import { type LaneEngine, openOnDisk } from "./lane-engine.ts";
import { type CursorMove, moveCursor } from "./move-cursor.ts";
import { OldestWaiting } from "./oldest-waiting.ts";
import { passThrough } from "./pass-through.ts";
import { type Preview, previewOf } from "./preview.ts";
import { createDestinationSender, type DestinationSender } from "./senders.ts";

export interface DestinationOptions {
  readonly environment: string;
  readonly config: DestinationConfig;
  readonly log: Log;
  readonly runtime: DiskRuntime;
  /** The environment's directory. */
  readonly directory: string;
  readonly observer: DestinationObserver;
  readonly settings: SenderSettings;
  /** Of all destinations of the relay. */
  readonly memory: ReadMemory;
  /** Where its state and its own logs are. Default: in the environment's directory. */
  readonly lane?: LaneEngine;
  /** Called for each request about the events from `first` on. Must not throw. */
  readonly onAttempt?: (destination: string, first: Position, attempt: Attempt) => void;
  /** What a person should know of. */
  readonly report: WriteLine;
}

const PROBE_MS = 30_000;
/** A receipt tells what became of its events for longer than the log keeps them. */
const FATES_AGE_FACTOR = 4;
const UNKNOWN_REASON = "the record of its outcome is damaged, or older than these records";
/** Of what is known of single events: enough for 200 million that differ from their neighbours. */
const FATES_MAX_BYTES = 256 * 1024 * 1024;
/** Of a learned limit. */
const SHOWN_DIGITS = 3;

/** What a destination holds open. */
interface Parts {
  readonly writer: FileWriter;
  readonly limiter: Limiter;
  readonly sender: DestinationSender;
  readonly store: LogStore;
  readonly deadLetters: DeadLetters;
  readonly attempts: AttemptJournal;
  readonly fates: Fates;
}

/**
 * One destination of an environment: its lane over the log, its durable state, its dead letters,
 * what was tried.
 */
export class Destination {
  readonly deadLetters: DeadLetters;
  /** What the lane tried lately. */
  readonly activity: LaneActivity = new LaneActivity();
  readonly #options: DestinationOptions;
  readonly #store: LogStore;
  readonly #fates: Fates;
  readonly #attempts: AttemptJournal;
  readonly #lane: OperatedLane;
  readonly #writer: FileWriter;
  readonly #limiter: Limiter;
  readonly #oldest: OldestWaiting;
  readonly #guests = new Guests();
  #stopListening: () => void = () => undefined;
  #config: DestinationConfig;
  #limits: BatchLimits;
  #sender: DestinationSender;
  #haltedUnanswered = false;

  private constructor(options: DestinationOptions, parts: Parts) {
    const { store, deadLetters, attempts, fates, sender, writer, limiter } = parts;
    const { environment, config, runtime, observer } = options;
    this.#options = options;
    this.#oldest = new OldestWaiting(options.log, store);
    this.#config = config;
    this.#store = store;
    this.#fates = fates;
    this.deadLetters = deadLetters;
    this.#attempts = attempts;
    this.#writer = writer;
    this.#limiter = limiter;
    this.#sender = sender;
    this.#limits = limitsOf(config, options.settings);
    this.#lane = new OperatedLane({
      name: `${environment}/${config.name}`,
      store,
      sender: this.#sender,
      runtime,
      limits: this.#limits,
      trigger: triggerOf(config, this.#limits, store),
      width: () => limiter.width,
      probeMs: PROBE_MS,
      onAttempt: (attempt, batch) => {
        observer.attempted({ environment, destination: config.name, attempt });
        this.activity.note(attempt);
        if (attempt.halted > 0) this.#haltedUnanswered = attempt.status === undefined;
        const held = heldBy(batch);
        const first = held?.[0]?.first;
        if (held === undefined || first === undefined) return;
        attempts.note(held, attempt);
        options.onAttempt?.(config.name, first, attempt);
      },
      // What vendors say is safe already; a defect may quote anything.
      onModeChange: (mode, reason) =>
        observer.modeChanged({
          environment,
          destination: config.name,
          mode,
          reason: reason && printable(reason),
          ...(mode === "halted" && this.#haltedUnanswered ? { unanswered: true } : {}),
        }),
    });
  }

  static open(options: DestinationOptions): Promise<Destination> {
    return Cleanup.around((cleanup) => Destination.#open(options, cleanup));
  }

  static async #open(options: DestinationOptions, cleanup: Cleanup): Promise<Destination> {
    const { config, log, runtime, directory, environment, observer } = options;
    const name = { environment, destination: config.name };
    const writer = new FileWriter(runtime);
    const limiter = options.lane?.limiter ?? new Limiter(runtime.clock, limiterOptionsOf(config));
    const sender = createDestinationSender({ config, runtime, settings: options.settings, writer, limiter });
    cleanup.add(() => sender.close());
    const { name: batchName, state, runtime: own } = options.lane ?? (await openOnDisk(options));
    cleanup.add(() => state.close());
    const { dead } = state.initial;
    const deadLetters = await DeadLetters.open(`${directory}/dead/${config.name}`, log.head, own, dead);
    cleanup.add(() => deadLetters.close());
    const fates = await Fates.open({
      directory: `${directory}/fates/${config.name}`,
      runtime: own,
      ...fatesOf(state.initial, log),
    });
    cleanup.add(() => fates.close());
    const attempts = await AttemptJournal.open(attemptsDirectory(options), runtime.disk);
    const store = new LogStore({
      name: batchName,
      fates,
      log,
      state,
      deadLetters,
      clock: runtime.clock,
      memory: options.memory,
      delivery: deliveryOf(config, limiter),
      onStateError: (error) => observer.stateNotWritten({ ...name, error }),
      onExpired: (events) => observer.expired?.({ ...name, events }),
      onRejected: (reason) => observer.rejected?.({ ...name, reason }),
    });
    tellVendor(store, options, config);
    return new Destination(options, { store, deadLetters, attempts, fates, sender, writer, limiter });
  }

  get config(): DestinationConfig {
    return this.#config;
  }

  /** Of a batch. */
  get limits(): BatchLimits {
    return this.#limits;
  }

  /**
   * Begins to deliver. Apart from {@link open}, so that a relay that fails to start, or a plan that
   * is not taken, sends nothing.
   */
  start(): void {
    this.#stopListening = this.#options.log.onCommit(() => this.#lane.notify());
    this.#lane.notify();
  }

  /**
   * Makes changed settings ready; `commit` takes them over: the next attempt uses them, a halted
   * lane tries at once. Cursor, ledger and dead letters stay, whatever has changed; a batch that
   * was sent and has no outcome goes again as it was, if need be to another vendor. **Errors**:
   * `WAYBILL_CONFIG`.
   */
  prepare(config: DestinationConfig): { readonly commit: () => void; readonly discard: () => void } {
    const { runtime, settings } = this.#options;
    const sender = createDestinationSender({ config, runtime, settings, writer: this.#writer, limiter: this.#limiter });
    const limits = limitsOf(config, settings);
    return {
      commit: () => {
        const before = this.#sender;
        this.#config = config;
        this.#sender = sender;
        this.#limits = limits;
        tellVendor(this.#store, this.#options, config);
        this.#store.reconfigure(deliveryOf(config, this.#limiter));
        if (this.#options.lane?.limiter === undefined) this.#limiter.reconfigure(limiterOptionsOf(config));
        this.#lane.reconfigure({ sender, limits, trigger: triggerOf(config, limits, this.#store) });
        before.close();
      },
      discard: () => sender.close(),
    };
  }

  /**
   * Sends a request that is not an event to the vendor at once, past the lane. `undefined` when no
   * answer comes in time, or the vendor has no such requests.
   */
  async passThrough(asked: PassthroughRequest, deadlineMs: number): Promise<HttpResponse | undefined> {
    const { clock } = this.#options.runtime;
    return passThrough(asked, { config: this.#config, transport: this.#sender.transport, clock, deadlineMs });
  }

  /** Sends what is not the lane's own: replays. As the lane does, with the credential of now. */
  get sender(): Sender {
    return this.#guests.senderOf(this.#sender);
  }

  /**
   * Whether the lane sends and has less than a batch to send, beside what is parked: then there is
   * room for something else.
   */
  get hasRoom(): boolean {
    const { mode } = this.#lane.snapshot();
    if (this.#guests.arePaused || (mode !== "idle" && mode !== "sending")) return false;
    const { events, held = 0 } = this.#store.pending();
    return events - held < this.#limits.maxEvents;
  }

  /** The attempts for the event at `position`, oldest first. */
  async attempts(position: Position): Promise<TraceDestination["attempts"]> {
    await this.#attempts.flush();
    return attemptsFor(attemptsDirectory(this.#options), this.#options.runtime.disk, position);
  }

  /** What became of the event at `position` here, and what was tried, which is read after it. */
  async trace(position: Position): Promise<TraceDestination> {
    const outcome = await this.outcomeOf(position);
    const attempts = await this.attempts(position);
    const vendor = this.#store.vendorAt(position) ?? this.#config.vendor;
    const { name: destination, vendor: now } = this.#config;
    return { destination, ...(vendor !== now && { formerVendor: vendor }), ...outcome, attempts, replays: [] };
  }

  /** What became of the event at `position` here. */
  async outcomeOf(
    position: Position,
  ): Promise<Omit<TraceDestination, "destination" | "formerVendor" | "attempts" | "replays">> {
    const fate = await this.#store.fateAt(position);
    const { status: outcome } = fate;
    switch (fate.status) {
      case "pending": {
        const { mode, reason } = this.lane();
        return { outcome, lane: mode, ...(reason === undefined ? {} : { reason }) };
      }
      case "dropped":
        return { outcome, reason: fate.reason };
      // Events of before lanes kept fates may still be known as dead letters.
      case "rejected":
      case "unknown":
        return this.#outcomeOfDeadLetter(position, fate.status);
      default:
        return { outcome };
    }
  }

  async #outcomeOfDeadLetter(
    position: Position,
    outcome: "rejected" | "unknown",
  ): Promise<Pick<TraceDestination, "outcome" | "reason" | "deadLetter" | "deliveredByRetryAtMs">> {
    const found = await this.deadLetters.forEvent(position);
    if (found === undefined)
      return { outcome, reason: outcome === "rejected" ? "its dead letter is damaged or was removed" : UNKNOWN_REASON };
    const { deadLetterId, reason, rejectedAtMs, state, markedAtMs } = found;
    const deadLetter = { deadLetterId, state, rejectedAtMs };
    return state === "retried" && markedAtMs !== undefined
      ? { outcome: "delivered", reason, deadLetter, deliveredByRetryAtMs: markedAtMs }
      : { outcome: "rejected", reason, deadLetter };
  }

  /** Lets go of what speaks of events before `first`, which are gone, and of old dead letters. */
  async retain(limits: RetentionLimits, nowMs: number, first: Position): Promise<void> {
    const results = await Promise.allSettled([
      this.#attempts.retain(first),
      this.deadLetters.retain(limits, nowMs),
      this.#fates.retain(
        { ...limits, maxAgeMs: FATES_AGE_FACTOR * limits.maxAgeMs, maxBytes: FATES_MAX_BYTES },
        nowMs,
        // What is on its way may be gone from the log, and those after it settled.
        Math.min(first, this.neededFrom),
      ),
    ]);
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  pause(reason = "paused by an operator"): void {
    this.#guests.pause();
    this.#lane.pause(reason);
  }

  resume(): void {
    this.#guests.resume();
    this.#limiter.retryNow();
    this.#lane.resume();
  }

  /**
   * Tries a lane that waits, is halted or has failed, and parked events, at once. False when there
   * is nothing to try: it waits for nothing, or for the person who paused it.
   */
  probe(): boolean {
    const { mode } = this.#lane.snapshot();
    if (mode === "paused" || mode === "closed") return false;
    const wasParked = this.#store.retryParked();
    if (mode !== "halted" && mode !== "failed" && mode !== "waiting" && !wasParked) return false;
    this.#limiter.retryNow();
    if (mode === "halted" || mode === "failed") this.#lane.resume();
    else this.#lane.reconfigure({});
    return true;
  }

  /** What the vendor gets of an event of the log: see {@link previewOf}. */
  preview(record: LogRecord, index: number): Promise<Preview> {
    const { runtime, settings } = this.#options;
    return previewOf(record, index, { config: this.#config, runtime, settings });
  }

  /** The last resort: see {@link moveCursor}. */
  async moveCursor(move: CursorMove): Promise<Skip> {
    const { environment, config, observer } = this.#options;
    const skip = await moveCursor(this.#store, () => this.#lane.snapshot().mode, move);
    if (!move.dryRun) observer.skipped?.({ environment, destination: config.name, ...skip });
    return skip;
  }

  get neededFrom(): number {
    return this.#store.neededFrom;
  }

  /** Settled events whose fate is lost; not 0 only after damage. */
  get unknownFates(): number {
    return this.#store.unknownFates;
  }

  account(): AccountView {
    return this.#store.account();
  }

  get report(): LaneReport | undefined {
    return this.#options.lane?.report?.();
  }

  /** What waits. */
  readonly pending = (): Pending => this.#oldest.pending(this.#lane.snapshot().mode);

  lane(): LaneSnapshot {
    const { reason, lastError, ...snapshot } = this.#lane.snapshot();
    return { ...snapshot, reason: reason && printable(reason), lastError: lastError && printable(lastError) };
  }

  /** How fast it sends, and why no faster. */
  delivery(): LaneDelivery {
    const { inFlight, limit, perSecond, reason } = this.#limiter.view();
    return {
      ...this.#store.shape,
      inFlight,
      inFlightLimit: limit,
      ...(perSecond === undefined ? {} : { requestsPerSecondLimit: Number(perSecond.toPrecision(SHOWN_DIGITS)) }),
      limitReason: reason,
    };
  }

  /** Before retention removes what is before `first`. **Errors**: `WAYBILL_DISK`. */
  expiring(first: Position): Promise<void> {
    return this.#store.expiring(first);
  }

  /** Makes the cursor durable. */
  sync(): Promise<void> {
    return this.#store.sync();
  }

  /**
   * Finishes the attempts in flight, at most until the deadline. What is pending stays in the log.
   * What `guests` waits for may still mark dead letters.
   */
  async close(deadlineMs: number, guests?: Promise<void>): Promise<void> {
    this.#stopListening();
    const sent = this.#guests.end(this.#options.runtime.clock, deadlineMs);
    await Promise.all([this.#lane.close(deadlineMs, { drain: false }), sent, guests]);
    this.#sender.close();
    await this.#writer.close();
    await this.#store.close();
    await this.#attempts.close();
  }
}
