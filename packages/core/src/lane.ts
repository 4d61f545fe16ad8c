/**
 * A lane is one destination's independent path: it leases batches from its store, sends each, and
 * settles it. Several are on their way at once, as many as its window allows and as the store
 * gives: the store sees to it that events whose order matters are never in two of them.
 *
 * Modes and every transition (lane-modes.ts has them as a table):
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
 *     -> sending   probe, resume (a new credential), close that drains
 *   paused   an operator paused it; the attempts in flight were finished
 *     -> idle      resume
 *   failed   a defect stopped it: an invariant is broken, or something threw that must not; events
 *            are kept
 *     -> sending   resume, another sender
 *   closed   for good
 * Any mode but closed goes to paused, failed and closed; sending and waiting go there once the
 * attempts in flight have ended. Pause and resume are those of an {@link OperatedLane}.
 *
 * Invariants: every leased batch is settled, once; no event leaves the store without an outcome.
 * Nothing that is thrown leaves the lane: it is the boundary of its destination. An observer that
 * throws does not disturb the attempts in flight: their outcomes are settled first.
 */
import type { Attempt, Batch, Outcome, SendContext } from "./delivery.ts";
import { isDefect, messageOf } from "./errors.ts";
import type { LaneMode, LaneOptions } from "./lane-types.ts";
import type { Timer } from "./runtime.ts";
import { sleep } from "./runtime.ts";

const PROBE_DEFAULT_MS = 60_000;
/**
 * Wait before the store is tried again after it failed: a full or failing disk rarely heals sooner.
 */
const STORE_RETRY_MS = 1_000;
const INTERVAL_JITTER = 0.1;

/** Who waits until everything before `target` is settled. */
interface Waiter {
  readonly target: number;
  readonly resolve: () => void;
}

/** How a batch on its way is interrupted, and whether it waits. */
export interface Flight {
  /** Aborted: no further attempt is begun. */
  readonly soon: AbortController;
  /** Aborted: the attempt ends too. */
  readonly now: AbortController;
  /** It backs off, or its store is tried again later. */
  waits?: boolean;
}

const newFlight = (): Flight => ({ soon: new AbortController(), now: new AbortController() });

export class Lane {
  /** Only the lane itself changes it. */
  mode: LaneMode = "idle";
  protected options: LaneOptions;
  /** The batches on their way. */
  protected readonly flights: Set<Flight> = new Set();
  /** What to become once the attempts in flight have ended. */
  protected next: "paused" | "failed" | "closed" | undefined;
  /** Why it is to be paused, or has failed. */
  protected nextReason: string | undefined;
  protected lastError: string | undefined;
  /** The flush or probe timer. */
  #timer: Timer | undefined;
  /** Why the destination takes nothing, as one of the batches on their way was answered. */
  #halted: string | undefined;
  /** Of the batches on their way. */
  #events = 0;
  #bytes = 0;
  /** That of the batch that is being leased. */
  readonly #leasing = newFlight();
  /** Events to send although no trigger holds. */
  #forced = 0;
  /** The store's tail when it had nothing that may be sent; -1 once something was settled. */
  #blockedAt = -1;
  /** Whether there is something for the run to look at. */
  #stirred = false;
  #stir: () => void = () => undefined;
  #running: Promise<void> | undefined;
  #waiters: Waiter[] = [];

  constructor(options: LaneOptions) {
    this.options = options;
  }

