/**
 * The types that stores, senders and lanes share: batch, outcome, limits.
 *
 * An expected failure is a value here, never a throw.
 */
import type { Chunk, Clock, HttpRequest, HttpResponse } from "./runtime.ts";

/** What one attempt meant for one event. */
export type Outcome =
  | { readonly status: "delivered" }
  /** Later, unchanged. */
  | { readonly status: "retryable"; readonly reason: string; readonly retryAfterMs?: number | undefined }
  /** This event never: it becomes a dead letter. */
  | { readonly status: "rejected"; readonly reason: string }
  /**
   * Left out on purpose: this destination has no equivalent for it, or its mapping leaves it out.
   */
  | { readonly status: "dropped"; readonly reason: DropReason }
  /** This destination not before somebody acts: the lane stops and keeps its events. */
  | { readonly status: "halted"; readonly reason: string }
  /**
   * This event fails while others pass: it is set aside with the later events of its user and tried
   * alone; the others go on.
   */
  | { readonly status: "parked"; readonly reason: string };

export const DELIVERED: Outcome = Object.freeze({ status: "delivered" });
/** Of an event whose lane stops for now. */
export const INTERRUPTED: Extract<Outcome, { readonly status: "retryable" }> = {
  status: "retryable",
  reason: "interrupted",
};

/**
 * Why an event was lost on purpose, always counted. A closed list; new reasons go to its end,
 * because files store positions in this list.
 */
