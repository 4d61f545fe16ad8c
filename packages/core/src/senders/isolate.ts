/**
 * Finds the event because of which a batch keeps failing while others pass, and parks it: a vendor
 * that answers one event with 500 for ever holds up one user, not the destination.
 *
 * A batch under suspicion is halved until the culprit is alone. Something else must have been
 * delivered since it failed first: in an outage nothing passes, so nothing is ever parked. Where
 * every batch has a culprit nothing else passes either; then parts of the batch are tried, down to
 * single events, each no more often than the batch would have been, and the first one that passes
 * shows that the vendor works.
 */
import type { Attempt, Batch, Outcome, SendContext } from "../delivery.ts";
import type { Clock } from "../runtime.ts";
import { TextBatch } from "../text-batch.ts";
import type { Isolate, Isolation } from "./persist.ts";
import type { Part } from "./retry.ts";

export interface IsolateOptions {
  /**
   * Whether the vendor knows duplicates by their ids: parts of a batch may be tried soon. Where it
   * knows them by the key of the batch, parts have keys of their own: only after many answers.
   */
  readonly byEvent: boolean;
}

const TOO_MANY_REQUESTS = 429;
/**
 * Attempts of a batch while others pass, before it is halved; of a single event, before it is
 * parked.
 */
const TRIES = 2;
/** Attempts before parts are tried although nothing passes. */
const PROBE_AFTER = { event: 3, batch: 10 };
const FOLLOWS = "it waits for an earlier event of its user, which fails";

/** For `persist`: finds and parks the events that fail while others pass. */
export function isolating({ byEvent }: IsolateOptions): Isolate {
  return (batch, context, clock) => new Isolator(batch, context, { clock, byEvent });
}

class Isolator implements Isolation {
  readonly context: SendContext;
  readonly #isParked: boolean;
  readonly #clock: Clock;
  readonly #byEvent: boolean;
  /** When the part that is under suspicion failed first. */
  #since = 0;
  /** Where that part ends. */
  #end = 0;
  #front: Part | undefined;
  /** Attempts of the part in front. */
  #tries = 0;
  #status: number | undefined;
  /** Users whose first event failed alone since anything passed. */
  readonly #failedAlone = new Set<number>();

  constructor(batch: Batch, context: SendContext, { clock, byEvent }: { clock: Clock; byEvent: boolean }) {
    this.#isParked = sourceOf(batch).parked === true;
    this.#clock = clock;
    this.#byEvent = byEvent;
    const attempted = (attempt: Attempt, of: Batch): void => {
      this.#status = attempt.status;
      context.watch.attempted(attempt, of);
    };
    this.context = { ...context, watch: { ...context.watch, attempted } };
  }