  /**
   * Tells the lane that its store has got more. Cheap: called for every capture and every group
   * commit.
   */
  notify(): void {
    const { store, trigger } = this.options;
    const isBlocked = this.#blockedAt >= 0 && store.tail < this.#blockedAt + trigger.flushAt;
    if (this.mode !== "idle" && (isBlocked || !(this.#busy && this.#mayLease))) return;
    try {
      if (this.#ripe()) this.#go();
      else this.#armInterval();
    } catch (error) {
      this.broken(error);
    }
  }

  /**
   * Resolves when everything in the store at the time of the call is settled, or cannot be for now
   * (halted, paused, failed, closed).
   */
  async flush(): Promise<void> {
    if (this.#pendingEvents() === 0 || this.next !== undefined || !(this.#busy || this.mode === "idle")) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push({ target: this.options.store.tail, resolve });
      this.#go();
    });
  }

  /**
   * Ends the lane; resolves when it is closed. With `drain` it first tries to settle what the store
   * holds, by a probe if it is halted; without, only the attempts in flight are finished. What is
   * still under way after `deadlineMs` is aborted and stays in the store.
   */
  async close(deadlineMs: number, { drain }: { readonly drain: boolean }): Promise<void> {
    this.nextReason = undefined;
    const deadline = this.options.runtime.clock.after(
      deadlineMs,
      () => {
        this.stopFor("closed");
        this.interrupt("now");
      },
      true,
    );
    if (drain && this.mode === "halted") this.start();
    if (drain) await this.flush();
    this.stopFor("closed");
    await this.#running;
    deadline.cancel();
  }

  /** Finishes the attempts in flight, then takes on the mode. */
  protected stopFor(mode: "paused" | "closed"): void {
    if (this.mode === "closed") return;
    this.next = mode;
    this.#stop();
  }

  /** The attempts in flight are the last ones of their batches for now; or end too. */
  protected interrupt(when: "soon" | "now" = "soon"): void {
    for (const flight of [this.#leasing, ...this.flights]) flight[when].abort();
  }

  protected start(): void {
    this.cancelTimer();
    this.#forced = 1;
    this.setMode("sending");
    this.#running = this.#run();
  }

  protected cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Sends a batch and settles it; with `outcomes` it has been sent. Never rejects. */
  protected async launch(batch: Batch, outcomes?: readonly Outcome[]): Promise<void> {
    // Leasing it may have taken until after the deadline of a close.
    const flight = this.#leasing.now.signal.aborted ? this.#leasing : newFlight();
    this.flights.add(flight);
    this.#count(batch, 1);
    try {
      const sent = (outcomes ??= await this.send(batch, flight));
      await this.persistently("record the outcomes", () => this.options.store.settle(batch, sent), flight);
      this.settled(batch, sent);
    } catch (error) {
      this.broken(error, batch, outcomes);
    }
    this.flights.delete(flight);
    this.#count(batch, -1);
    this.#show();
    this.#wake();
  }

  /**
   * A defect: the lane fails, but not before the attempts in flight have ended and are settled.
   * `batch` is what it leaves unsettled, as far as that is known.
   */
  protected broken(error: unknown, _batch?: Batch, _outcomes?: readonly Outcome[]): void {
    if (this.mode === "failed" || this.mode === "closed") return;
    this.noteError(messageOf(error));
    if (this.next !== "closed") {
      this.next = "failed";
      this.nextReason = this.lastError;
    }
    this.#stop();
  }

  protected noteError(message: string): void {
    this.lastError = message;
  }

  protected noteAttempt(attempt: Attempt, batch: Batch): void {
    if (attempt.reason !== undefined) this.noteError(attempt.reason);
    this.report(() => this.options.onAttempt?.(attempt, batch));
  }

  protected setMode(mode: LaneMode, reason?: string): void {
    this.mode = mode;
    this.report(() => this.options.onModeChange?.(mode, reason));
  }

  protected send(batch: Batch, flight: Flight): Promise<readonly Outcome[]> {
    return this.options.sender.send(batch, this.contextOf(flight));
  }

  /** The store has the outcomes. */
  protected settled(_batch: Batch, outcomes: readonly Outcome[]): void {
    this.#blockedAt = -1;
    this.#resolveFlushes(false);
    const halted = outcomes.find((outcome) => outcome.status === "halted");
    if (halted === undefined) return;
    this.#halted = halted.reason;
    this.interrupt();
  }

  protected contextOf(flight: Flight): SendContext {
    return {
      soon: flight.soon.signal,
      now: flight.now.signal,
      watch: {
        attempted: (attempt, of) => this.noteAttempt(attempt, of),
        waiting: (_waitMs, reason) => this.#wait(flight, true, reason),
        resumed: () => this.#wait(flight, false),
      },
    };
  }

  /** What is on its way, or going to be, or rests for a moment. */
  get #busy(): boolean {
    return this.mode === "sending" || this.mode === "waiting";
  }

  /** Whether one more batch may leave, beside those on their way. */
  get #mayLease(): boolean {
    return this.next === undefined && this.#halted === undefined && this.flights.size < this.options.width();
  }

  /** Whether what waits beside the leased batches is enough for a request. */
  #ripe(): boolean {
    const { store, trigger } = this.options;
    const { events, bytes, held = 0 } = store.pending();
    return events - held - this.#events >= trigger.flushAt || bytes - this.#bytes >= trigger.flushBytes;
  }

  #armInterval(): void {
    if (this.#timer !== undefined) return;
    const { runtime, trigger } = this.options;
    this.#after(trigger.flushIntervalMs * (1 - INTERVAL_JITTER * runtime.random.next()), () => {
      if (this.mode === "idle" && this.#pendingEvents() === 0) return;
      this.#go();
      // All that is there, however many batches it makes.
      this.#forced = this.#pendingEvents() - this.#events;
    });
  }

  #after(delayMs: number, run: () => void): void {
    this.#timer = this.options.runtime.clock.after(delayMs, () => {
      this.#timer = undefined;
      run();
    });
  }

  /** None when the store does not know. */
  #pendingEvents(): number {
    try {
      return this.options.store.pending().events;
    } catch (error) {
      this.broken(error);
      return 0;
    }
  }

  #go(): void {
    if (this.mode === "idle") this.start();
    else this.#wake();
  }

  #wake(): void {
    this.#stirred = true;
    this.#stir();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (this.#busy) {
      this.#stirred = false;
      try {
        await this.#fill();
        if (this.#stirred) continue;
        if (this.flights.size === 0) return this.#rest();
        await new Promise<void>((resolve) => {
          this.#stir = resolve;
        });
      } catch (error) {
        this.broken(error);
      }
    }
  }

  /** Leases and sends as long as there is room and something to send. */
  async #fill(): Promise<void> {
    while (this.#mayLease) {
      if (this.#forced < 1 && this.#waiters.length === 0 && !this.#ripe()) return;
      const { store, limits } = this.options;
      const { tail } = store;
      const batch = await this.persistently("read the next events", () => store.lease(limits), this.#leasing);
      if (batch === undefined) {
        this.#blockedAt = tail;
        this.#forced = 0;
        return;
      }
      this.#forced -= batch.count;
      void this.launch(batch);
    }
  }

  #count({ count, bytes }: Batch, sign: number): void {
    this.#events += sign * count;
    this.#bytes += sign * bytes;
  }

  /** Nothing is on its way: take the requested mode, or wait for a probe or the next trigger. */
  #rest(): void {
    const { next } = this;
    const halted = this.#halted;
    this.next = this.#halted = undefined;
    const goesOn = next === undefined && halted === undefined;
    if (!goesOn) this.cancelTimer();
    this.setMode(next ?? (goesOn ? "idle" : "halted"), next === undefined ? halted : this.nextReason);
    this.#resolveFlushes(!goesOn);
    if (next !== undefined) return;
    if (!goesOn)
      return this.#after(this.options.probeMs ?? PROBE_DEFAULT_MS, () => {
        if (this.mode === "halted") this.start();
      });
    if (this.#pendingEvents() === 0) return;
    // What may not be sent now is tried again after a while. Events that came while the last ones
    // were settled have not been noticed by anyone else.
    if (this.#blockedAt < 0) this.notify();
    else this.#armInterval();
  }

  /** Takes the requested mode, at once when nothing is on its way. */
  #stop(): void {
    if (this.#busy) this.interrupt();
    else this.#rest();
  }

  /** What cannot be settled for now is not waited for. */
  #resolveFlushes(all: boolean): void {
    const done = Math.max(this.options.store.settledTo, this.flights.size > 0 ? -1 : this.#blockedAt);
    this.#waiters = this.#waiters.filter(({ target, resolve }) => {
      if (!all && target > done) return true;
      resolve();
      return false;
    });
  }

  /** Repeats a store operation until it works: giving up would lose an outcome. Close aborts it. */
  protected async persistently<T>(what: string, run: () => Promise<T>, flight: Flight): Promise<T | undefined> {
    const { signal } = flight.now;
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (isDefect(error)) throw error;
        this.noteError(`cannot ${what}: ${messageOf(error)}`);
        if (signal.aborted || this.next === "closed") return undefined;
        this.#wait(flight, true);
        await sleep(this.options.runtime.clock, STORE_RETRY_MS, signal);
        this.#wait(flight, false);
      }
    }
  }

  #wait(flight: Flight, waits: boolean, reason?: string): void {
    flight.waits = waits;
    this.#show(reason);
  }

  /** The mode of what is on its way. */
  #show(reason = this.lastError): void {
    const flights = [...this.flights];
    const waits = this.#leasing.waits || (flights.length > 0 && flights.every((flight) => flight.waits));
    if (!this.#busy || waits === (this.mode === "waiting")) return;
    this.setMode(waits ? "waiting" : "sending", waits ? reason : undefined);
  }

  /** Calls an observer, which may throw. */
  protected report(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.broken(error);
    }
  }
}
