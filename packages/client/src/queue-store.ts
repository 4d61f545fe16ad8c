/**
 * One destination's events in memory, oldest first. Several batches may be leased at once; events
 * of one key leave in order, because a key that is in a leased batch is in no other.
 *
 *   #queue: [ empty … | waiting, and empty where events were taken … ]
 *              0        #head
 *
 * A slot is emptied when its event is leased, and has it again when that has to go once more. The
 * front is cut off when it is half of the queue, as far as everything in it is settled.
 */
import {
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
  /** Events of one key keep their order. Without one an event waits for no other. */
  readonly key?: string | undefined;
  /** For an event with a key: it also waits for the events of this key that came before it. */
  readonly tie?: string | undefined;
}

export interface QueueStoreOptions<Event> {
  /** Gives each batch its idempotency key: never the same twice, also not in another process. */
  readonly makeKey: () => string;
  readonly metadata: string;
  /** An event has its final outcome and is not in the store any more. Must not throw. */
  readonly onSettled: (event: Event, outcome: Outcome) => void;
  /** Once `over`, nothing is settled: an answer that comes after the count was given. */
  readonly shared?: { readonly over: boolean };
}

interface Leased<Event> {
  readonly events: readonly Event[];
  readonly ordinals: readonly number[];
}

const COMPACT_ABOVE = 4_096;
/** How far an event may overtake those before it: the slots between are kept, 8 bytes each. */
const AHEAD_MAX = 1_048_576;

export class QueueStore<Event extends Queued = Queued> implements Store, Pending {
  /** What waits, leased events included. */
  events = 0;
  bytes = 0;
  readonly #options: QueueStoreOptions<Event>;
  #queue: (Event | undefined)[] = [];
  /** The ordinal of the first slot. */
  #base = 0;
  /** Slots before it are empty. */
  #head = 0;
  readonly #leased = new Map<Batch, Leased<Event>>();
  /** The keys of leased events. */
  readonly #leasedKeys = new Set<string | undefined>();
  /** Where the next lease begins: what waits before has to follow a leased batch. */
  #scanFrom = 0;
  /** The keys of what waits before it, and those it waits for. */
  readonly #blockedKeys = new Set<string | undefined>();

  constructor(options: QueueStoreOptions<Event>) {
    this.#options = options;
  }

  pending(): Pending {
    return this;
  }

  get oldestAtMs(): number | undefined {
    return this.#oldest()[1];
  }

  get tail(): number {
    return this.#base + this.#queue.length;
  }

  get settledTo(): number {
    return this.#oldest()[0];
  }

  push(event: Event): void {
    this.#queue.push(event);
    this.events += 1;
    this.bytes += event.bytes;
  }

  /** Takes the oldest event that is not leased out of the queue. */
  dropOldest(): Event | undefined {
    const at = this.#firstWaiting();
    const oldest = this.#queue[at];
    if (oldest === undefined) return undefined;
    this.#queue[at] = undefined;
    this.#leave(oldest);
    this.#cutOff();
    return oldest;
  }

  async lease({ maxEvents, maxBytes }: BatchLimits): Promise<Batch | undefined> {
    const events: Event[] = [];
    const ordinals: number[] = [];
    const end = Math.min(this.#queue.length, this.settledTo - this.#base + AHEAD_MAX);
    let bytes = -1;
    let at = Math.max(this.#scanFrom, this.#head);
    for (; at < end && events.length < maxEvents; at++) {
      const event = this.#queue[at];
      if (event === undefined) continue;
      const { key, tie } = event;
      if (this.#mustWait(key) || this.#mustWait(tie)) {
        this.#blockedKeys.add(key).add(this.#mustWait(tie) ? tie : key);
        continue;
      }
      bytes += 1 + event.bytes;
      if (events.length > 0 && bytes > maxBytes) break;
      events.push(event);
      ordinals.push(this.#base + at);
      this.#queue[at] = undefined;
    }
    this.#scanFrom = at;
    const [oldest] = events;
    if (oldest === undefined) return undefined;
    for (const { key } of events) this.#leasedKeys.add(key);
    const { makeKey, metadata } = this.#options;
    const batch = new TextBatch({
      key: makeKey(),
      metadata,
      oldestAtMs: oldest.atMs,
      texts: events.map(({ text }) => text),
      sizes: events.map((event) => event.bytes),
    });
    this.#leased.set(batch, { events, ordinals });
    return batch;
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    const { onSettled, shared } = this.#options;
    if (shared?.over) return;
    const leased = this.#leased.get(batch);
    assert(leased !== undefined, "only a leased batch is settled");
    this.#leased.delete(batch);
    let isFreed = false;
    for (const [index, event] of leased.events.entries()) {
      const outcome = outcomes[index] as Outcome;
      this.#leasedKeys.delete(event.key);
      isFreed ||= this.#blockedKeys.has(event.key);
      if (isFinal(outcome)) {
        this.#leave(event);
        onSettled(event, outcome);
        continue;
      }
      const at = (leased.ordinals[index] as number) - this.#base;
      this.#queue[at] = event;
      this.#head = Math.min(this.#head, at);
      isFreed = true;
    }
    this.#cutOff();
    if (!isFreed) return;
    this.#scanFrom = 0;
    this.#blockedKeys.clear();
  }

  #mustWait(key: string | undefined): boolean {
    return key !== undefined && (this.#leasedKeys.has(key) || this.#blockedKeys.has(key));
  }

  #leave({ bytes }: Event): void {
    this.events -= 1;
    this.bytes -= bytes;
  }

  /** Of the first event that is not settled: its ordinal, and when it came. */
  #oldest(): [ordinal: number, atMs: number | undefined] {
    const at = this.#firstWaiting();
    let oldest: [number, number | undefined] = [this.#base + at, this.#queue[at]?.atMs];
    for (const [{ oldestAtMs }, { ordinals }] of this.#leased)
      if ((ordinals[0] as number) < oldest[0]) oldest = [ordinals[0] as number, oldestAtMs];
    return oldest;
  }

  /** The slot of the oldest event that waits; the end of the queue when none does. */
  #firstWaiting(): number {
    while (this.#head < this.#queue.length && this.#queue[this.#head] === undefined) this.#head++;
    return this.#head;
  }

  #cutOff(): void {
    const gone = this.settledTo - this.#base;
    if (gone <= COMPACT_ABOVE || 2 * gone <= this.#queue.length) return;
    this.#queue = this.#queue.slice(gone);
    this.#base += gone;
    this.#head -= gone;
    this.#scanFrom = Math.max(0, this.#scanFrom - gone);
  }
}