  next(parts: readonly Part[], failed: Extract<Outcome, { status: "retryable" }>): ReturnType<Isolation["next"]> {
    const [front, ...rest] = parts as [Part, ...Part[]];
    if (this.#status === TOO_MANY_REQUESTS || failed.retryAfterMs !== undefined) return undefined;
    const { reason } = failed;
    if (this.#isParked) return { parts: [], parked: parts.map((part) => ({ part, reason })), atOnce: true };
    if (hashOf(front.batch, 0) === 0) return undefined;
    this.#note(front);
    const othersPass = (this.context.deliveredAt?.() ?? Number.NEGATIVE_INFINITY) > this.#since;
    if (front.batch.count > 1) {
      // Without an answer it may have been acted on: its parts would be there twice.
      if (!this.#byEvent && this.#status === undefined && this.#tries < PROBE_AFTER.batch) return undefined;
      const probeAfter = this.#byEvent ? PROBE_AFTER.event : PROBE_AFTER.batch;
      const mayProbe = this.#tries >= probeAfter && (this.#byEvent || this.#status !== undefined);
      const isKnown = front.batch.count < this.#suspected;
      if (!(othersPass && (isKnown || this.#tries >= TRIES)) && !mayProbe && !isKnown) return undefined;
      return { parts: [...halves(front), ...rest], parked: [], atOnce: othersPass };
    }
    if (othersPass) this.#failedAlone.clear();
    else {
      this.#failedAlone.add(hashOf(front.batch, 0));
      const [first, ...others] = rotated(front, rest, this.#failedAlone);
      // Where nobody else is left in the batch it is set aside, so that the next one shows whether
      // the vendor works. It is not given up for that: see `parked.ts`.
      const isLast = first === front && this.#tries + this.#failedAlone.size > PROBE_AFTER.event;
      if (!isLast) return { parts: [first, ...others], parked: [], atOnce: false };
      return this.#park(front, rest, reason);
    }
    if (this.#tries < TRIES) return { parts, parked: [], atOnce: false };
    return this.#park(front, rest, reason);
  }

  /** Events of the part that was suspected first. */
  #suspected = 0;

  #note(front: Part): void {
    const same = this.#front?.start === front.start && this.#front.batch.count === front.batch.count;
    this.#tries = same ? this.#tries + 1 : 1;
    this.#front = front;
    // A single event is parked only if something passes after it has failed.
    if (front.batch.count === 1 && !same) this.#since = this.#clock.monotonic();
    if (front.start < this.#end) return;
    this.#since = this.#clock.monotonic();
    this.#suspected = front.batch.count;
    this.#end = front.start + front.batch.count;
  }

  #park(culprit: Part, rest: readonly Part[], reason: string): ReturnType<Isolation["next"]> {
    const hash = hashOf(culprit.batch, 0);
    this.context.parked?.add(hash);
    const parked = [{ part: culprit, reason }];
    const parts = rest.flatMap((part) =>
      without(part, hash, (follower) => parked.push({ part: follower, reason: FOLLOWS })),
    );
    return { parts, parked, atOnce: true };
  }
}

function halves({ start, batch }: Part): readonly [Part, Part] {
  const middle = batch.count >> 1;
  return [
    { start, batch: batch.slice(0, middle) },
    { start: start + middle, batch: batch.slice(middle, batch.count) },
  ];
}

/** The next event of a user who has not failed in front, to see whether anything passes. */
function rotated(front: Part, rest: readonly Part[], failed: ReadonlySet<number>): readonly [Part, ...Part[]] {
  for (const [index, part] of rest.entries()) {
    const { start, batch } = part;
    for (let at = 0; at < batch.count; at++) {
      if (failed.has(hashOf(batch, at))) continue;
      const around = [
        ...(at === 0 ? [] : [{ start, batch: batch.slice(0, at) }]),
        ...(at + 1 === batch.count ? [] : [{ start: start + at + 1, batch: batch.slice(at + 1, batch.count) }]),
      ];
      const other = { start: start + at, batch: batch.count === 1 ? batch : batch.slice(at, at + 1) };
      return [other, front, ...rest.slice(0, index), ...around, ...rest.slice(index + 1)];
    }
  }
  return [front, ...rest];
}

/** The runs of a part that are not of this user. */
function without(part: Part, hash: number, onFollower: (follower: Part) => void): readonly Part[] {
  const { start, batch } = part;
  const runs: Part[] = [];
  let from = 0;
  for (let at = 0; at <= batch.count; at++) {
    if (at < batch.count && hashOf(batch, at) !== hash) continue;
    if (at === batch.count && from === 0) return [part];
    if (at > from) runs.push({ start: start + from, batch: batch.slice(from, at) });
    if (at < batch.count) onFollower({ start: start + at, batch: batch.slice(at, at + 1) });
    from = at + 1;
  }
  return runs;
}

export function sourceOf(batch: Batch): Batch {
  return batch instanceof TextBatch && batch.source !== undefined ? batch.source.batch : batch;
}

/** Whose event it is, also of a translation; 0 where order does not matter. */
function hashOf(batch: Batch, index: number): number {
  const source = batch instanceof TextBatch ? batch.source : undefined;
  return source === undefined
    ? (batch.orderHash?.(index) ?? 0)
    : (source.batch.orderHash?.(source.indexes[index] as number) ?? 0);
}
