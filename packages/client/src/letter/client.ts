import {
  type Backoff,
  type Batch,
  createUuidV7,
  doubled,
  type HttpResponse,
  type OptionSpec,
  outcomesOf,
  type Protocol,
  resolveOptions,
  type Transport,
} from "@waybill/core";
import { type LetterItem, letterProtocol, type Properties, writeLetter } from "@waybill/vendors";
import type { VendorHost } from "../options.ts";
import { Deliverer, type Delivery, failureOf, held, RETRY_AFTER_MAX_MS } from "../vendor/deliverer.ts";
import { Outbox } from "../vendor/outbox.ts";
import { VERSION } from "../version.ts";
import { LetterError } from "./error.ts";

export interface LetterClientOptions {
  /** `lt_live_…`. The original's `api_key`. */
  readonly apiKey: string;
  /** Default `https://api.letter.app`. The original's `base_url`. */
  readonly baseUrl?: string;
  /** A request starts when so many events wait; 1 for serverless. Default 50. The original's `flush_at`. */
  readonly flushAt?: number;
  /** Or when the first of them has waited so long; 0 for never. Default 100. The original's `flush_interval` (seconds there). */
  readonly flushIntervalMs?: number;
  /** Further attempts after the first one. Default 3. The original's `max_retries`. */
  readonly maxRetries?: number;
  /** Together with `readTimeoutMs` the limit for one request. Default 10 s. The original's `open_timeout`. */
  readonly openTimeoutMs?: number;
  /** Default 10 s. The original's `read_timeout`. */
  readonly readTimeoutMs?: number;
  /** Most events that wait; more are refused through `onError`. Default 100,000. The original has no limit. */
  readonly maxQueueSize?: number;
  /** Whether `close` is called when the process has nothing left to do. Default true, as the original does. */
  readonly registerAtExit?: boolean;
  /** Told of every batch that was lost and every event that was refused. Default: a line on the console. The original's `on_error`. What it throws is ignored. */
  readonly onError?: (error: LetterError) => void;
  /** Makes the requests. */
  readonly transport?: Transport;
}

interface Common {
  readonly userId: string;
  /** ISO 8601 or a Date. Absent: the vendor's time of receipt. */
  readonly timestamp?: string | Date;
  /** By which repeats are recognised. Default: a new UUID. */
  readonly messageId?: string;
}

export interface LetterIdentify extends Common {
  /** A new contact needs it, here or among the traits. */
  readonly email?: string;
  readonly traits?: Properties;
  /** An IANA name: `Europe/Rome`. */
  readonly timezone?: string;
}

export interface LetterGroup extends Common {
  readonly accountId: string;
  readonly name?: string;
  readonly traits?: Properties;
}

export interface LetterTrack extends Common {
  readonly event: string;
  readonly properties?: Properties;
}

type Resolved = Required<Omit<LetterClientOptions, "baseUrl" | "transport">> &
  Pick<LetterClientOptions, "baseUrl" | "transport">;

const HOUR_MS = 3_600_000;
const whole = (min: number, max: number): OptionSpec => ({ rule: { kind: "number", min, max } });
const SPECS: Readonly<Record<keyof LetterClientOptions, OptionSpec>> = {
  apiKey: { rule: { kind: "string" } },
  baseUrl: { rule: { kind: "string" } },
  flushAt: whole(Number.NEGATIVE_INFINITY, 100_000),
  flushIntervalMs: whole(0, HOUR_MS),
  maxRetries: whole(0, 100),
  openTimeoutMs: whole(1, HOUR_MS),
  readTimeoutMs: whole(1, HOUR_MS),
  maxQueueSize: whole(1, 10_000_000),
  registerAtExit: { rule: { kind: "boolean" } },
  onError: { rule: { kind: "function" } },
  transport: { rule: { kind: "function" } },
};
const DEFAULTS: Partial<Resolved> = {
  apiKey: "",
  flushAt: 50,
  flushIntervalMs: 100,
  maxRetries: 3,
  openTimeoutMs: 10_000,
  readTimeoutMs: 10_000,
  maxQueueSize: 100_000,
  registerAtExit: true,
  // The original writes there too.
  onError: (error) => console.error("[letter]", error.message),
};

