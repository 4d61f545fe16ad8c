/**
 * A lane is one destination's independent path: it leases a batch from its store, sends it, settles
 * it, one batch at a time, so that events leave in the order they came.
 *
 * Modes and every transition:
 *
 *   idle     nothing to send yet, or not enough for a request
 *     -> sending   a trigger fired: events, bytes, interval, flush, close
 *   sending  a batch is leased: on its way, or being settled
 *     -> waiting   the chain backs off, or the store could not be read or written
 *     -> idle      the store is empty, or holds less than a trigger
 *     -> halted    the destination refused the credential
 *   waiting  the same batch goes again after a time
 *     -> sending   the time is over, or the wait was interrupted
 *   halted   nothing is sent but a probe now and then; events are kept
 *     -> sending   probe, resume (a new credential)
 *   paused   an operator paused it; the attempt in flight was finished
 *     -> idle      resume
 *   failed   a defect stopped it: an invariant is broken, or something threw that must not; events
 *            are kept
 *     -> sending   resume, another sender
 *   closed   for good
 * Any mode but closed goes to paused, failed and closed; sending and waiting go to paused and
 * closed once the attempt in flight has ended.
 *
 * Invariants: at most one batch is leased; a leased batch is settled before the next lease; no
 * event leaves the store without an outcome. Nothing that is thrown leaves the lane: it is the
 * boundary of its destination. An observer that throws does not disturb the attempt in flight: its
 * outcomes are settled first.
 */
import { type Attempt, type Batch, isFinal, type Outcome, outcomesOf, type SendContext } from "./delivery.ts";
import { assert, isDefect, messageOf } from "./errors.ts";
import type { LaneMode, LaneOptions, LaneSnapshot } from "./lane-types.ts";
import type { Timer } from "./runtime.ts";
import { sleep } from "./runtime.ts";

const MAY_FOLLOW: Readonly<Record<LaneMode, readonly LaneMode[]>> = {
  idle: ["sending"],
  sending: ["idle", "waiting", "halted"],
  waiting: ["sending"],
  halted: ["sending"],
  paused: ["idle"],
  failed: ["sending"],
  closed: [],
};
/** Any mode but closed and itself goes there. */
const ALWAYS: readonly LaneMode[] = ["paused", "failed", "closed"];

const PROBE_DEFAULT_MS = 60_000;
/**
 * Wait before the store is tried again after it failed: a full or failing disk rarely heals sooner.
 */
const STORE_RETRY_MS = 1_000;
const INTERVAL_JITTER = 0.1;

interface FlushWaiter {
  readonly target: number;
  readonly resolve: () => void;
}

export class Lane {
  readonly name: string;
  #options: LaneOptions;
  #mode: LaneMode = "idle";
  #reason: string | undefined;
  /** The flush or probe timer. */
  #timer: Timer | undefined;
  /** What to become once the attempt in flight has ended. */
  #next: "paused" | "failed" | "closed" | undefined;
  /** Why it is to be paused, or has failed. */
  #nextReason: string | undefined;
  /**
   * What a defect left unsettled: the batch, and its outcomes as far as there are any. Settled
   * first when the lane goes on.
   */
  #leased: Batch | undefined;
  #outcomes: readonly Outcome[] | undefined;
  /** Send what is there although no trigger holds. */
  #forced = false;
  #draining = false;
  #soon = new AbortController();
  readonly #now = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #settledEvents = 0;
  #flushes: FlushWaiter[] = [];
  #attempts = 0;
  #failedAttempts = 0;
  #lastError: string | undefined;
  #lastErrorAtMs: number | undefined;

