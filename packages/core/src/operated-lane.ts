import {
  type Attempt,
  type Batch,
  INTERRUPTED,
  type Outcome,
  outcomesOf,
  type SendContext,
  type Sender,
} from "./delivery.ts";
import { assert } from "./errors.ts";
import { type Flight, Lane } from "./lane.ts";
import { mayFollow } from "./lane-modes.ts";
import type { LaneMode, LaneOptions, LaneSnapshot, OperatedLaneOptions } from "./lane-types.ts";

/**
 * A lane that somebody operates: it is paused and resumed, takes over other settings while it
 * sends, goes on after a defect, and counts. It trusts nobody: that modes change as they may, and
 * that its sender gives each event its outcome, is checked.
 */
export class OperatedLane extends Lane {
  readonly name: string;
  readonly #onSettled: OperatedLaneOptions["onSettled"];
  #reason: string | undefined;
  /** What a defect left unsettled: settled first when the lane goes on. */
  #left: { readonly batch: Batch; readonly outcomes: readonly Outcome[] | undefined }[] = [];
  /** One batch at a time until one is delivered: the destination refused the credential. */
  #cautious = false;
  #attempts = 0;
  #failedAttempts = 0;
  #deliveredAt = Number.NEGATIVE_INFINITY;
  #lastErrorAtMs: number | undefined;
  /** Called at the next delivery. */
  readonly #onDelivery = new Set<() => void>();

  constructor({ name, onSettled, width = () => 1, ...options }: OperatedLaneOptions) {
    super({ ...options, sender: checked(options.sender), width: () => (this.#cautious ? 1 : width()) });
    this.name = name;
    this.#onSettled = onSettled;
  }

  /** Stops sending after the attempts in flight; events are kept. */
  pause(reason: string): void {
    if (this.mode === "paused") this.#reason = reason;
    if (this.mode === "paused" || this.next === "closed" || this.next === "failed") return;
    this.nextReason = reason;
    this.stopFor("paused");
  }

  /** Ends a pause, or tries a halted or failed destination at once. */
  resume(): void {
    if (this.next === "paused") this.next = undefined;
    if (this.mode === "paused") {
      this.setMode("idle");
      this.notify();
    } else if (this.mode === "halted" || this.mode === "failed") this.start();
  }

  /**
   * Takes over another sender (a rotated credential, a new URL), other limits of a batch, another
   * trigger. The attempts in flight are the last ones of the sender before; limits and trigger hold
   * from the next batch on. Ends a halt, a failure and a backoff.
   */
  reconfigure(changes: Partial<Pick<LaneOptions, "sender" | "limits" | "trigger">>): void {
    const sender = changes.sender === undefined ? this.options.sender : checked(changes.sender);
    this.options = { ...this.options, ...changes, sender };
    this.interrupt();
    if (this.mode === "halted" || this.mode === "failed") this.resume();
    if (this.mode !== "idle") return;
    // An interval that was begun may be longer than the new one.
    this.cancelTimer();
    this.notify();
  }

  snapshot(): LaneSnapshot {
    return {
      mode: this.mode,
      reason: this.#reason,
      inFlight: this.flights.size,
      attempts: this.#attempts,
      failedAttempts: this.#failedAttempts,
      lastError: this.lastError,
      lastErrorAtMs: this.#lastErrorAtMs,
    };
  }

  protected override start(): void {
    for (const { batch, outcomes } of this.#left.splice(0))
      void this.launch(batch, outcomes ?? outcomesOf(batch.count, INTERRUPTED));
    super.start();
  }

  protected override broken(error: unknown, batch?: Batch, outcomes?: readonly Outcome[]): void {
    if (batch !== undefined) this.#left.push({ batch, outcomes });
    super.broken(error);
  }

  protected override setMode(mode: LaneMode, reason?: string): void {
    assert(mayFollow(this.mode, mode), `lane ${this.name}: ${this.mode} may not become ${mode}`);
    this.#reason = reason;
    if (mode === "halted") this.#cautious = true;
    super.setMode(mode, reason);
  }

  protected override async send(batch: Batch, flight: Flight): Promise<readonly Outcome[]> {
    const { store } = this.options;
    const plan = async (): Promise<true> => store.plan?.(batch) ?? true;
    const isPlanned = await this.persistently("write the batch down", plan, flight);
    return isPlanned && !flight.soon.signal.aborted ? super.send(batch, flight) : outcomesOf(batch.count, INTERRUPTED);
  }

  protected override settled(batch: Batch, outcomes: readonly Outcome[]): void {
    this.report(() => this.#onSettled?.(batch, outcomes));
    super.settled(batch, outcomes);
  }

  protected override contextOf(flight: Flight): SendContext {
    return {
      ...super.contextOf(flight),
      deliveredAt: () => this.#deliveredAt,
      onceDelivered: (call) => {
        this.#onDelivery.add(call);
        return () => void this.#onDelivery.delete(call);
      },
      parked: new Set(),
    };
  }

  protected override noteAttempt(attempt: Attempt, batch: Batch): void {
    this.#attempts += 1;
    if (attempt.reason !== undefined) this.#failedAttempts += 1;
    if (attempt.delivered > 0) {
      this.#deliveredAt = this.options.runtime.clock.monotonic();
      this.#cautious = false;
      const calls = [...this.#onDelivery];
      this.#onDelivery.clear();
      for (const call of calls) call();
    }
    this.options.store.attempted?.(attempt, batch);
    super.noteAttempt(attempt, batch);
  }

  protected override noteError(message: string): void {
    super.noteError(message);
    this.#lastErrorAtMs = this.options.runtime.clock.now();
  }
}

/** A sender whose defects show at once: outcomes that are missing, waits within waits. */
function checked(sender: Sender): Sender {
  return {
    async send(batch, context) {
      let isWaiting = false;
      const turn = (to: boolean): void => {
        assert(isWaiting !== to, "a batch may not begin or end a wait twice");
        isWaiting = to;
      };
      const outcomes = await sender.send(batch, {
        ...context,
        watch: {
          ...context.watch,
          waiting: (waitMs, reason) => {
            turn(true);
            context.watch.waiting(waitMs, reason);
          },
          resumed: () => {
            turn(false);
            context.watch.resumed();
          },
        },
      });
      assert(
        outcomes.length === batch.count && !(outcomes as readonly unknown[]).includes(undefined),
        "each event has one outcome",
      );
      return outcomes;
    },
  };
}