export const DROP_REASONS = [
  /** The queue was at its limit of events or bytes. */
  "queue_full",
  /** Larger than any destination of the client takes. */
  "event_too_large",
  /** Not an event: a required field is missing, or it cannot be serialised. */
  "invalid",
  /** Captured after close. */
  "closed",
  /** The record in the log does not match its checksum. */
  "log_damaged",
  /** The vendor has no equivalent for such an event. */
  "unsupported",
  /** The destination's own mapping leaves it out. */
  "filtered",
  /** Its user is not in the destination's sample. */
  "sampled",
  /** The destination does not take events of its source. */
  "source",
  /** An operator has moved the lane's cursor past it. */
  "skipped",
  /** Its partition has another event with the same id before it, within the window. */
  "duplicate",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

export interface BatchLimits {
  /** Most events in one request. */
  readonly maxEvents: number;
  /**
   * Most bytes of serialised events in one request, commas included; the vendor's envelope is
   * already subtracted.
   */
  readonly maxBytes: number;
}

/**
 * Consecutive events of one destination that go out in one request, already serialised.
 *
 * Immutable. A batch keeps its `key` over every attempt.
 */
export interface Batch {
  /** The idempotency key: the same for the same events after a retry and after a crash. */
  readonly key: string;
  /** Number of events, at least 1. */
  readonly count: number;
  /** Bytes of all events, with the commas between them. */
  readonly bytes: number;
  /**
   * What the request carried beside its events, in the vendor's own format; equal for all events of
   * the batch. "" for none.
   */
  readonly metadata: string;
  /** When the oldest event was received or captured, epoch ms. */
  readonly oldestAtMs: number;
  /**
   * All events in order, separated by commas: the content of a JSON array, without its brackets.
   */
  readonly body: readonly Chunk[];
  /** One event's own bytes. `index` from 0. */
  event(index: number): Chunk;
  /** Identifies one event at every attempt, for events that carry no id. */
  eventKey(index: number): string;
  /**
   * Events of equal order hash keep their order. Absent where nothing is parked, or order does not
   * matter.
   */
  orderHash?(index: number): number;
  /**
   * When an event was received, epoch ms. Absent or `undefined` where it is never too old to be
   * sent: somebody has chosen to send it.
   */
  receivedAtMs?(index: number): number | undefined;
  /** A parked event that is tried again, or what waited for one. */
  readonly parked?: boolean;
  /**
   * The events from `start` up to, not including, `end`, as a batch with a key of its own, derived
   * from this one's.
   */
  slice(start: number, end: number): Batch;
}

/**
 * Delivers a batch through the rest of the chain. One outcome per event, in order. Never rejects.
 */
export interface Sender {
  send(batch: Batch, context: SendContext): Promise<readonly Outcome[]>;
}

/** Part of a chain, given as a function so that who needs none carries none. */
export type Stage = (next: Sender, protocol: Protocol, clock: Clock) => Sender;

/** How the lane and the stages of its chain talk while a batch is on its way. */
export interface SendContext {
  /** Finish the attempt in flight, start no other: pause, rotation, close. */
  readonly soon: AbortSignal;
  /** Abort the attempt in flight as well: the deadline of close has passed. */
  readonly now: AbortSignal;
  readonly watch: SendWatch;
  /**
   * When the lane last had an event delivered, of whatever batch: as {@link Clock.monotonic}, or
   * `-Infinity`. Absent: nobody knows.
   */
  readonly deliveredAt?: () => number;
  /**
   * Calls back when the lane has an event delivered next, of whatever batch; not after the function
   * was called that it returns.
   */
  readonly onceDelivered?: (call: () => void) => () => void;
  /** The order hashes of what was parked of this batch: later events of the same are parked too. */
  readonly parked?: Set<number>;
}

export interface SendWatch {
  /**
   * One request was made and its answer understood. `batch` is what it held: of the leased batch,
   * or a {@link TextBatch} made of its events.
   */
  attempted(attempt: Attempt, batch: Batch): void;
  /** The chain waits before its next attempt. */
  waiting(waitMs: number, reason: string): void;
  /** The wait is over. */
  resumed(): void;
}

export interface Attempt {
  /** When it began, epoch ms. */
  readonly atMs: number;
  /** The HTTP status; `undefined` when no answer came. */
  readonly status: number | undefined;
  readonly events: number;
  readonly bytes: number;
  readonly durationMs: number;
  /** Events per outcome. */
  readonly delivered: number;
  readonly retryable: number;
  readonly rejected: number;
  readonly halted: number;
  /** The first reason among the outcomes; `undefined` when all were delivered. */
  readonly reason: string | undefined;
  /** What came back; absent when no answer came. */
  readonly response?: HttpResponse | undefined;
}

/**
 * Where a lane's events are held: memory, spool or log. Only its lane calls it: {@link lease} one
 * call at a time, {@link plan} and {@link settle} any number at once, also during a lease.
 */
export interface Store {
  /** What waits, leased events included. Cheap: read on every capture. */
  pending(): Pending;
  /** How many events there have ever been: the ordinal of the next one. */
  readonly tail: number;
  /** The ordinal of the first event that is not settled; {@link tail} when all are. */
  readonly settledTo: number;
  /**
   * Events in order, within `limits` and of one metadata. Several batches may be leased at once;
   * `undefined` when nothing may be sent now: nothing waits, or what waits has to follow a leased
   * batch. The batch stays leased until {@link settle}. A single event above `limits.maxBytes`
   * comes alone.
   */
  lease(limits: BatchLimits): Promise<Batch | undefined>;
  /**
   * Called before the first attempt, where there is one: after it the same events come again in the
   * same batch, also after a crash.
   */
  plan?(batch: Batch): Promise<true>;
  /** Called after each request that was made, where the store has a use for it. */
  attempted?(attempt: Attempt, batch: Batch): void;
  /**
   * Ends the lease. Delivered and rejected events leave the store; from the first retryable or
   * halted one on, a store may keep the rest (they come again with a later lease).
   */
  settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void>;
}

export interface Pending {
  readonly events: number;
  /** As far as the store knows them: one that reads its events later learns their sizes then. */
  readonly bytes: number;
  /** Of the events those that wait for a parked one. Default 0. */
  readonly held?: number;
  /** When the oldest waiting event came, epoch ms; `undefined` when nothing waits. */
  readonly oldestAtMs: number | undefined;
}

/** What a vendor's answer means: one outcome per event, or "too much at once, try halves". */
export type Verdict =
  | readonly Outcome[]
  /**
   * The request as a whole was refused for a fault of some event, or for its size. A single event
   * is then rejected with `reason`.
   */
  | { readonly split: true; readonly reason: string };

/**
 * One configured destination in its vendor's protocol: how a batch becomes a request and what the
 * answer means.
 */
export interface Protocol {
  /** Of one request; of what is leased at once where the vendor takes events `singly`. */
  readonly limits: BatchLimits;
  /** For a vendor that takes one event per request: `singly({ concurrency })`. */
  readonly singly?: Stage;
  /** Largest single event in bytes; a larger one is rejected without an attempt. */
  readonly maxEventBytes: number;
  request(batch: Batch, nowMs: number): HttpRequest;
  /** Must be total: any status and any body has a meaning. `nowMs` is for dates in headers. */
  classify(response: HttpResponse, batch: Batch, nowMs: number): Verdict;
}

/** Whether the event has to be sent again before any that follow it. */
export function isOpen({ status }: Outcome): boolean {
  return status === "retryable" || status === "halted";
}

/** Whether the event is done with, one way or the other. */
export function isFinal(outcome: Outcome): boolean {
  return !isOpen(outcome) && outcome.status !== "parked";
}

/** The same outcome for each of `count` events. */
export function outcomesOf(count: number, outcome: Outcome): readonly Outcome[] {
  return new Array<Outcome>(count).fill(outcome);
}
