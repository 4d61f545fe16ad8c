/**
 * One destination's events in memory, oldest first, bounded by events and bytes.
 *
 *   #texts: [ gone … | leased … | waiting … ]
 *            0        #head      #head + #leased
 *
 * Leased events stay in their place until they are settled, so what must go again is still in front. The gone part is cut off
 * when it is half of the array.
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

const COMPACT_ABOVE = 4_096;

export class QueueStore implements Store {
  readonly #makeKey: () => string;
  readonly #metadata: string;
  readonly #account: Account;
  #texts: string[] = [];
  #sizes: number[] = [];
  #times: number[] = [];
  #head = 0;
  #leased = 0;
  #bytes = 0;
  /** Read on every capture: one object, not one per call. */
  readonly #pending: { events: number; bytes: number; oldestAtMs: number | undefined } = {
    events: 0,
    bytes: 0,
    oldestAtMs: undefined,
  };

  /** `makeKey` gives each batch its idempotency key: never the same twice, also not in another process. */
  constructor(makeKey: () => string, metadata: string, account: Account) {
    this.#makeKey = makeKey;
    this.#metadata = metadata;
    this.#account = account;
  }

  pending(): Pending {
    const pending = this.#pending;
    pending.events = this.#texts.length - this.#head;
    pending.bytes = this.#bytes;
    pending.oldestAtMs = this.#times[this.#head];
    return pending;
  }

  get events(): number {
    return this.#texts.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(text: string, bytes: number, nowMs: number): void {
    this.#texts.push(text);
    this.#sizes.push(bytes);
    this.#times.push(nowMs);
    this.#bytes += bytes;
  }

  /** Takes the oldest event that is not leased out of the queue. */
  dropOldest(): string | undefined {
    const at = this.#head + this.#leased;
    const text = this.#texts[at];
    if (text === undefined) return undefined;
    this.#bytes -= this.#sizes[at] as number;
    for (const list of [this.#texts, this.#sizes, this.#times]) list.splice(at, 1);
    return text;
  }

  async lease(limits: BatchLimits): Promise<Batch | undefined> {
    assert(this.#leased === 0, "the batch before was settled");
    let count = 0;
    let bytes = -1;
    const end = Math.min(this.#texts.length, this.#head + limits.maxEvents);
    while (this.#head + count < end) {
      const next = bytes + 1 + (this.#sizes[this.#head + count] as number);
      if (count > 0 && next > limits.maxBytes) break;
      bytes = next;
      count += 1;
    }
    if (count === 0) return undefined;
    this.#leased = count;
    return new TextBatch({
      key: this.#makeKey(),
      metadata: this.#metadata,
      oldestAtMs: this.#times[this.#head] as number,
      texts: this.#texts.slice(this.#head, this.#head + count),
      sizes: this.#sizes.slice(this.#head, this.#head + count),
    });
  }

  async settle(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    assert(batch.count === this.#leased, "only the leased batch is settled");
    this.#leased = 0;
    // Settled events are taken out; the others move up behind the end of the lease, in order.
    let keepAt = this.#head + batch.count;
    for (let index = batch.count - 1; index >= 0; index--) {
      const at = this.#head + index;
      const outcome = outcomes[index] as Outcome;
      if (isFinal(outcome)) {
        this.#bytes -= this.#sizes[at] as number;
        this.#account.settle(outcome);
        continue;
      }
      keepAt -= 1;
      this.#texts[keepAt] = this.#texts[at] as string;
      this.#sizes[keepAt] = this.#sizes[at] as number;
      this.#times[keepAt] = this.#times[at] as number;
    }
    this.#texts.fill("", this.#head, keepAt);
    this.#head = keepAt;
    if (this.#head > COMPACT_ABOVE && 2 * this.#head > this.#texts.length) this.#compact();
  }

  #compact(): void {
    this.#texts = this.#texts.slice(this.#head);
    this.#sizes = this.#sizes.slice(this.#head);
    this.#times = this.#times.slice(this.#head);
    this.#head = 0;
  }
}
