/**
 * One captured event. The queues hold it, and the handle: so `delivered` is the outcome of this
 * event, however late it is read, and whatever other event has the same id.
 *
 *   open     some destination has no outcome for it yet
 *     -> settled  each destination has one: the worst counts
 *     -> left     the client was closed first; an outcome that comes later does not count any more
 */
import type { Clock, Outcome } from "@waybill/core";
import type { Queued } from "./queue-store.ts";

/** What `identify`, `track` and the others give back. */
export interface EventHandle {
  /** "" when the event was not taken: see `onDrop`. */
  readonly messageId: string;
  /**
   * Ends with the event's outcome, the worst one when it went to several destinations; never
   * rejects. Made when it is read, so a call that does not read it pays nothing; it may be read at
   * any time. Waiting for it holds the process open, for 30 s at most. An event that is left at
   * close ends as retryable.
   */
  readonly delivered: Promise<Outcome>;
}

/** What the events of one client share. */
export interface Shared {
  readonly clock: Pick<Clock, "after">;
  readonly destinations: number;
  /** Events that somebody waits for: nobody else may know them any more. */
  readonly awaited: Set<Captured>;
  /** The client is closed: what comes from now on is not counted. */
  over: boolean;
}

/** As it was serialised. */
interface NewEvent extends Queued {
  readonly messageId: string;
}

/** How long waiting for an event holds the process open. */
const HOLD_MS = 30_000;

export class Captured implements Queued {
  readonly messageId: string;
  readonly bytes: number;
  readonly atMs: number;
  readonly key: string | undefined;
  readonly tie: string | undefined;
  #text: string;
  readonly #shared: Shared;
  /** Destinations without an outcome. */
  #open: number;
  /** The worst so far. */
  #outcome: Outcome | undefined;
  #waiters: ((outcome: Outcome) => void)[] | undefined;

  constructor({ messageId, text, bytes, atMs, key, tie }: NewEvent, shared: Shared) {
    this.messageId = messageId;
    this.#text = text;
    this.bytes = bytes;
    this.atMs = atMs;
    this.key = key;
    this.tie = tie;
    this.#shared = shared;
    this.#open = shared.destinations;
  }

  /**
   * Serialised; "" once no destination needs it, so that who keeps the handle does not keep the
   * text.
   */
  get text(): string {
    return this.#text;
  }

  /** One destination is done with the event. */
  settle(outcome: Outcome): void {
    if (this.#open === 0) return;
    this.#outcome = worse(this.#outcome, outcome);
    this.#open -= 1;
    if (this.#open > 0) return;
    this.#text = "";
    if (this.#waiters === undefined) return;
    this.#shared.awaited.delete(this);
    for (const end of this.#waiters) end(this.#outcome);
  }

  /** The client is closed: the event has got all the outcomes it will get. */
  leave(): void {
    if (this.#open > 1) this.#open = 1;
    this.settle({ status: "retryable", reason: "left at close" });
  }

  async outcome(): Promise<Outcome> {
    const { over, awaited, clock } = this.#shared;
    if (over) this.leave();
    if (this.#open === 0) return this.#outcome as Outcome;
    awaited.add(this);
    const hold = clock.after(HOLD_MS, () => undefined, true);
    const outcome = await new Promise<Outcome>((end) => (this.#waiters ??= []).push(end));
    hold.cancel();
    return outcome;
  }
}

/** What the application has of an event: nothing of its text. */
export class Handle implements EventHandle {
  readonly messageId: string;
  readonly #event: Captured;

  constructor(event: Captured) {
    this.messageId = event.messageId;
    this.#event = event;
  }

  get delivered(): Promise<Outcome> {
    return this.#event.outcome();
  }
}

function worse(a: Outcome | undefined, b: Outcome): Outcome {
  return a !== undefined && rank(a) >= rank(b) ? a : b;
}

/** A vendor that cannot express an event does not affect those that can. */
function rank(outcome: Outcome): number {
  if (outcome.status === "dropped") return outcome.reason === "unsupported" || outcome.reason === "filtered" ? 0 : 4;
  return { delivered: 1, retryable: 2, parked: 2, halted: 3, rejected: 5 }[outcome.status];
}
