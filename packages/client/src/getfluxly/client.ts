import { createUuidV7, type OptionSpec, resolveOptions, retryAfterMs, type Transport } from "@waybill/core";
import {
  aliasMetadata,
  compact,
  type GetFluxlyEvent,
  getfluxlyProtocol,
  type Properties,
  stableUuid,
} from "@waybill/vendors";
import type { VendorHost } from "../options.ts";
import { Deliverer, type Delivery, failureOf, held, spreadBackoff } from "../vendor/deliverer.ts";
import { Outbox } from "../vendor/outbox.ts";
import { VERSION } from "../version.ts";
import { GetFluxlyError } from "./error.ts";

export interface GetFluxlyClientOptions {
  /** `gflux_secret_…`, or `gflux_pub_…` for events only. */
  readonly token: string;
  /** Default `https://api.getfluxly.com`. The original's `api_host`. */
  readonly apiHost?: string;
  /** Events per request, and how many start one. Default 20, at most 100. The original's `flush_at`. */
  readonly flushAt?: number;
  /** Or when the first has waited so long; 0 for never. Default 5,000. The original's `flush_interval` (seconds there). */
  readonly flushIntervalMs?: number;
  /** Further attempts after the first one. Default 2. The original's `max_retries`. */
  readonly maxRetries?: number;
  /** For one request; 0 for none. Default 5,000. The original's `timeout` (seconds there). */
  readonly timeoutMs?: number;
  /** Most events that wait; more are refused with `queue_overflow`. Default 1,000. The original's `max_queue_size`. */
  readonly maxQueueSize?: number;
  /** Whether `close` is called when the process has nothing left to do. Default true. The original's `register_atexit`. */
  readonly registerAtExit?: boolean;
  /** Told of what goes wrong in the background. Default: nothing, as in the original. What it throws is ignored. */
  readonly onError?: (error: GetFluxlyError) => void;
  readonly transport?: Transport;
}

interface Ids {
  readonly anonymousId?: string;
  readonly externalId?: string;
  readonly userId?: string;
}

/** One id at least is required. */
export interface GetFluxlyTrack extends Ids {
  /** In snake case, at most 64 characters. */
  readonly event: string;
  readonly properties?: Properties;
  /** Default: now. */
  readonly timestamp?: Date | string;
  readonly context?: Properties;
}

/** One id at least is required; two join what is known under each. */
export interface GetFluxlyIdentify extends Ids {
  readonly traits?: Properties;
}

export interface GetFluxlyAliasCall {
  readonly userId: string;
  /** This or `previousId`. */
  readonly anonymousId?: string;
  readonly previousId?: string;
  /** Sent as `X-Request-Id`. */
  readonly requestId?: string;
}

/** The server's answer. */
export interface GetFluxlyAliased {
  readonly alias: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

export interface FlushResult {
  readonly accepted: number;
  readonly rejected: number;
  /** Requests that were answered with success. */
  readonly batches: number;
  /** Why events were rejected; `index` is the place in its batch. */
  readonly errors: readonly { readonly index: number; readonly error: string; readonly detail?: string }[];
}

const EMPTY: FlushResult = Object.freeze({ accepted: 0, rejected: 0, batches: 0, errors: [] });

type Resolved = Required<Omit<GetFluxlyClientOptions, "apiHost" | "transport" | "onError">> &
  Pick<GetFluxlyClientOptions, "apiHost" | "transport" | "onError">;

const HOUR_MS = 3_600_000;
const BATCH_MAX = 100;
const whole = (min: number, max: number): OptionSpec => ({ rule: { kind: "number", min, max } });
const SPECS: Readonly<Record<keyof GetFluxlyClientOptions, OptionSpec>> = {
  token: { rule: { kind: "string" } },
  apiHost: { rule: { kind: "string" } },
  flushAt: whole(1, BATCH_MAX),
  flushIntervalMs: whole(0, HOUR_MS),
  maxRetries: whole(0, 100),
  timeoutMs: whole(0, HOUR_MS),
  maxQueueSize: whole(1, 10_000_000),
  registerAtExit: { rule: { kind: "boolean" } },
  onError: { rule: { kind: "function" } },
  transport: { rule: { kind: "function" } },
};
const DEFAULTS: Partial<Resolved> = {
  token: "",
  flushAt: 20,
  flushIntervalMs: 5_000,
  maxRetries: 2,
  timeoutMs: 5_000,
  maxQueueSize: 1_000,
  registerAtExit: true,
};
/** Protocol section 7: 200 ms doubling, a quarter more or less at random, 30 s at most. */
const BACKOFF_BASE_MS = 200;
const BACKOFF_MAX_MS = 30_000;
const BACKOFF_SPREAD = 0.25;

/** On any host; `GetFluxlyClient` of the entry point brings the host along. */
export class GetFluxlyClientOn {
  readonly #host: VendorHost;
  readonly #options: Resolved;
  readonly #outbox: Outbox;
  readonly #makeId: () => string;
  readonly #forgetExit: () => void;
  #closed = false;