/** Protocol section 6: 250 ms doubling, and up to 100 ms at random; the vendor's Retry-After as it is. */
const BACKOFF_BASE_MS = 250;
const BACKOFF_RANDOM_MS = 100;
const backoff: Backoff = (attempt, retryAfterMs, random) =>
  retryAfterMs === undefined
    ? doubled(BACKOFF_BASE_MS, attempt, RETRY_AFTER_MAX_MS) + random.next() * BACKOFF_RANDOM_MS
    : Math.min(retryAfterMs, RETRY_AFTER_MAX_MS);
/** Section 6: 429 without Retry-After. */
const RATE_LIMITED_MS = 1_000;

/** On any host; `LetterClient` of the entry point brings the host along. */
export class LetterClientOn {
  readonly #host: VendorHost;
  readonly #options: Resolved;
  readonly #outbox: Outbox;
  readonly #makeId: () => string;
  readonly #forgetExit: () => void;
  #closing: Promise<void> | undefined;

  constructor(host: VendorHost, options: LetterClientOptions) {
    this.#host = host;
    this.#options = resolveOptions<Resolved>("LetterClient", options, SPECS, DEFAULTS);
    const { apiKey, flushAt, flushIntervalMs, maxQueueSize, registerAtExit } = this.#options;
    if (apiKey === "") throw new LetterError("apiKey is required");
    this.#makeId = createUuidV7(host.runtime.clock, host.runtime.random);
    const protocol = this.#protocol("batch");
    this.#outbox = new Outbox({
      host,
      deliverer: this.#deliverer(protocol),
      limits: protocol.limits,
      flushAt: Math.max(1, flushAt),
      flushIntervalMs,
      maxEvents: maxQueueSize,
      onFailure: "lose",
      onBackground: this.#delivered,
    });
    this.#forgetExit = registerAtExit ? host.onExit(() => this.close()) : () => undefined;
  }

  /** Who a contact is. **Errors**: a missing field throws `LetterError`; everything else goes to `onError`. */
  identify(event: LetterIdentify): void {
    this.#enqueue(identifyItem(event, this.#makeId));
  }

  /** The account a contact belongs to. **Errors**: as `identify`. */
  group(event: LetterGroup): void {
    this.#enqueue(groupItem(event, this.#makeId));
  }

  /** What a contact did. **Errors**: as `identify`. */
  track(event: LetterTrack): void {
    this.#enqueue(trackItem(event, this.#makeId));
  }

  /** Past the queue, in a request of its own. **Errors**: rejects with `LetterError`. The original's `identifySync`. */
  identifyImmediate(event: LetterIdentify): Promise<void> {
    return this.#sendNow(identifyItem(event, this.#makeId));
  }

  /** As {@link identifyImmediate}. The original's `groupSync`. */
  groupImmediate(event: LetterGroup): Promise<void> {
    return this.#sendNow(groupItem(event, this.#makeId));
  }

  /** As {@link identifyImmediate}. The original's `trackSync`. */
  trackImmediate(event: LetterTrack): Promise<void> {
    return this.#sendNow(trackItem(event, this.#makeId));
  }

  /** Ends when everything queued was sent or lost, one request at a time, at most 100 events each. Never rejects. */
  flush(): Promise<void> {
    return held(this.#host.runtime.clock, this.#outbox.drain(this.#delivered));
  }

  /** Takes no more events, sends those that wait within (openTimeoutMs + readTimeoutMs) x (maxRetries + 2), and tells `onError` what is left. Idempotent. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#forgetExit();
    this.#outbox.close();
    const { openTimeoutMs, readTimeoutMs, maxRetries } = this.#options;
    const { clock } = this.#host.runtime;
    const deadline = clock.after((openTimeoutMs + readTimeoutMs) * (maxRetries + 2), () => this.#outbox.abort(), true);
    await this.flush();
    deadline.cancel();
    const left = this.#outbox.events;
    if (left > 0)
      this.#report(new LetterError(`${left} events could not be sent before the deadline of close`, { events: left }));
  }

  #enqueue(item: LetterItem): void {
    if (this.#closing !== undefined) return this.#report(new LetterError("Letter client is closed.", { events: 1 }));
    const text = this.#write(item, true);
    if (text === undefined) return;
    if (!this.#outbox.push(text))
      this.#report(
        new LetterError(`The queue holds its limit of ${this.#options.maxQueueSize} events; the event was not taken.`, {
          code: "queue_overflow",
          events: 1,
        }),
      );
  }

  async #sendNow(item: LetterItem): Promise<void> {
    const text = JSON.stringify({ ...item, type: undefined });
    const deliverer = this.#deliverer(this.#protocol(item.type));
    const delivery = await held(this.#host.runtime.clock, deliverer.sendOne(text, { key: item.messageId }));
    const error = errorOf(delivery, 1);
    if (error !== undefined) throw error;
  }

  /** What JSON cannot write concerns this event alone. */
  #write(item: LetterItem, withType: boolean): string | undefined {
    try {
      return writeLetter(item, withType);
    } catch (error) {
      this.#report(new LetterError(`${item.type}: cannot be written as JSON`, { cause: error, events: 1 }));
      return undefined;
    }
  }

  readonly #delivered = (delivery: Delivery, batch: Batch): void => {
    const error = errorOf(delivery, batch.count);
    if (error !== undefined) this.#report(error);
    else
      for (const outcome of delivery.outcomes)
        if (outcome.status === "rejected") this.#report(new LetterError(outcome.reason, { events: 1 }));
  };

  #report(error: LetterError): void {
    try {
      this.#options.onError(error);
    } catch {
      // Said in the options: what it throws is ignored.
    }
  }

  #protocol(path: "batch" | LetterItem["type"]): Protocol {
    const { apiKey, baseUrl } = this.#options;
    const protocol = letterProtocol({ url: baseUrl, apiKey, version: VERSION }, path);
    return { ...protocol, classify: (response, batch, nowMs) => classify(protocol, response, batch, nowMs) };
  }

  #deliverer(protocol: Protocol): Deliverer {
    const { openTimeoutMs, readTimeoutMs, maxRetries, transport } = this.#options;
    return new Deliverer({
      host: this.#host,
      protocol,
      timeoutMs: openTimeoutMs + readTimeoutMs,
      maxAttempts: maxRetries + 1,
      backoff,
      transport,
    });
  }
}

