/**
 * A lane is one destination's independent path: it leases batches from its store, sends each, and
 * settles it. Several are on their way at once, as many as its window allows and as the store
 * gives: the store sees to it that events whose order matters are never in two of them.
 *
 * Modes and every transition:
 *
 *   idle     nothing to send yet, or not enough for a request
 *     -> sending   a trigger fired: events, bytes, interval, flush, close
 *   sending  a batch is leased: on its way, or being settled
 *     -> waiting   each batch on its way backs off, or the store could not be read or written
 *     -> idle      the store is empty, or holds less than a trigger
 *     -> halted    the destination refused the credential
 *   waiting  the same batches go again after a time
 *     -> sending   the time of one is over, or the wait was interrupted
 *   halted   nothing is sent but a probe now and then; events are kept
 *     -> sending   probe, resume (a new credential)
 *   paused   an operator paused it; the attempts in flight were finished
 *     -> idle      resume
 *   failed   a defect stopped it: an invariant is broken, or something threw that must not; events
 *            are kept
 *     -> sending   resume, another sender
 *   closed   for good
 * Any mode but closed goes to paused, failed and closed; sending and waiting go to paused and
 * closed once the attempts in flight have ended.
 *
 * Invariants: every leased batch is settled, once; no event leaves the store without an outcome.
 * Nothing that is thrown leaves the lane: it is the boundary of its destination. An observer that
 * throws does not disturb the attempts in flight: their outcomes are settled first.
 */
import { type Attempt, type Batch, outcomesOf, type SendContext } from "./delivery.ts";
import { assert, isDefect, messageOf } from "./errors.ts";
import { type Flight, Flights, Flushes, flightOf } from "./flights.ts";
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