  constructor(options: LaneOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /**
   * Tells the lane that its store has got more. Cheap: called for every capture and every group
   * commit.
   */
  notify(): void {
    if (this.#mode !== "idle") return;
    try {
      if (this.#ripe()) this.#start();
      else this.#armInterval();
    } catch (error) {
      this.#broken(error);
    }
  }

  /**
   * Resolves when everything in the store at the time of the call is settled, or cannot be for now
   * (halted, paused, failed, closed).
   */
  async flush(): Promise<void> {
    const events = this.#pendingEvents();
    if (events === 0 || !this.#active()) return;
    await new Promise<void>((resolve) => {
      this.#flushes.push({ target: this.#settledEvents + events, resolve });
      if (this.#mode === "idle") this.#start();
    });
  }

  /** Stops sending after the attempt in flight; events are kept. */
  pause(reason: string): void {
    if (this.#mode === "closed" || this.#next === "closed" || this.#next === "failed") return;
    this.#nextReason = reason;
    this.#stopFor("paused");
  }

  /** Ends a pause, or tries a halted or failed destination at once. */
  resume(): void {
    if (this.#next === "paused") this.#next = undefined;
    if (this.#mode === "paused") {
      this.#setMode("idle");
      this.notify();
    } else if (this.#mode === "halted" || this.#mode === "failed") this.#start();
  }

  /**
   * Takes over another sender (a rotated credential, a new URL), other limits of a batch, another
   * trigger. The attempt in flight is the last one of the sender before; limits and trigger hold
   * from the next batch on. Ends a halt, a failure and a backoff.
   */
  reconfigure(changes: Partial<Pick<LaneOptions, "sender" | "limits" | "trigger">>): void {
    this.#options = { ...this.#options, ...changes };
    this.#soon.abort();
    if (this.#mode === "halted" || this.#mode === "failed") this.resume();
    if (this.#mode !== "idle") return;
    // An interval that was begun may be longer than the new one.
    this.#cancelTimer();
    this.notify();
  }

  /**
   * Ends the lane; resolves when it is closed. With `drain` it first tries to settle what the store
   * holds; without, only the attempt in flight is finished. What is still under way after
   * `deadlineMs` is aborted and stays in the store.
   */
  async close(deadlineMs: number, options: { readonly drain: boolean }): Promise<void> {
    this.#nextReason = undefined;
    const deadline = this.#options.runtime.clock.after(deadlineMs, () => this.#abort(), true);
    if (options.drain) {
      this.#draining = true;
      await this.flush();
    }
    this.#stopFor("closed");
    await this.#running;
    deadline.cancel();
  }

  snapshot(): LaneSnapshot {
    return {
      mode: this.#mode,
      reason: this.#reason,
      attempts: this.#attempts,
      failedAttempts: this.#failedAttempts,
      lastError: this.#lastError,
      lastErrorAtMs: this.#lastErrorAtMs,
    };
  }

  #active(): boolean {
    return this.#next === undefined && this.#mode !== "halted" && !ALWAYS.includes(this.#mode);
  }

  #ripe(): boolean {
    const { flushAt, flushBytes } = this.#options.trigger;
    const pending = this.#options.store.pending();
    return pending.events >= flushAt || pending.bytes >= flushBytes;
  }

  #armInterval(): void {
    if (this.#timer !== undefined) return;
    const { clock, random } = this.#options.runtime;
    const delayMs = this.#options.trigger.flushIntervalMs * (1 - INTERVAL_JITTER * random.next());
    this.#timer = clock.after(delayMs, () => {
      this.#timer = undefined;
      if (this.#mode === "idle" && this.#pendingEvents() > 0) this.#start();
    });
  }

  /** None when the store does not know. */
  #pendingEvents(): number {
    try {
      return this.#options.store.pending().events;
    } catch (error) {
      this.#broken(error);
      return 0;
    }
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #start(): void {
    this.#cancelTimer();
    this.#forced = true;
    this.#setMode("sending");
    this.#running = this.#run();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      await this.#deliver();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #deliver(): Promise<void> {
    const { store } = this.#options;
    while (this.#next === undefined) {
      const forced = this.#forced || this.#flushes.length > 0 || this.#draining;
      if (!forced && !this.#ripe()) break;
      this.#forced = false;
      this.#soon = new AbortController();
      if (this.#leased === undefined) {
        this.#leased = await this.#persistently("read the next events", () => store.lease(this.#options.limits));
        if (this.#leased === undefined) break;
        const sent = await this.#options.sender.send(this.#leased, this.#context());
        assert(
          sent.length === this.#leased.count && !(sent as readonly unknown[]).includes(undefined),
          "each event has one outcome",
        );
        this.#outcomes = sent;
      }
      const batch = this.#leased;
      // A defect may have left them without.
      const outcomes = this.#outcomes ?? outcomesOf(batch.count, { status: "retryable", reason: "interrupted" });
      await this.#persistently("record the outcomes", () => store.settle(batch, outcomes));
      this.#leased = undefined;
      this.#outcomes = undefined;
      this.#afterSettle(batch, outcomes);
      const halted = outcomes.find((outcome) => outcome.status === "halted");
      if (halted !== undefined && this.#next === undefined) return this.#halt(halted.reason);
    }
    this.#rest();
  }

  /** The loop has ended: take the requested mode, or wait for the next trigger. */
  #rest(): void {
    if (this.#next !== undefined) {
      const mode = this.#next;
      this.#next = undefined;
      this.#setMode(mode, this.#nextReason);
      this.#resolveFlushes(true);
      return;
    }
    this.#setMode("idle");
    this.#resolveFlushes(false);
    // Events that came while the last ones were settled have not been noticed by anyone else.
    if (this.#pendingEvents() > 0) this.notify();
  }

  /** A defect ends the run, or there was none. What is leased stays so until the lane goes on. */
  #fail(error: unknown): void {
    if (this.#mode === "failed" || this.#mode === "closed") return;
    this.#noteDefect(error);
    this.#cancelTimer();
    this.#rest();
  }

  /** Calls an observer, which may throw. */
  #report(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#broken(error);
    }
  }

  /**
   * A defect beside the run: the lane fails, but not before the attempt in flight has ended and is
   * settled.
   */
  #broken(error: unknown): void {
    if (this.#mode !== "sending" && this.#mode !== "waiting") return this.#fail(error);
    this.#noteDefect(error);
    this.#soon.abort();
  }

  #noteDefect(error: unknown): void {
    this.#noteError(messageOf(error));
    if (this.#next === "closed") return;
    this.#next = "failed";
    this.#nextReason = this.#lastError;
  }

  #halt(reason: string): void {
    this.#setMode("halted", reason);
    this.#resolveFlushes(true);
    this.#timer = this.#options.runtime.clock.after(this.#options.probeMs ?? PROBE_DEFAULT_MS, () => {
      this.#timer = undefined;
      if (this.#mode === "halted") this.#start();
    });
  }

  #afterSettle(batch: Batch, outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) if (isFinal(outcome)) this.#settledEvents += 1;
    this.#resolveFlushes(false);
    this.#report(() => this.#options.onSettled?.(batch, outcomes));
  }

  /**
   * A store of bounded size may have dropped what a flush waits for, hence the second condition.
   */
  #resolveFlushes(all: boolean): void {
    if (this.#flushes.length === 0) return;
    const empty = all || this.#pendingEvents() === 0;
    const waiters = this.#flushes;
    this.#flushes = [];
    for (const waiter of waiters) {
      if (empty || waiter.target <= this.#settledEvents) waiter.resolve();
      else this.#flushes.push(waiter);
    }
  }

  /** Repeats a store operation until it works: giving up would lose an outcome. Close aborts it. */
  async #persistently<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (isDefect(error)) throw error;
        this.#noteError(`cannot ${what}: ${messageOf(error)}`);
        if (this.#now.signal.aborted || this.#next === "closed") return undefined;
        this.#setMode("waiting", this.#lastError);
        await sleep(this.#options.runtime.clock, STORE_RETRY_MS, this.#now.signal);
        this.#setMode("sending");
      }
    }
  }

  #context(): SendContext {
    return {
      soon: this.#soon.signal,
      now: this.#now.signal,
      watch: {
        attempted: (attempt, batch) => this.#noteAttempt(attempt, batch),
        waiting: (_waitMs, reason) => this.#setMode("waiting", reason),
        resumed: () => this.#setMode("sending"),
      },
    };
  }

  #noteAttempt(attempt: Attempt, batch: Batch): void {
    this.#attempts += 1;
    if (attempt.reason !== undefined) {
      this.#failedAttempts += 1;
      this.#noteError(attempt.reason);
    }
    this.#report(() => this.#options.onAttempt?.(attempt, batch));
  }

  #noteError(message: string): void {
    this.#lastError = message;
    this.#lastErrorAtMs = this.#options.runtime.clock.now();
  }

  #stopFor(mode: "paused" | "closed"): void {
    if (this.#mode === "closed") return;
    this.#cancelTimer();
    if (this.#mode === "sending" || this.#mode === "waiting") {
      this.#next = mode;
      this.#soon.abort();
      return;
    }
    if (this.#mode !== mode) this.#setMode(mode, this.#nextReason);
    this.#resolveFlushes(true);
  }

  #abort(): void {
    this.#stopFor("closed");
    this.#now.abort();
  }

  #setMode(mode: LaneMode, reason?: string): void {
    const from = this.#mode;
    const may = ALWAYS.includes(mode) ? from !== mode && from !== "closed" : MAY_FOLLOW[from].includes(mode);
    assert(may, `lane ${this.name}: ${from} may not become ${mode}`);
    this.#mode = mode;
    this.#reason = reason;
    try {
      this.#options.onModeChange?.(mode, reason);
    } catch (error) {
      // There is nothing after these two that a further defect could change.
      if (mode !== "failed" && mode !== "closed") this.#broken(error);
    }
  }
}
