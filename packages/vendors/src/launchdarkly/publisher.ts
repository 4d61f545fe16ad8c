/**
 * LaunchDarkly's event publisher: events in memory, one queue per value of the metadata, posted
 * together at each flush.
 *
 * At most `capacity` events per queue, `maxQueues` queues, and `maxBytes` of all that wait or are
 * being posted: of a publish that does not fit, the first ones that do are taken, and one warning
 * is given until a publish fits again. A value of the metadata beyond `maxQueues` has no room until
 * others were posted. Two attempts per payload, one second apart; then it is lost. A status that
 * says the credential is wrong discards everything until the credential is replaced. Source:
 * protocol sections 3 and 4.
 */
import {
  type Attempt,
  createSender,
  createUuidV7,
  messageOf,
  type Runtime,
  TextBatch,
  type Timer,
  unhalved,
} from "@waybill/core";
import {
  type EventMetadata,
  encodeLaunchDarkly,
  type LaunchDarklyCredential,
  launchdarklyProtocol,
  retryMalformed,
} from "./outbound.ts";

export interface EventQueuesOptions {
  /** The complete URL. */
  readonly url: string;
  readonly credential: LaunchDarklyCredential;
  readonly userAgent: string;
  /** 0 or less: the default. */
  readonly flushIntervalMs: number;
  /** Events per queue. */
  readonly capacity: number;
  /** Default 1,000. */
  readonly maxQueues?: number;
  /** Default 32 MiB, or 1 KiB for each event of the capacity when that is more. */
  readonly maxBytes?: number;
  readonly timeoutMs: number;
  readonly onWarning: (message: string) => void;
  /** The vendor's time, epoch ms: the `Date` of each answer that took events. Must not throw. */
  readonly onServerTime?: (serverTimeMs: number) => void;
}

export const PUBLISHER_DEFAULTS: {
  readonly flushIntervalMs: number;
  readonly capacity: number;
  readonly timeoutMs: number;
} = {
  flushIntervalMs: 60_000,
  capacity: 1_000,
  timeoutMs: 3_000,
};
export const ATTEMPTS = 2;
export const RETRY_MS = 1_000;
const QUEUES_MAX = 1_000;
const BYTES_MAX = 32 * 1024 * 1024;
export const BYTES_PER_EVENT = 1_024;
/** Posts that are begun before the event loop has its next turn: a few milliseconds' work. */
const POSTS_A_TURN = 50;

/** What an event takes beside its text. */
const OVERHEAD_BYTES = 64;

interface Queue {
  readonly metadata: string;
  texts: string[];
  sizes: number[];
}

const encoder = new TextEncoder();

export class EventQueues {
  readonly #options: EventQueuesOptions;
  readonly #runtime: Runtime;
  readonly #makeKey: () => string;
  readonly #queues = new Map<string, Queue>();
  readonly #sending = new Set<Promise<void>>();
  #credential: LaunchDarklyCredential;
  #timer: Timer | undefined;
  readonly #maxQueues: number;
  readonly #maxBytes: number;
  /** Of events that wait or are being posted. */
  #bytes = 0;
  #warned = false;
  #disabled = false;
  #closed = false;
  /** Events lost for want of room. */
  dropped = 0;

  constructor(options: EventQueuesOptions, runtime: Runtime) {
    this.#options = options;
    this.#runtime = runtime;
    this.#credential = options.credential;
    this.#maxQueues = options.maxQueues ?? QUEUES_MAX;
    this.#maxBytes = options.maxBytes ?? Math.max(BYTES_MAX, BYTES_PER_EVENT * options.capacity);
    this.#makeKey = createUuidV7(runtime.clock, runtime.random);
    this.#armTimer();
  }

