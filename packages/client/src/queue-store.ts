/**
 * One destination's events in memory, oldest first.
 *
 *   #leased: on their way          #queue: [ gone … | waiting … ]
 *                                             0       #head
 *
 * What has to go again is put back in front of those that wait. The gone part is cut off when it is
 * half of the queue.
 */
import {
  type Account,
  assert,
  type Batch,
  type BatchLimits,
  isFinal,
  type Outcome,
  type Pending,
  type Store,
  TextBatch,
} from "@waybill/core";

/** An event in a queue. */
export interface Queued {
  readonly text: string;
  /** Of the text, as UTF-8. */
  readonly bytes: number;
  /** When it was captured, epoch ms. */
  readonly atMs: number;
}

const COMPACT_ABOVE = 4_096;

export class QueueStore<Event extends Queued = Queued> implements Store {
  /** The events of the batch that was settled last. */
  settled: readonly Event[] = [];
  readonly #makeKey: () => string;
  readonly #metadata: string;
  readonly #account: Account;
  #queue: (Event | undefined)[] = [];
  #head = 0;
  #leased: readonly Event[] = [];
  #bytes = 0;
  settledTo = 0;
  #frozen = false;
  /** Read on every capture: one object, not one per call. */
  readonly #pending: { events: number; bytes: number; oldestAtMs: number | undefined } = {
    events: 0,
    bytes: 0,
    oldestAtMs: undefined,
  };

  /**
   * `makeKey` gives each batch its idempotency key: never the same twice, also not in another
   * process.
   */
  constructor(makeKey: () => string, metadata: string, account: Account) {
    this.#makeKey = makeKey;
    this.#metadata = metadata;
    this.#account = account;
  }

  pending(): Pending {
    const pending = this.#pending;
    pending.events = this.events;
    pending.bytes = this.#bytes;
    pending.oldestAtMs = (this.#leased[0] ?? this.#queue[this.#head])?.atMs;
    return pending;
  }

  get events(): number {
    return this.#queue.length - this.#head + this.#leased.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get tail(): number {
    return this.settledTo + this.events;
  }

  push(event: Event): void {
    this.#queue.push(event);
    this.#bytes += event.bytes;
  }

  /** Takes the oldest event that is not leased out of the queue. */
  dropOldest(): Event | undefined {
    const [oldest] = this.#take(1);
    if (oldest === undefined) return undefined;
    this.settledTo += 1;
    this.#bytes -= oldest.bytes;
    return oldest;
  }

  async lease(limits: BatchLimits): Promise<Batch | undefined> {
    assert(this.#leased.length === 0, "the batch before was settled");
    const texts: string[] = [];
    const sizes: number[] = [];
    let bytes = -1;
    for (let at = this.#head; at < this.#queue.length && texts.length < limits.maxEvents; at++) {
      const event = this.#queue[at] as Event;
      bytes += 1 + event.bytes;
      if (texts.length > 0 && bytes > limits.maxBytes) break;
      texts.push(event.text);
      sizes.push(event.bytes);
    }
    this.#leased = this.#take(texts.length);
    const [oldest] = this.#leased;
    return (
      oldest && new TextBatch({ key: this.#makeKey(), metadata: this.#metadata, oldestAtMs: oldest.atMs, texts, sizes })
    );
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    if (this.#frozen) return;
    const leased = this.#leased;
    assert(batch.count === leased.length, "only the leased batch is settled");
    this.#leased = [];
    this.settled = leased;
    const again: Event[] = [];
    for (let index = 0; index < leased.length; index++) {
      const event = leased[index] as Event;
      const outcome = outcomes[index] as Outcome;
      if (isFinal(outcome)) {
        this.#bytes -= event.bytes;
        this.settledTo += 1;
        this.#account.settle(outcome);
      } else again.push(event);
    }
    if (again.length === 0) return;
    this.#queue = [...again, ...this.#queue.slice(this.#head)];
    this.#head = 0;
  }

  /** Nothing changes any more: an answer that comes after the count was given is not counted. */
  freeze(): void {
    this.#frozen = true;
  }

  #take(count: number): Event[] {
    const end = this.#head + count;
    const taken = this.#queue.slice(this.#head, end) as Event[];
    this.#queue.fill(undefined, this.#head, end);
    this.#head += taken.length;
    if (this.#head > COMPACT_ABOVE && 2 * this.#head > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return taken;
  }
}
