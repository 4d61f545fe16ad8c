import { createUuidV7, isHeaderValue, isHttpUrl, type OptionSpec, type Protocol, resolveOptions } from "@waybill/core";
import { aliasMetadata, compact, type GetFluxlyEvent, getfluxlyProtocol, stableUuid } from "@waybill/vendors";
import type { VendorHost } from "../options.ts";
import { NOT_IN_A_HEADER } from "../vendor-kit/check-key.ts";
import { Deliverer, held, spreadBackoff } from "../vendor-kit/deliverer.ts";
import { assertExitSignals, lostMessage } from "../vendor-kit/exit-hook.ts";
import { Outbox } from "../vendor-kit/outbox.ts";
import { VERSION } from "../version.ts";
import {
  add,
  aliasOf,
  aliasProtocol,
  EMPTY,
  errorOf,
  type FlushResult,
  type GetFluxlyAliased,
  isText,
  resultOf,
} from "./answers.ts";
import { GetFluxlyError } from "./error.ts";
import type {
  GetFluxlyAliasCall,
  GetFluxlyClientOptions,
  GetFluxlyIdentify,
  GetFluxlyIds,
  GetFluxlyTrack,
} from "./types.ts";

type Optional = "apiHost" | "exitSignals" | "transport" | "onError";
type Resolved = Required<Omit<GetFluxlyClientOptions, Optional>> & Pick<GetFluxlyClientOptions, Optional>;

