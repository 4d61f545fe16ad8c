/**
 * Finds the event because of which a batch keeps failing while others pass, and parks it: a vendor
 * that answers one event with 500 for ever holds up one user, not the destination.
 *
 * A batch under suspicion is halved until the culprit is alone. Something else must have been
 * delivered since it failed first: in an outage nothing passes, so nothing is ever given up. Where
 * nothing else is on its way, single events are probed, which shows within a round trip or two
 * whether the vendor works. Where they fail too the batch stays as it is, and under its key.
 */
import type { Attempt, Batch, Outcome, SendContext } from "../delivery.ts";
import type { Clock } from "../runtime.ts";
import { TextBatch } from "../text-batch.ts";
import type { Isolate, Isolation } from "./persist.ts";
import type { Part } from "./retry.ts";

export interface IsolateOptions {
  /**
   * Whether the vendor knows duplicates by their ids: an event of a batch may be sent alone soon.
   * Where it knows them by the key of the batch, that is another key: only after several answers.
   */
  readonly byEvent: boolean;
}

type Next = NonNullable<ReturnType<Isolation["next"]>>;

const TOO_MANY_REQUESTS = 429;
/**
 * Attempts of a batch while others pass, before it is halved; of a single event, before it is
 * parked.
 */
const TRIES = 2;
/** Attempts of a batch that nothing passes beside, before an event of it is sent alone. */
const PROBE_AFTER = { event: 2, batch: 3 };
/** Attempts of a batch that may have been acted on, where its parts would be there twice. */
const UNANSWERED_TRIES = 10;
/** So many events of different users are probed at once; one by one where these have failed. */
const PROBES = 2;
/** Attempts of an event and of the probes beside it, before it is parked as the last of a batch. */
const LAST_TRIES = 3;
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
  /** Its events, and where it ends. */
  #suspected = 0;
  #end = 0;
  #front: Part | undefined;
  /** Attempts of the part in front. */
  #tries = 0;
  #status: number | undefined;
  /** There was an attempt without an answer. */
  #isUnanswered = false;
  /** Users whose first event failed alone since anything passed. */
  readonly #failedAlone = new Set<number>();
  /** The event that is probed, and what all of it was before. */
  #probing: { readonly probe: Part; readonly parts: readonly Part[] } | undefined;
  #probesLeft = 0;
  #hasProbed = false;

  constructor(batch: Batch, context: SendContext, { clock, byEvent }: { clock: Clock; byEvent: boolean }) {
    this.#isParked = sourceOf(batch).parked === true;
    this.#clock = clock;
    this.#byEvent = byEvent;
    const attempted = (attempt: Attempt, of: Batch): void => {
      this.#status = attempt.status;
      this.#isUnanswered ||= attempt.status === undefined;
      context.watch.attempted(attempt, of);
    };
    this.context = { ...context, watch: { ...context.watch, attempted } };
  }

  next(parts: readonly Part[], failed: Extract<Outcome, { status: "retryable" }>): Next | undefined {
    if (this.#status === TOO_MANY_REQUESTS || failed.retryAfterMs !== undefined) return undefined;
    const { reason } = failed;
    if (this.#isParked) return { parts: [], parked: parts.map((part) => ({ part, reason })), when: "anew" };
    const [front] = parts as [Part, ...Part[]];
    const hash = hashOf(front.batch, 0);
    if (hash === 0) return undefined;
    const probing = this.#probing;
    this.#probing = undefined;
    // It has passed when another part is in front.
    if (probing === undefined || !isSame(probing.probe, front)) return this.#suspect(parts, reason);
    this.#failedAlone.add(hash);
    return this.#passes ? { parts: probing.parts, parked: [], when: "anew" } : this.#probe(probing.parts);
  }

  /** Whether anything has passed since what is under suspicion failed first. */
  get #passes(): boolean {
    return (this.context.deliveredAt?.() ?? Number.NEGATIVE_INFINITY) > this.#since;
  }

  #suspect(parts: readonly Part[], reason: string): Next | undefined {
    const [front, ...rest] = parts as [Part, ...Part[]];
    this.#note(front);
    const tries = this.#tries;
    if (front.batch.count > 1) {
      // Without an answer it may have been acted on: its parts would be there twice.
      if (!this.#byEvent && this.#isUnanswered && tries < UNANSWERED_TRIES) return undefined;
      const isKnown = front.batch.count < this.#suspected;
      if (this.#passes)
        return isKnown || tries >= TRIES ? { parts: [...halves(front), ...rest], parked: [], when: "anew" } : undefined;
      const mayProbe = this.#byEvent
        ? tries >= PROBE_AFTER.event
        : tries >= PROBE_AFTER.batch && this.#status !== undefined;
      if (!mayProbe) return undefined;
      if (withProbe(parts, this.#failedAlone) !== undefined) return this.#beginProbing(parts);
      // The first event of each user has failed alone.
      return { parts: [...cut(front, 1), ...rest], parked: [], when: "later" };
    }
    if (this.#passes) {
      this.#failedAlone.clear();
      return tries < TRIES ? { parts, parked: [], when: "later" } : this.#park(front, rest, reason);
    }
    this.#failedAlone.add(hashOf(front.batch, 0));
    // Where nobody else is left in the batch it is set aside, so that the next one shows whether
    // the vendor works. It is not given up for that: see `retries.ts` of the log.
    const isLast = withProbe(parts, this.#failedAlone) === undefined;
    if (isLast && tries + this.#failedAlone.size > LAST_TRIES) return this.#park(front, rest, reason);
    return this.#beginProbing(parts);
  }

  #beginProbing(parts: readonly Part[]): Next {
    this.#probesLeft = this.#hasProbed ? 1 : PROBES;
    this.#hasProbed = true;
    return this.#probe(parts);
  }

  /** An event of a user who has not failed alone goes first; or all of it again, after a wait. */
  #probe(parts: readonly Part[]): Next {
    const probed = this.#probesLeft > 0 ? withProbe(parts, this.#failedAlone) : undefined;
    if (probed === undefined) return { parts, parked: [], when: "later" };
    this.#probesLeft -= 1;
    this.#probing = { probe: probed[0], parts };
    return { parts: probed, parked: [], when: "at once" };
  }

  #note(front: Part): void {
    const same = this.#front !== undefined && isSame(this.#front, front);
    this.#tries = same ? this.#tries + 1 : 1;
    this.#front = front;
    // A single event is parked only if something passes after it has failed.
    if (front.batch.count === 1 && !same) this.#since = this.#clock.monotonic();
    if (front.start < this.#end) return;
    this.#since = this.#clock.monotonic();
    this.#suspected = front.batch.count;
    this.#end = front.start + front.batch.count;
  }

  #park(culprit: Part, rest: readonly Part[], reason: string): Next {
    const hash = hashOf(culprit.batch, 0);
    this.context.parked?.add(hash);
    const parked = [{ part: culprit, reason }];
    const parts = rest.flatMap((part) =>
      without(part, hash, (follower) => parked.push({ part: follower, reason: FOLLOWS })),
    );
    return { parts, parked, when: "anew" };
  }
}

function halves(part: Part): readonly [Part, Part] {
  return cut(part, part.batch.count >> 1);
}

function cut({ start, batch }: Part, at: number): readonly [Part, Part] {
  return [
    { start, batch: batch.slice(0, at) },
    { start: start + at, batch: batch.slice(at, batch.count) },
  ];
}

/**
 * With the first event of a user who has not failed in front, to see whether anything passes.
 * `undefined` without one.
 */
function withProbe(parts: readonly Part[], failed: ReadonlySet<number>): readonly [Part, ...Part[]] | undefined {
  for (const [index, { start, batch }] of parts.entries()) {
    for (let at = 0; at < batch.count; at++) {
      if (failed.has(hashOf(batch, at))) continue;
      const around = [
        ...(at === 0 ? [] : [{ start, batch: batch.slice(0, at) }]),
        ...(at + 1 === batch.count ? [] : [{ start: start + at + 1, batch: batch.slice(at + 1, batch.count) }]),
      ];
      const probe = { start: start + at, batch: batch.count === 1 ? batch : batch.slice(at, at + 1) };
      return [probe, ...parts.slice(0, index), ...around, ...parts.slice(index + 1)];
    }
  }
  return undefined;
}

function isSame(one: Part, other: Part): boolean {
  return one.start === other.start && one.batch.count === other.batch.count;
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