  /**
   * Events are JSON texts and leave as they are. `beyond`: how many of them need no room of the
   * capacity.
   */
  publish(metadata: EventMetadata, texts: readonly string[], { beyond = 0 }: { readonly beyond?: number } = {}): void {
    if (this.#closed || this.#disabled || texts.length === 0) return;
    const key = encodeLaunchDarkly(metadata);
    const queue = this.#queueFor(key);
    const taken = queue === undefined ? 0 : this.#take(queue, texts, this.#options.capacity + beyond);
    if (taken === texts.length) {
      this.#warned = false;
      return;
    }
    this.dropped += texts.length - taken;
    if (!this.#warned)
      this.#options.onWarning(
        `Exceeded event queue capacity of ${this.#options.capacity}. Increase capacity to avoid dropping events.`,
      );
    this.#warned = true;
  }

  /** Queues in memory, and bytes of events that wait or are being posted. */
  get held(): { readonly queues: number; readonly bytes: number } {
    return { queues: this.#queues.size, bytes: this.#bytes };
  }

  #queueFor(metadata: string): Queue | undefined {
    const known = this.#queues.get(metadata);
    if (known !== undefined || this.#queues.size >= this.#maxQueues) return known;
    if (this.#bytes + metadata.length > this.#maxBytes) return undefined;
    const queue = { metadata, texts: [], sizes: [] };
    this.#queues.set(metadata, queue);
    this.#bytes += metadata.length;
    return queue;
  }

  /** How many of them there was room for. */
  #take(queue: Queue, texts: readonly string[], capacity: number): number {
    let taken = 0;
    for (const text of texts) {
      const size = encoder.encode(text).length;
      if (queue.texts.length >= capacity || this.#bytes + size + OVERHEAD_BYTES > this.#maxBytes) break;
      queue.texts.push(text);
      queue.sizes.push(size);
      this.#bytes += size + OVERHEAD_BYTES;
      taken += 1;
    }
    return taken;
  }

  /** Posts what waits, each queue in a payload of its own; ends when these posts have. */
  async flush(): Promise<void> {
    if (this.#closed) return;
    const several = this.#queues.size > 1;
    const sent: Promise<void>[] = [];
    let turn: Promise<void> | undefined;
    for (const queue of this.#queues.values()) {
      // One queue is kept for what will come; of several, those that were not used are forgotten.
      if (queue.texts.length === 0) {
        if (several && this.#queues.delete(queue.metadata)) this.#bytes -= queue.metadata.length;
        continue;
      }
      const { texts, sizes } = queue;
      queue.texts = [];
      queue.sizes = [];
      const bytes = sizes.reduce((total, size) => total + size + OVERHEAD_BYTES, 0);
      if (this.#disabled) this.#bytes -= bytes;
      else {
        if (sent.length > 0 && sent.length % POSTS_A_TURN === 0) turn = this.#turnAfter(turn);
        const send = (): Promise<void> => this.#send(queue.metadata, texts, sizes);
        const sending = (turn === undefined ? send() : turn.then(send)).finally(() => {
          this.#bytes -= bytes;
        });
        sent.push(this.#track(sending));
      }
    }
    await Promise.all(sent);
  }

  /**
   * The next turn of the event loop, once `before` is over: a thousand posts at once would block
   * it.
   */
  async #turnAfter(before: Promise<void> | undefined): Promise<void> {
    await before;
    await new Promise<void>((resolve) => this.#runtime.clock.after(0, resolve, true));
  }

  /** Used from the next flush on, also for events that wait. One of another kind is ignored. */
  replaceCredential(credential: LaunchDarklyCredential): void {
    if (credential.kind !== this.#credential.kind) return;
    this.#credential = credential;
    this.#disabled = false;
  }

  /** Ends when the posts on their way have. What waits is not sent. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await Promise.all(this.#sending);
  }

  #armTimer(): void {
    const { flushIntervalMs } = this.#options;
    this.#timer = this.#runtime.clock.after(
      flushIntervalMs > 0 ? flushIntervalMs : PUBLISHER_DEFAULTS.flushIntervalMs,
      () => {
        void this.flush();
        if (!this.#closed) this.#armTimer();
      },
    );
  }

  /** Never rejects: nobody waits for the posts of a timer. */
  #track(sending: Promise<void>): Promise<void> {
    const tracked = sending
      .catch((error: unknown) => this.#options.onWarning(`${messageOf(error)} for sending events - they were dropped`))
      .catch(() => undefined)
      .finally(() => this.#sending.delete(tracked));
    this.#sending.add(tracked);
    return tracked;
  }

  #noteServerTime({ delivered, response }: Attempt): void {
    const dateMs = delivered === 0 ? Number.NaN : Date.parse(response?.headers["date"] ?? "");
    if (!Number.isNaN(dateMs)) this.#options.onServerTime?.(dateMs);
  }

  async #send(metadata: string, texts: readonly string[], sizes: readonly number[]): Promise<void> {
    const { url, userAgent, timeoutMs, onWarning } = this.#options;
    const sender = createSender({
      protocol: retryMalformed(launchdarklyProtocol({ url, credential: this.#credential, userAgent })),
      runtime: this.#runtime,
      timeoutMs,
      maxAttempts: ATTEMPTS,
      backoff: () => RETRY_MS,
      exhausted: "keep",
      stage: unhalved,
    });
    const batch = new TextBatch({
      key: this.#makeKey(),
      metadata,
      oldestAtMs: this.#runtime.clock.now(),
      texts,
      sizes,
    });
    const { signal } = new AbortController();
    const watch = {
      attempted: (attempt: Attempt) => this.#noteServerTime(attempt),
      waiting: () => undefined,
      resumed: () => undefined,
    };
    const outcomes = await sender.send(batch, { soon: signal, now: signal, watch });
    const failure = outcomes.find((outcome) => outcome.status !== "delivered");
    if (failure === undefined) return;
    if (failure.status === "halted") {
      this.#disabled = true;
      onWarning(`Received ${failure.reason} for sending events - giving up until the credential is replaced`);
    } else onWarning(`${failure.reason} for sending events - ${batch.count} events were dropped`);
  }
}