const HOUR_MS = 3_600_000;
const BATCH_MAX = 100;
const whole = (min: number, max: number): OptionSpec => ({ min, max });
const SPECS: Readonly<Record<keyof GetFluxlyClientOptions, OptionSpec>> = {
  token: "string",
  apiHost: "string",
  flushAt: whole(1, BATCH_MAX),
  flushIntervalMs: whole(0, HOUR_MS),
  maxRetries: whole(0, 100),
  timeoutMs: whole(0, HOUR_MS),
  maxQueueSize: whole(1, 10_000_000),
  registerAtExit: "boolean",
  exitSignals: "array",
  onError: "function",
  transport: "function",
};
const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULTS: Partial<Resolved> = {
  token: "",
  flushAt: 20,
  flushIntervalMs: 5_000,
  maxRetries: 2,
  timeoutMs: DEFAULT_TIMEOUT_MS,
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
  readonly #maxEventBytes: number;
  readonly #forgetExit: () => void;
  #closing: Promise<FlushResult> | undefined;
  #exiting: Promise<unknown> | undefined;

  constructor(host: VendorHost, options: GetFluxlyClientOptions) {
    this.#host = host;
    this.#options = resolveOptions<Resolved>("GetFluxlyClient", options, SPECS, DEFAULTS);
    const { token, apiHost, flushAt, flushIntervalMs, maxQueueSize } = this.#options;
    if (token === "") throw new GetFluxlyError("token is required", { code: "validation_error" });
    if (!isHeaderValue(token)) throw new GetFluxlyError(`token ${NOT_IN_A_HEADER}`, { code: "validation_error" });
    if (apiHost !== undefined && !isHttpUrl(apiHost))
      throw new GetFluxlyError(`apiHost "${String(apiHost)}" is not an http or https URL`, {
        code: "validation_error",
      });
    if (host.isBrowser && !token.startsWith("gflux_pub_"))
      throw new GetFluxlyError("a server key must not be used in a browser", { code: "server_key_in_browser" });
    assertExitSignals("GetFluxlyClient", options.exitSignals);
    const makeUuid = createUuidV7(host.runtime.clock, host.runtime.random);
    this.#makeId = () => stableUuid(makeUuid());
    const protocol = this.#protocol();
    this.#maxEventBytes = protocol.maxEventBytes;
    this.#outbox = new Outbox({
      host,
      deliverer: this.#deliverer(protocol),
      limits: { ...protocol.limits, maxEvents: flushAt },
      flushAt,
      flushIntervalMs,
      maxEvents: maxQueueSize,
      onFailure: "keep",
      onBackground: (delivery) => this.#report(errorOf(delivery)),
    });
    this.#forgetExit = this.#onExit();
  }

  /**
   * Something happened. **Errors**: throws `GetFluxlyError`: `validation_error` without an id,
   * `payload_too_large` above 32 KiB, `queue_overflow` when the queue is full (the event is not
   * stored), `client_closed`.
   */
  track({ event, properties, timestamp, context, ...ids }: GetFluxlyTrack): void {
    if (typeof event !== "string" || event === "")
      throw new GetFluxlyError("track: event is required", { code: "validation_error" });
    this.#enqueue("track", ids, { event, properties, context, occurred_at: this.#timeOf("track", timestamp) });
  }

  /** Who somebody is. **Errors**: as `track`. */
  identify({ traits, ...ids }: GetFluxlyIdentify): void {
    this.#enqueue("identify", ids, { event: "$identify", traits, occurred_at: this.#timeOf("identify", undefined) });
  }

  /**
   * Joins two ids at once, past the queue, after `close` too; needs a server key. Gives what the
   * server joined. **Errors**: rejects with `GetFluxlyError`; `invalid_response` (retryable;
   * `details` is the answer) after one request when the answer has no alias.
   */
  async alias({ userId, anonymousId, previousId, requestId }: GetFluxlyAliasCall): Promise<GetFluxlyAliased> {
    if (!isText(userId)) throw new GetFluxlyError("alias: userId is required", { code: "validation_error" });
    const ids = {
      anonymous_id: isText(anonymousId) ? anonymousId : undefined,
      previous_id: isText(previousId) ? previousId : undefined,
    };
    if (ids.anonymous_id === undefined && ids.previous_id === undefined)
      throw new GetFluxlyError("alias: anonymousId or previousId is required", { code: "validation_error" });
    const key = this.#makeId();
    const text = JSON.stringify(compact({ user_id: userId, ...ids }));
    const deliverer = this.#deliverer(aliasProtocol(this.#protocol(), requestId));
    const delivery = await held(
      this.#host.runtime.clock,
      deliverer.sendOne(text, { key, metadata: aliasMetadata(key) }),
    );
    const error = errorOf(delivery);
    if (error !== undefined) throw error;
    return aliasOf(delivery);
  }

  /**
   * Sends what waits, batch after batch, each under a new idempotency key. **Errors**: rejects with
   * `GetFluxlyError` at the first batch that fails: a retryable one is put back in front, any other
   * is lost; later events stay queued.
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

  /**
   * Takes no more events and flushes, for as long as that takes: only a batch that fails ends it. A
   * second call gives an empty result. **Errors**: those of `flush`, which can be called again for
   * what is left. The original's `shutdown`.
   */
  async close(): Promise<FlushResult> {
    if (this.#closing !== undefined) return EMPTY;
    this.#closing = this.#close();
    return this.#closing;
  }

  async #close(): Promise<FlushResult> {
    this.#outbox.close();
    try {
      return await this.flush();
    } finally {
      // What is left is reported when the process ends without another flush.
      if (this.#outbox.events === 0) this.#forgetExit();
    }
  }

  /** The original's name of {@link close}. */
  shutdown(): Promise<FlushResult> {
    return this.close();
  }

  #onExit(): () => void {
    const { registerAtExit, exitSignals, timeoutMs, maxRetries } = this.#options;
    if (!registerAtExit) return () => undefined;
    return this.#host.onExit({
      close: () => this.#closeAtExit(),
      deadlineMs: (timeoutMs === 0 ? DEFAULT_TIMEOUT_MS : timeoutMs) * (maxRetries + 2),
      lost: (reason) => this.#lost(reason),
      signals: exitSignals,
    });
  }

  /**
   * Once, however often the process is about to end: a vendor that is down would keep it alive for
   * ever.
   */
  #closeAtExit(): Promise<unknown> {
    this.#exiting ??=
      this.#closing === undefined
        ? this.close().catch((error: unknown) => this.#report(error as GetFluxlyError))
        : // Whoever called `close` hears of the error.
          this.#closing.catch(() => undefined);
    return this.#exiting;
  }

  #lost(reason: string): void {
    const { events } = this.#outbox;
    if (events === 0) return;
    const message = lostMessage(events, reason);
    if (this.#options.onError === undefined) console.error("[getfluxly]", message);
    this.#report(new GetFluxlyError(message, { code: "exit", details: { events } }));
  }

  #enqueue(call: string, ids: GetFluxlyIds, event: GetFluxlyEvent): void {
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
    // Beside others the vendor would refuse the whole batch for it.
    const bytes = this.#host.byteLength(text);
    if (bytes > this.#maxEventBytes)
      throw new GetFluxlyError(`${call}: event of ${bytes} bytes; the vendor takes at most ${this.#maxEventBytes}`, {
        code: "payload_too_large",
      });
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
    if (this.#closing !== undefined) throw new GetFluxlyError("the client was closed", { code: "client_closed" });
  }

  #timeOf(call: string, timestamp: Date | string | undefined): string {
    if (typeof timestamp === "string" && timestamp !== "") return timestamp;
    const isInvalid = timestamp instanceof Date && Number.isNaN(timestamp.getTime());
    // The time is wrong, the event is not: it goes with the time of the call.
    if (isInvalid)
      this.#report(
        new GetFluxlyError(`${call}: timestamp is an invalid Date; the time of the call was taken`, {
          code: "validation_error",
        }),
      );
    const time = timestamp instanceof Date && !isInvalid ? timestamp : new Date(this.#host.runtime.clock.now());
    return time.toISOString();
  }

  #report(error: GetFluxlyError | undefined): void {
    if (error === undefined) return;
    try {
      this.#options.onError?.(error);
    } catch {
      // Documented at the option: what it throws is ignored.
    }
  }

  #protocol(): Protocol {
    const { token, apiHost } = this.#options;
    return getfluxlyProtocol({ url: apiHost, token, version: VERSION });
  }

  #deliverer(protocol: Protocol): Deliverer {
    const { maxRetries, timeoutMs, transport } = this.#options;
    return new Deliverer({
      host: this.#host,
      protocol,
      timeoutMs: timeoutMs === 0 ? Number.MAX_SAFE_INTEGER : timeoutMs,
      maxAttempts: maxRetries + 1,
      backoff: spreadBackoff(BACKOFF_BASE_MS, BACKOFF_MAX_MS, BACKOFF_SPREAD),
      transport,
    });
  }
}