/** Section 6, column "our client": 429 without Retry-After waits a second; 408 fails at once like other 4xx. */
function classify(
  protocol: Protocol,
  response: HttpResponse,
  batch: Batch,
  nowMs: number,
): ReturnType<Protocol["classify"]> {
  if (response.status === 408) return { split: true, reason: "408" };
  const verdict = protocol.classify(response, batch, nowMs);
  if (response.status !== 429 || "split" in verdict || response.headers["retry-after"] !== undefined) return verdict;
  return outcomesOf(batch.count, { status: "retryable", reason: "429", retryAfterMs: RATE_LIMITED_MS });
}

function errorOf(delivery: Delivery, events: number): LetterError | undefined {
  const failure = failureOf(delivery);
  if (failure === undefined) return undefined;
  const response = delivery.last?.response;
  if (response === undefined) return new LetterError(failure.reason, { events });
  const { status, body } = response;
  const { code, reason, message } = errorIn(body);
  return new LetterError(`Request failed with ${status}: ${message ?? body}`, { status, body, code, reason, events });
}

function errorIn(body: string): { readonly code?: string; readonly reason?: string; readonly message?: string } {
  try {
    return (JSON.parse(body) as { error?: object }).error ?? {};
  } catch {
    return {};
  }
}

function identifyItem(event: LetterIdentify, makeId: () => string): LetterItem {
  const { email, traits = {}, timezone } = event;
  return {
    type: "identify",
    userId: required("identify", "userId", event.userId),
    email,
    traits,
    timezone,
    ...common(event, makeId),
  };
}

function groupItem(event: LetterGroup, makeId: () => string): LetterItem {
  const { name, traits = {} } = event;
  return {
    type: "group",
    userId: required("group", "userId", event.userId),
    accountId: required("group", "accountId", event.accountId),
    name,
    traits,
    ...common(event, makeId),
  };
}

function trackItem(event: LetterTrack, makeId: () => string): LetterItem {
  return {
    type: "track",
    userId: required("track", "userId", event.userId),
    event: required("track", "event", event.event),
    properties: event.properties ?? {},
    ...common(event, makeId),
  };
}

function common({ timestamp, messageId }: Common, makeId: () => string): Pick<LetterItem, "timestamp" | "messageId"> {
  const text = timestamp instanceof Date ? timestamp.toISOString() : timestamp;
  return {
    timestamp: text === "" ? undefined : text,
    messageId: messageId === undefined || messageId === "" ? makeId() : messageId,
  };
}

function required(call: string, field: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw new LetterError(`${call}: ${field} is required`);
  return value;
}
