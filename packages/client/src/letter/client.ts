import {
  type Backoff,
  type Batch,
  createUuidV7,
  doubled,
  type HttpResponse,
  messageOf,
  type OptionSpec,
  outcomesOf,
  type Protocol,
  resolveOptions,
  retryAfterMs,
} from "@waybill/core";
import { type LetterItem, letterProtocol, writeLetter } from "@waybill/vendors";
import type { VendorHost } from "../options.ts";
import { checkKey } from "../vendor-kit/check-key.ts";
import { Deliverer, type Delivery, failureOf, held, RETRY_AFTER_MAX_MS } from "../vendor-kit/deliverer.ts";
import { assertExitSignals, lostMessage } from "../vendor-kit/exit-hook.ts";
import { Outbox } from "../vendor-kit/outbox.ts";
import { VERSION } from "../version.ts";
import { LetterError } from "./error.ts";
import type { LetterClientOptions, LetterCommon, LetterGroup, LetterIdentify, LetterTrack } from "./types.ts";

type Resolved = Required<Omit<LetterClientOptions, "baseUrl" | "exitSignals" | "transport">> &
  Pick<LetterClientOptions, "baseUrl" | "exitSignals" | "transport">;

const HOUR_MS = 3_600_000;
const whole = (min: number, max: number): OptionSpec => ({ min, max });
const SPECS: Readonly<Record<keyof LetterClientOptions, OptionSpec>> = {
  apiKey: "string",
  baseUrl: "url",
  flushAt: whole(Number.NEGATIVE_INFINITY, 100_000),
  flushIntervalMs: whole(0, HOUR_MS),
  maxRetries: whole(0, 100),
  openTimeoutMs: whole(1, HOUR_MS),
  readTimeoutMs: whole(1, HOUR_MS),
  maxQueueSize: whole(1, 10_000_000),
  registerAtExit: "boolean",
  exitSignals: "array",
  onError: "function",
  transport: "function",
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

/**
 * Protocol section 6: 250 ms doubling, and up to 100 ms at random; the vendor's Retry-After as it
 * is.
 */
const BACKOFF_BASE_MS = 250;
const BACKOFF_RANDOM_MS = 100;
const backoff: Backoff = (attempt, requestedMs, random) =>
  requestedMs === undefined
    ? doubled(BACKOFF_BASE_MS, attempt, RETRY_AFTER_MAX_MS) + random.next() * BACKOFF_RANDOM_MS
    : Math.min(requestedMs, RETRY_AFTER_MAX_MS);
/** Section 6: 429 without Retry-After. */
const RATE_LIMITED_MS = 1_000;

/** On any host; `LetterClient` of the entry point brings the host along. */
export class LetterClientOn {
  readonly #host: VendorHost;
  readonly #options: Resolved;
  readonly #outbox: Outbox;
  readonly #making: Making;
  readonly #forgetExit: () => void;
  #closing: Promise<void> | undefined;

  constructor(host: VendorHost, options: LetterClientOptions) {
    this.#host = host;
    this.#options = resolveOptions<Resolved>("LetterClient", options, SPECS, DEFAULTS);
    const { apiKey, flushAt, flushIntervalMs, maxQueueSize } = this.#options;
    if (apiKey === "") throw new LetterError("apiKey is required");
    checkKey("LetterClient", "apiKey", apiKey);
    assertExitSignals("LetterClient", options.exitSignals);
    this.#making = {
      makeId: createUuidV7(host.runtime.clock, host.runtime.random),
      report: (error) => this.#report(error),
    };
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
    this.#forgetExit = this.#onExit();
  }

  /**
   * Who a contact is. **Errors**: a missing field throws `LetterError`; everything else goes to
   * `onError`.
   */
  identify(event: LetterIdentify): void {
    this.#enqueue(identifyItem(event, this.#making));
  }

  /** The account a contact belongs to. **Errors**: as `identify`. */
  group(event: LetterGroup): void {
    this.#enqueue(groupItem(event, this.#making));
  }

  /** What a contact did. **Errors**: as `identify`. */
  track(event: LetterTrack): void {
    this.#enqueue(trackItem(event, this.#making));
  }

  /**
   * Past the queue, in a request of its own. **Errors**: rejects with `LetterError`. The original's
   * `identifySync`.
   */
  async identifyImmediate(event: LetterIdentify): Promise<void> {
    await this.#sendNow(identifyItem(event, this.#making));
  }

  /** As {@link identifyImmediate}. The original's `groupSync`. */
  async groupImmediate(event: LetterGroup): Promise<void> {
    await this.#sendNow(groupItem(event, this.#making));
  }

  /** As {@link identifyImmediate}. The original's `trackSync`. */
  async trackImmediate(event: LetterTrack): Promise<void> {
    await this.#sendNow(trackItem(event, this.#making));
  }

  /**
   * Ends when everything queued was sent or lost, one request at a time, at most 100 events each.
   * Never rejects.
   */
  flush(): Promise<void> {
    return held(this.#host.runtime.clock, this.#outbox.drain(this.#delivered));
  }

  /**
   * Takes no more events and sends those that wait. After `readTimeoutMs` x (`maxRetries` + 2), 50
   * s by default, each batch that is left has one attempt more, all of them within `readTimeoutMs`;
   * the number of events left then is reported to `onError`. Idempotent. Never rejects.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const lastMs = this.#options.readTimeoutMs;
    const left = await this.#outbox.finish({ each: this.#delivered, waitMs: this.#closeMs, lastMs });
    this.#forgetExit();
    if (left > 0)
      this.#report(new LetterError(`${left} events could not be sent before the deadline of close`, { events: left }));
  }

  /** As long as the original joins its thread. */
  get #closeMs(): number {
    return this.#options.readTimeoutMs * (this.#options.maxRetries + 2);
  }

  #onExit(): () => void {
    const { registerAtExit, exitSignals, readTimeoutMs } = this.#options;
    if (!registerAtExit) return () => undefined;
    return this.#host.onExit({
      close: () => this.close(),
      deadlineMs: this.#closeMs + readTimeoutMs,
      lost: (reason) => this.#lost(reason),
      signals: exitSignals,
    });
  }

  #lost(reason: string): void {
    const { events } = this.#outbox;
    if (events > 0) this.#report(new LetterError(lostMessage(events, reason), { code: "exit", events }));
  }

  #enqueue(item: LetterItem): void {
    if (this.#closing !== undefined) return this.#report(new LetterError("Letter client is closed.", { events: 1 }));
    const text = write(item, true);
    if (text instanceof LetterError) return this.#report(text);
    if (!this.#outbox.push(text))
      this.#report(
        new LetterError(`The queue holds its limit of ${this.#options.maxQueueSize} events; the event was not taken.`, {
          code: "queue_overflow",
          events: 1,
        }),
      );
  }

  async #sendNow(item: LetterItem): Promise<void> {
    const text = write(item, false);
    if (text instanceof LetterError) throw text;
    const deliverer = this.#deliverer(this.#protocol(item.type));
    const delivery = await held(this.#host.runtime.clock, deliverer.sendOne(text, { key: item.messageId }));
    const error = errorOf(delivery, 1);
    if (error !== undefined) throw error;
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
      // Documented at the option: what it throws is ignored.
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

/** What JSON cannot write concerns this event alone. */
function write(item: LetterItem, withType: boolean): string | LetterError {
  try {
    return writeLetter(item, withType);
  } catch (error) {
    return new LetterError(`${item.type}: cannot be written as JSON: ${messageOf(error)}`, { cause: error, events: 1 });
  }
}

/**
 * Section 6, column "our client": 429 without Retry-After waits a second; 408 fails at once like
 * other 4xx.
 */
function classify(
  protocol: Protocol,
  response: HttpResponse,
  batch: Batch,
  nowMs: number,
): ReturnType<Protocol["classify"]> {
  if (response.status === 408) return { split: true, reason: "408" };
  const verdict = protocol.classify(response, batch, nowMs);
  if (response.status !== 429 || "split" in verdict || retryAfterMs(response, nowMs) !== undefined) return verdict;
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

function identifyItem(event: LetterIdentify, making: Making): LetterItem {
  const { email, traits = {}, timezone } = event;
  return {
    type: "identify",
    userId: required("identify", "userId", event.userId),
    email,
    traits,
    timezone,
    ...common("identify", event, making),
  };
}

function groupItem(event: LetterGroup, making: Making): LetterItem {
  const { name, traits = {} } = event;
  return {
    type: "group",
    userId: required("group", "userId", event.userId),
    accountId: required("group", "accountId", event.accountId),
    name,
    traits,
    ...common("group", event, making),
  };
}

function trackItem(event: LetterTrack, making: Making): LetterItem {
  return {
    type: "track",
    userId: required("track", "userId", event.userId),
    event: required("track", "event", event.event),
    properties: event.properties ?? {},
    ...common("track", event, making),
  };
}

/** What an item needs of its client. */
interface Making {
  readonly makeId: () => string;
  readonly report: (error: LetterError) => void;
}

function common(
  call: string,
  { timestamp, messageId }: LetterCommon,
  { makeId, report }: Making,
): Pick<LetterItem, "timestamp" | "messageId"> {
  // The time is wrong, the event is not: it goes with the vendor's time of receipt.
  const isInvalid = timestamp instanceof Date && Number.isNaN(timestamp.getTime());
  if (isInvalid) report(new LetterError(`${call}: timestamp is an invalid Date and was left out`, { events: 0 }));
  const given = timestamp instanceof Date ? (isInvalid ? undefined : timestamp.toISOString()) : timestamp;
  return {
    timestamp: given === "" ? undefined : given,
    messageId: messageId === undefined || messageId === "" ? makeId() : messageId,
  };
}

function required(call: string, field: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw new LetterError(`${call}: ${field} is required`);
  return value;
}