  constructor(host: VendorHost, options: GetFluxlyClientOptions) {
    this.#host = host;
    this.#options = resolveOptions<Resolved>("GetFluxlyClient", options, SPECS, DEFAULTS);
    const { token, apiHost, flushAt, flushIntervalMs, maxQueueSize, registerAtExit } = this.#options;
    if (token === "") throw new GetFluxlyError("token is required", { code: "validation_error" });
    if (apiHost !== undefined && !URL.canParse(apiHost))
      throw new GetFluxlyError(`apiHost "${apiHost}" is no URL`, { code: "validation_error" });
    if (host.platform.startsWith("Web") && !token.startsWith("gflux_pub_"))
      throw new GetFluxlyError("a server key must not be used in a browser", { code: "server_key_in_browser" });
    const makeUuid = createUuidV7(host.runtime.clock, host.runtime.random);
    this.#makeId = () => stableUuid(makeUuid());
    this.#outbox = new Outbox({
      host,
      deliverer: this.#deliverer(),
      limits: { ...this.#protocol().limits, maxEvents: flushAt },
      flushAt,
      flushIntervalMs,
      maxEvents: maxQueueSize,
      onFailure: "keep",
      onBackground: (delivery) => this.#report(errorOf(delivery)),
    });
    this.#forgetExit = registerAtExit ? host.onExit(() => this.close().catch(() => undefined)) : () => undefined;
  }

  /** Something happened. **Errors**: throws `GetFluxlyError`: `validation_error` without an id, `queue_overflow` when the queue is full (the event is not stored), `client_closed`. */
  track({ event, properties, timestamp, context, ...ids }: GetFluxlyTrack): void {
    if (typeof event !== "string" || event === "")
      throw new GetFluxlyError("track: event is required", { code: "validation_error" });
    this.#enqueue("track", ids, { event, properties, context, occurred_at: this.#timeOf(timestamp) });
  }

  /** Who somebody is. **Errors**: as `track`. */
  identify({ traits, ...ids }: GetFluxlyIdentify): void {
    this.#enqueue("identify", ids, { event: "$identify", traits, occurred_at: this.#timeOf(undefined) });
  }

  /** Joins two ids at once, past the queue; needs a server key. **Errors**: rejects with `GetFluxlyError`; `invalid_response` (retryable) when the answer has no alias. */
  async alias({ userId, anonymousId, previousId, requestId }: GetFluxlyAliasCall): Promise<GetFluxlyAliased> {
    this.#assertOpen();
    if (!isText(userId)) throw new GetFluxlyError("alias: userId is required", { code: "validation_error" });
    if (!isText(anonymousId) && !isText(previousId))
      throw new GetFluxlyError("alias: anonymousId or previousId is required", { code: "validation_error" });
    const key = this.#makeId();
    const text = JSON.stringify(compact({ user_id: userId, anonymous_id: anonymousId, previous_id: previousId }));
    const deliverer = this.#deliverer(requestId);
    const delivery = await held(
      this.#host.runtime.clock,
      deliverer.sendOne(text, { key, metadata: aliasMetadata(key) }),
    );
    const error = errorOf(delivery);
    if (error !== undefined) throw error;
    return JSON.parse(delivery.last?.response?.body ?? "{}") as GetFluxlyAliased;
  }

