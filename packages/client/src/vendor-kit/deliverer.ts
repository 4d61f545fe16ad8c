/**
 * What the vendors' own clients have in common: one batch through the chain of senders, with the
 * vendor's own retry rules, and its outcome.
 */
import {
  type Attempt,
  type Backoff,
  type Batch,
  type Clock,
  createSender,
  doubled,
  type Outcome,
  type Protocol,
  type Sender,
  TextBatch,
  type Transport,
  unhalved,
} from "@waybill/core";
import type { Host } from "../options.ts";

export interface DelivererOptions {
  readonly host: Host;
  readonly protocol: Protocol;
  readonly timeoutMs: number;
  /** Requests per batch, the first included. */
  readonly maxAttempts: number;
  readonly backoff: Backoff;
  readonly transport: Transport | undefined;
}

export interface Delivery {
  readonly outcomes: readonly Outcome[];
  /** The last request; `undefined` when there was none. */
  readonly last: Attempt | undefined;
  readonly attempts: number;
}

export interface Interrupt {
  /** Finish the attempt in flight, start no other. */
  readonly soon?: AbortSignal;
  /** Abort the attempt in flight as well. */
  readonly now?: AbortSignal;
}

export class Deliverer {
  readonly #sender: Sender;
  readonly #host: Host;

  constructor({ host, protocol, timeoutMs, maxAttempts, backoff, transport }: DelivererOptions) {
    this.#host = host;
    const runtime = transport === undefined ? host.runtime : { ...host.runtime, transport };
    this.#sender = createSender({
      protocol,
      runtime,
      timeoutMs,
      maxAttempts,
      backoff,
      exhausted: "keep",
      // The vendors' clients lose a batch that is refused; halves are for destinations of
      // `createClient`.
      stage: unhalved,
    });
  }

  /** Never rejects. */
  async send(batch: Batch, interrupt: Interrupt = {}): Promise<Delivery> {
    // Signals of its own where none are given: each request listens to them, and platforms warn of
    // many listeners on one.
    const { soon = new AbortController().signal, now = new AbortController().signal } = interrupt;
    let last: Attempt | undefined;
    let attempts = 0;
    const watch = {
      attempted(attempt: Attempt): void {
        last = attempt;
        attempts += 1;
      },
      waiting: () => undefined,
      resumed: () => undefined,
    };
    const outcomes = await this.#sender.send(batch, { soon, now, watch });
    return { outcomes, last, attempts };
  }

  /** One event at once, past any queue. */
  sendOne(
    text: string,
    { key, metadata = "", ...interrupt }: Interrupt & { key: string; metadata?: string },
  ): Promise<Delivery> {
    const { byteLength, runtime } = this.#host;
    const oldestAtMs = runtime.clock.now();
    return this.send(new TextBatch({ key, metadata, oldestAtMs, texts: [text], sizes: [byteLength(text)] }), interrupt);
  }
}

/**
 * The first outcome that is not delivered, of a delivery that failed as a whole; `undefined` when
 * any event was delivered.
 */
export function failureOf({ outcomes, last }: Delivery): Exclude<Outcome, { status: "delivered" }> | undefined {
  // A vendor that answers 2xx and names what it refused has taken the batch.
  if (last?.status !== undefined && last.status >= 200 && last.status < 300 && last.retryable === 0) return undefined;
  return outcomes.find((outcome) => outcome.status !== "delivered") as ReturnType<typeof failureOf>;
}

/** Longest wait that a vendor's Retry-After may request, in all vendors' own clients. */
export const RETRY_AFTER_MAX_MS = 60_000;

/**
 * A wait that doubles, by `spread` more or less at random (0.25 is ±25 %); the vendor's own wish as
 * it is.
 */
export function spreadBackoff(baseMs: number, maxMs: number, spread: number): Backoff {
  return (attempt, retryAfterMs, random) =>
    retryAfterMs === undefined
      ? doubled(baseMs, attempt, maxMs) * (1 - spread + 2 * spread * random.next())
      : Math.min(retryAfterMs, RETRY_AFTER_MAX_MS);
}

const HOLD_MS = 3_600_000;

/** Holds the process open until `promise` ends: somebody waits for it. */
export async function held<T>(clock: Clock, promise: Promise<T>): Promise<T> {
  const hold = clock.after(HOLD_MS, () => undefined, true);
  try {
    return await promise;
  } finally {
    hold.cancel();
  }
}