export class Lane {
  readonly name: string;
  #options: LaneOptions;
  #mode: LaneMode = "idle";
  #reason: string | undefined;
  /** The flush or probe timer. */
  #timer: Timer | undefined;
  /** What to become once the attempts in flight have ended. */
  #next: "paused" | "failed" | "closed" | undefined;
  /** Why it is to be paused, or has failed. */
  #nextReason: string | undefined;
  /** Why the destination takes nothing, as one of the batches on their way was answered. */
  #halted: string | undefined;
  readonly #flights = new Flights();
  /** What a defect left unsettled: settled first when the lane goes on. */
  #left: Flight[] = [];
  /** Send what is there although no trigger holds. */
  #forced = false;
  #draining = false;
  /** One batch at a time until one is delivered: the destination refused the credential. */
  #cautious = false;
  /** The store's tail when it had nothing that may be sent; -1 once something was settled. */
  #blockedAt = -1;
  /** Whether there is something for the run to look at. */
  #stirred = false;
  #stir: () => void = () => undefined;
  readonly #now = new AbortController();
  #running: Promise<void> = Promise.resolve();
  readonly #flushes = new Flushes();
  #attempts = 0;
  #failedAttempts = 0;
  #deliveredAt = Number.NEGATIVE_INFINITY;
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
    if (this.#mode !== "idle" && !this.#hasRoom()) return;
    try {
      if (!this.#ripe()) this.#armInterval();
      else if (this.#mode === "idle") this.#start();
      else this.#wake();
    } catch (error) {
      this.#broken(error);
    }
  }

  /**
   * Resolves when everything in the store at the time of the call is settled, or cannot be for now
   * (halted, paused, failed, closed).
   */
  async flush(): Promise<void> {
    if (this.#pendingEvents() === 0 || !this.#active()) return;
    const flushed = this.#flushes.wait(this.#options.store.tail);
    if (this.#mode === "idle") this.#start();
    else this.#wake();
    await flushed;
  }

  /** Stops sending after the attempts in flight; events are kept. */
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
   * trigger. The attempts in flight are the last ones of the sender before; limits and trigger hold
   * from the next batch on. Ends a halt, a failure and a backoff.
   */
  reconfigure(changes: Partial<Pick<LaneOptions, "sender" | "limits" | "trigger">>): void {
    this.#options = { ...this.#options, ...changes };
    this.#flights.abort("soon");
    if (this.#mode === "halted" || this.#mode === "failed") this.resume();
    if (this.#mode !== "idle") return;
    // An interval that was begun may be longer than the new one.
    this.#cancelTimer();
    this.notify();
  }

  /**
   * Ends the lane; resolves when it is closed. With `drain` it first tries to settle what the store
   * holds; without, only the attempts in flight are finished. What is still under way after
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
      inFlight: this.#flights.size,
      attempts: this.#attempts,
      failedAttempts: this.#failedAttempts,
      lastError: this.#lastError,
      lastErrorAtMs: this.#lastErrorAtMs,
    };
  }

  #active(): boolean {
    return this.#next === undefined && this.#mode !== "halted" && !ALWAYS.includes(this.#mode);
  }

  /** Whether one more batch may leave, beside those on their way. */
  #hasRoom(): boolean {
    const { store, trigger } = this.#options;
    return (
      (this.#mode === "sending" || this.#mode === "waiting") &&
      this.#next === undefined &&
      this.#flights.size < this.#window() &&
      (this.#blockedAt < 0 || store.tail >= this.#blockedAt + trigger.flushAt)
    );
  }

  #window(): number {
    return this.#cautious ? 1 : (this.#options.window?.() ?? 1);
  }

  /** Whether what waits beside the leased batches is enough for a request. */
  #ripe(): boolean {
    const { flushAt, flushBytes } = this.#options.trigger;
    const { events, bytes, held = 0 } = this.#options.store.pending();
    return events - held - this.#flights.events >= flushAt || bytes - this.#flights.bytes >= flushBytes;
  }

  #armInterval(): void {
    if (this.#timer !== undefined) return;
    const { clock, random } = this.#options.runtime;
    const delayMs = this.#options.trigger.flushIntervalMs * (1 - INTERVAL_JITTER * random.next());
    this.#timer = clock.after(delayMs, () => {
      this.#timer = undefined;
      if (this.#mode !== "idle") {
        this.#forced = true;
        this.#wake();
      } else if (this.#pendingEvents() > 0) this.#start();
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
    for (const flight of this.#left.splice(0)) {
      flight.outcomes ??= outcomesOf(flight.batch.count, { status: "retryable", reason: "interrupted" });
      this.#launch(flight);
    }
    for (;;) {
      this.#stirred = false;
      await this.#fill();
      if (this.#stirred) continue;
      if (this.#flights.size === 0) break;
      await new Promise<void>((resolve) => {
        this.#stir = resolve;
      });
    }
    if (this.#halted !== undefined && this.#next === undefined) this.#halt(this.#halted);
    else this.#rest();
  }

  /** Leases and sends as long as there is room and something to send. */
  async #fill(): Promise<void> {
    while (this.#next === undefined && this.#halted === undefined && this.#flights.size < this.#window()) {
      if (!this.#forced && this.#flushes.size === 0 && !this.#draining && !this.#ripe()) break;
      this.#forced = false;
      const { store, limits } = this.#options;
      const { tail } = store;
      const batch = await this.#persistently("read the next events", () => store.lease(limits));
      if (batch === undefined) {
        this.#blockedAt = tail;
        break;
      }
      this.#launch(flightOf(batch));
    }
  }

  #wake(): void {
    this.#stirred = true;
    this.#stir();
  }

  #launch(flight: Flight): void {
    this.#flights.add(flight);
    void this.#fly(flight)
      .catch((error: unknown) => {
        this.#left.push(flight);
        this.#noteDefect(error);
        this.#flights.abort("soon");
      })
      .then(() => {
        this.#flights.delete(flight);
        this.#show();
        this.#wake();
      });
  }

  async #fly(flight: Flight): Promise<void> {
    const { batch } = flight;
    const { store, sender } = this.#options;
    if (flight.outcomes === undefined) {
      const planned =
        store.plan === undefined ||
        (await this.#persistently("write the batch down", () => (store as Required<typeof store>).plan(batch), flight));
      const sent =
        planned === true && !flight.soon.signal.aborted
          ? await sender.send(batch, this.#context(flight))
          : outcomesOf(batch.count, { status: "retryable", reason: "interrupted" });
      assert(
        sent.length === batch.count && !(sent as readonly unknown[]).includes(undefined),
        "each event has one outcome",
      );
      flight.outcomes = sent;
    }
    const { outcomes } = flight;
    await this.#persistently("record the outcomes", () => store.settle(batch, outcomes), flight);
    this.#flights.delete(flight);
    this.#blockedAt = -1;
    this.#resolveFlushes(false);
    this.#report(() => this.#options.onSettled?.(batch, outcomes));
    const halted = outcomes.find((outcome) => outcome.status === "halted");
    if (halted === undefined || this.#halted !== undefined) return;
    this.#halted = halted.reason;
    this.#flights.abort("soon");
  }

  /** The mode of what is on its way. */
  #show(reason?: string): void {
    if (this.#mode !== "sending" && this.#mode !== "waiting") return;
    const waits = this.#flights.waiting;
    const mode = waits ? "waiting" : "sending";
    if (mode !== this.#mode) this.#setMode(mode, waits ? (reason ?? this.#lastError) : undefined);
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
    if (this.#pendingEvents() === 0) return;
    // What may not be sent now is tried again after a while. Events that came while the last ones
    // were settled have not been noticed by anyone else.
    if (this.#blockedAt < 0) this.notify();
    else this.#armInterval();
  }

  /** A defect ends the run, or there was none. */
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
   * A defect beside the run: the lane fails, but not before the attempts in flight have ended and
   * are settled.
   */
  #broken(error: unknown): void {
    if (this.#mode !== "sending" && this.#mode !== "waiting") return this.#fail(error);
    this.#noteDefect(error);
    this.#flights.abort("soon");
  }

  #noteDefect(error: unknown): void {
    this.#noteError(messageOf(error));
    if (this.#next === "closed") return;
    this.#next = "failed";
    this.#nextReason = this.#lastError;
  }

  #halt(reason: string): void {
    this.#halted = undefined;
    this.#cautious = true;
    this.#setMode("halted", reason);
    this.#resolveFlushes(true);
    this.#timer = this.#options.runtime.clock.after(this.#options.probeMs ?? PROBE_DEFAULT_MS, () => {
      this.#timer = undefined;
      if (this.#mode === "halted") this.#start();
    });
  }

  /** What cannot be settled for now is not waited for. */
  #resolveFlushes(all: boolean): void {
    if (this.#flushes.size === 0) return;
    const { settledTo } = this.#options.store;
    const blockedAt = this.#flights.size > 0 ? -1 : this.#blockedAt;
    this.#flushes.resolve(all ? Number.POSITIVE_INFINITY : Math.max(settledTo, blockedAt));
  }

  /** Repeats a store operation until it works: giving up would lose an outcome. Close aborts it. */
  async #persistently<T>(what: string, run: () => Promise<T>, flight?: Flight): Promise<T | undefined> {
    const { signal } = flight?.now ?? this.#now;
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (isDefect(error)) throw error;
        this.#noteError(`cannot ${what}: ${messageOf(error)}`);
        if (signal.aborted || this.#next === "closed") return undefined;
        this.#wait(flight, true);
        await sleep(this.#options.runtime.clock, STORE_RETRY_MS, signal);
        this.#wait(flight, false);
      }
    }
  }

  #context(flight: Flight): SendContext {
    return {
      soon: flight.soon.signal,
      now: flight.now.signal,
      watch: {
        attempted: (attempt, batch) => this.#noteAttempt(attempt, batch),
        waiting: (_waitMs, reason) => this.#wait(flight, true, reason),
        resumed: () => this.#wait(flight, false),
      },
      deliveredAt: () => this.#deliveredAt,
      parked: new Set(),
    };
  }

  /** A flight waits, or waits no longer; without one the run itself does. */
  #wait(flight: Flight | undefined, waiting: boolean, reason?: string): void {
    if (flight !== undefined) {
      assert(flight.waiting !== waiting, `lane ${this.name}: a batch may not begin or end a wait twice`);
      flight.waiting = waiting;
    } else if (waiting && this.#flights.size === 0) return this.#setMode("waiting", this.#lastError);
    this.#show(reason);
  }

  #noteAttempt(attempt: Attempt, batch: Batch): void {
    this.#attempts += 1;
    if (attempt.delivered > 0) {
      this.#deliveredAt = this.#options.runtime.clock.monotonic();
      this.#cautious = false;
    }
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
      this.#flights.abort("soon");
      this.#wake();
      return;
    }
    if (this.#mode !== mode) this.#setMode(mode, this.#nextReason);
    this.#resolveFlushes(true);
  }

  #abort(): void {
    this.#stopFor("closed");
    this.#now.abort();
    this.#flights.abort("now");
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