  /**
   * Sends what waits, batch after batch, each under a new idempotency key. **Errors**: rejects with `GetFluxlyError` at the first batch that fails: a retryable one is
   * put back in front, any other is lost; what is behind stays queued.
   */
  async flush(): Promise<FlushResult> {
    let result = EMPTY;
    let failure: GetFluxlyError | undefined;
    await held(
      this.#host.runtime.clock,
      this.#outbox.drain((delivery, batch) => {
        failure ??= errorOf(delivery);
        if (errorOf(delivery) === undefined) result = add(result, resultOf(delivery, batch.count));
      }),
    );
    if (failure !== undefined) throw failure;
    return result;
  }

  /** Takes no more events and flushes. A second call gives an empty result. **Errors**: those of `flush`. The original's `shutdown`. */
  async close(): Promise<FlushResult> {
    if (this.#closed) return EMPTY;
    this.#closed = true;
    this.#forgetExit();
    this.#outbox.close();
    return this.flush();
  }

  /** The original's name of {@link close}. */
  shutdown(): Promise<FlushResult> {
    return this.close();
  }

  #enqueue(call: string, ids: Ids, event: GetFluxlyEvent): void {
    this.#assertOpen();
    const { anonymousId, externalId, userId } = ids;
    const present = {
      anonymous_id: isText(anonymousId) ? anonymousId : undefined,
      external_id: isText(externalId) ? externalId : undefined,
      user_id: isText(userId) ? userId : undefined,
    };
    if (Object.values(present).every((id) => id === undefined))
      throw new GetFluxlyError(`${call}: anonymousId, externalId or userId is required`, { code: "validation_error" });
    const { event: name, ...fields } = event;
    const text = this.#write(call, { event: name, ...present, ...fields, message_id: this.#makeId() });
    if (!this.#outbox.push(text))
      throw new GetFluxlyError(`the queue holds its limit of ${this.#options.maxQueueSize} events`, {
        code: "queue_overflow",
        retryable: true,
      });
  }

  #write(call: string, event: GetFluxlyEvent): string {
    try {
      return JSON.stringify(event);
    } catch (error) {
      throw new GetFluxlyError(`${call}: the event cannot be written as JSON: ${String(error)}`, {
        code: "validation_error",
      });
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new GetFluxlyError("the client was closed", { code: "client_closed" });
  }

  #timeOf(timestamp: Date | string | undefined): string {
    if (typeof timestamp === "string" && timestamp !== "") return timestamp;
    return (timestamp instanceof Date ? timestamp : new Date(this.#host.runtime.clock.now())).toISOString();
  }

  #report(error: GetFluxlyError | undefined): void {
    if (error === undefined) return;
    try {
      this.#options.onError?.(error);
    } catch {
      // Said in the options: what it throws is ignored.
    }
  }

  #protocol(requestId?: string): ReturnType<typeof getfluxlyProtocol> {
    const { token, apiHost } = this.#options;
    const protocol = getfluxlyProtocol({ url: apiHost, token, version: VERSION });
    if (requestId === undefined) return protocol;
    return {
      ...protocol,
      request(batch, nowMs) {
        const request = protocol.request(batch, nowMs);
        return { ...request, headers: { ...request.headers, "x-request-id": requestId } };
      },
    };
  }

  #deliverer(requestId?: string): Deliverer {
    const { maxRetries, timeoutMs, transport } = this.#options;
    return new Deliverer({
      host: this.#host,
      protocol: this.#protocol(requestId),
      timeoutMs: timeoutMs === 0 ? Number.MAX_SAFE_INTEGER : timeoutMs,
      maxAttempts: maxRetries + 1,
      backoff: spreadBackoff(BACKOFF_BASE_MS, BACKOFF_MAX_MS, BACKOFF_SPREAD),
      transport,
    });
  }
}

/** What the vendor said of a batch that it took. */
function resultOf({ last, outcomes }: Delivery, events: number): FlushResult {
  const answer = parse(last?.response?.body ?? "");
  const errors = Array.isArray(answer["errors"]) ? (answer["errors"] as FlushResult["errors"]) : [];
  const rejected = outcomes.filter(({ status }) => status === "rejected").length;
  return {
    accepted: numberOr(answer["accepted"], events),
    rejected: numberOr(answer["rejected"], rejected),
    batches: 1,
    errors,
  };
}

function add(a: FlushResult, b: FlushResult): FlushResult {
  return {
    accepted: a.accepted + b.accepted,
    rejected: a.rejected + b.rejected,
    batches: a.batches + b.batches,
    errors: [...a.errors, ...b.errors],
  };
}

/** Section 6: codes of the server pass through; no answer is `transport_error`; a 2xx without its JSON is `invalid_response`. */
function errorOf(delivery: Delivery): GetFluxlyError | undefined {
  const failure = failureOf(delivery);
  if (failure === undefined) return undefined;
  const retryable = failure.status === "retryable";
  const response = delivery.last?.response;
  if (response === undefined)
    return new GetFluxlyError(failure.reason, { code: retryable ? "transport_error" : "payload_too_large", retryable });
  const { status, body, headers } = response;
  const answer = parse(body);
  const options = { retryable, status, retryAfterMs: retryAfterMs(headers, delivery.last?.atMs ?? 0), details: answer };
  if (status < 300)
    return new GetFluxlyError("the answer is not what was expected", {
      ...options,
      code: "invalid_response",
      details: body,
    });
  const { error, detail } = answer;
  const nested =
    typeof error === "object" && error !== null ? (error as { code?: unknown; message?: unknown }) : undefined;
  const code = nested?.code ?? error;
  const message = nested?.message ?? detail;
  return new GetFluxlyError(typeof message === "string" ? message : failure.reason, {
    ...options,
    code: typeof code === "string" ? code : "server_error",
  });
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
