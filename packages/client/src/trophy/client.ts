import {
  createUuidV7,
  type HttpRequest,
  type HttpResponse,
  messageOf,
  type OptionSpec,
  outcomesOf,
  type Protocol,
  resolveOptions,
  retryAfterMs,
  type Transport,
  WaybillError,
} from "@waybill/core";
import { compact, type TrophyUser } from "@waybill/vendors";
import type { VendorHost } from "../options.ts";
import { checkKey } from "../vendor-kit/check-key.ts";
import { Deliverer, held, RETRY_AFTER_MAX_MS, spreadBackoff } from "../vendor-kit/deliverer.ts";
import { VERSION } from "../version.ts";
import { type Api, ENDPOINTS, type Endpoint, EVENT, type WithRequestOptions } from "./endpoints.ts";
import { TrophyApiEnvironment, type TrophyApiEnvironmentUrls } from "./environment.ts";
import { ERROR_OF_STATUS, TrophyApiError, TrophyApiTimeoutError, TrophyParseError } from "./error.ts";
import type { EventResponse } from "./types.ts";

type HeaderOptions = Readonly<Record<string, string | null | undefined>>;

export interface TrophyClientOptions {
  /** The original's `api_key`. */
  readonly apiKey: string;
  /**
   * With its version. Default: that of `environment`. The original's `base_url`; unlike there it
   * counts.
   */
  readonly baseUrl?: string;
  /**
   * Where Trophy's APIs are, with their versions. Default `TrophyApiEnvironment.Production`. A
   * `baseUrl` overrides it.
   */
  readonly environment?: TrophyApiEnvironmentUrls;
  /** For an organisation with several tenants. The original's `tenant_id`. */
  readonly tenantId?: string;
  /** For one attempt. Default 60 s. The original's `timeout_in_seconds`. */
  readonly timeoutMs?: number;
  /** Further attempts after the first one. Default 2. The original's `max_retries`. */
  readonly maxRetries?: number;
  /**
   * Sent with each request. They replace neither the key nor the tenant; null ones are left out.
   */
  readonly headers?: HeaderOptions;
  /** Makes the requests. Default: `node:http(s)` on Node, `fetch` elsewhere. */
  readonly transport?: Transport;
}

/** For one call; each wins over the client's own. */
export interface RequestOptions {
  /** For this request. */
  readonly baseUrl?: string;
  /** For this request. */
  readonly apiKey?: string;
  /** For this request: sent as `Tenant-ID`. */
  readonly tenantId?: string;
  /**
   * They replace the client's own, the key among them; an `apiKey`, `tenantId` or `idempotencyKey`
   * of the call wins. Null ones are left out. The original's `additional_headers`.
   */
  readonly headers?: HeaderOptions;
  /** The original's `additional_query_parameters`. */
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  /** Members added to the body; the call's own win. The original's `additional_body_parameters`. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Of one attempt. Default: that of the client. */
  readonly timeoutMs?: number;
  /** Attempts after the first one. Default: those of the client. */
  readonly maxRetries?: number;
  /** Ends the call; it rejects with `TrophyApiError`. */
  readonly signal?: AbortSignal;
}

export interface TrophyMetricEvent extends WithRequestOptions<RequestOptions> {
  /** The metric's key. */
  readonly key: string;
  /** Created or updated before the event is applied. */
  readonly user: TrophyUser;
  /** Added to the user's total; may be negative or have decimals. */
  readonly value: number;
  /**
   * Events of equal user, metric and key act once. Default: a new one per call, so that attempts
   * act once.
   */
  readonly idempotencyKey?: string;
  /** Keys must be declared at Trophy. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/**
 * **Errors**: each call rejects with `TrophyApiError` or one of its kinds (`UnauthorizedError`,
 * `UnprocessableEntityError`, `TrophyApiTimeoutError`, …).
 */
export interface TrophyClient extends Api<RequestOptions> {
  /** Changes of a user's metrics. */
  readonly metrics: {
    /**
     * Reports a change of a metric and gives back the user's new state. Do not send two of one user
     * and metric at the same time: the vendor does not support it.
     */
    event(event: TrophyMetricEvent): Promise<EventResponse>;
  };
}

type Resolved = Required<Omit<TrophyClientOptions, "transport" | "tenantId" | "environment">> &
  Pick<TrophyClientOptions, "transport" | "tenantId" | "environment">;

const HOUR_MS = 3_600_000;
const OBJECT: OptionSpec = "object";
/** Of the client and of each call. */
const COMMON = {
  tenantId: "string",
  timeoutMs: { min: 1, max: HOUR_MS },
  maxRetries: { min: 0, max: 100 },
  headers: OBJECT,
} as const satisfies Readonly<Record<string, OptionSpec>>;
const SPECS: Readonly<Record<keyof TrophyClientOptions, OptionSpec>> = {
  ...COMMON,
  baseUrl: "string",
  apiKey: "required",
  environment: OBJECT,
  transport: "function",
};
const SPECS_OF_CALL: Readonly<Record<keyof RequestOptions, OptionSpec>> = {
  ...COMMON,
  baseUrl: "url",
  apiKey: "string",
  query: OBJECT,
  body: OBJECT,
  signal: OBJECT,
};
const DEFAULTS: Partial<Resolved> = { timeoutMs: 60_000, maxRetries: 2, headers: {} };
const IDEMPOTENCY_KEY = "idempotency-key";
/** Protocol section 7: 1 s doubling, a tenth more or less at random, 60 s at most. */
const BACKOFF_BASE_MS = 1_000;
const BACKOFF_SPREAD = 0.1;

interface Call {
  readonly method: HttpRequest["method"];
  /** Filled in. */
  readonly path: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: Readonly<Record<string, unknown>> | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether a second request could act twice when the first was not answered. */
  readonly actsOnce: boolean;
}

export function createTrophyClientOn(host: VendorHost, given: TrophyClientOptions): TrophyClient {
  const options = resolveClient(given);
  const makeId = createUuidV7(host.runtime.clock, host.runtime.random);
  const send = <T>(call: Call, requestOptions: RequestOptions = {}): Promise<T> =>
    request<T>(host, options, call, requestOptions, makeId());
  const groups = Object.entries(ENDPOINTS).map(([name, group]) => [
    name,
    Object.fromEntries(
      Object.entries(group as Readonly<Record<string, Endpoint>>).map(([method, endpoint]) => [
        method,
        async ({ requestOptions, ...input }: WithRequestOptions<RequestOptions> = {}) =>
          send(callOf(endpoint, input), requestOptions),
      ]),
    ),
  ]);
  return {
    ...(Object.fromEntries(groups) as Api<RequestOptions>),
    metrics: {
      async event({ key, user, value, attributes, idempotencyKey, requestOptions }) {
        const { path, method } = callOf(EVENT, { key });
        const ownKey = keyOf(idempotencyKey ?? lower(requestOptions?.headers)[IDEMPOTENCY_KEY] ?? makeId());
        const call: Call = {
          method,
          path,
          query: {},
          body: { user, value, attributes },
          headers: { [IDEMPOTENCY_KEY]: ownKey },
          actsOnce: true,
        };
        const answer = await send<EventResponse>(call, requestOptions);
        if (typeof answer?.eventId !== "string" || typeof answer.total !== "number")
          throw new TrophyParseError("The answer is not an EventResponse; the event was counted", { body: answer });
        return answer;
      },
    },
  };
}

function resolveClient(given: TrophyClientOptions): Resolved {
  const refuse = (fault: string): never => {
    throw new WaybillError("WAYBILL_OPTIONS", `TrophyClient: ${fault}`);
  };
  const options = resolveOptions<Resolved>("TrophyClient", given, SPECS, DEFAULTS);
  checkKeys("TrophyClient", options);
  const { environment = TrophyApiEnvironment.Production } = options;
  const baseUrl = given.baseUrl ?? environment.api;
  if (!(URL.canParse(baseUrl) && /^https?:/.test(baseUrl))) refuse(`"${String(baseUrl)}" is not an http or https URL`);
  return { ...options, baseUrl };
}

function checkKeys(owner: string, { apiKey, tenantId }: Pick<RequestOptions, "apiKey" | "tenantId">): void {
  checkKey(owner, "apiKey", apiKey);
  checkKey(owner, "tenantId", tenantId);
}

/** An empty one would be sent, and be the same for all events. */
function keyOf(idempotencyKey: string): string {
  const specs = { idempotencyKey: "required" } as const;
  asCall(() => {
    resolveOptions<{ idempotencyKey: string }>("metrics.event", { idempotencyKey }, specs, {});
    checkKey("metrics.event", "idempotencyKey", idempotencyKey);
  });
  return idempotencyKey;
}

/** Fills the path from the input; what is left is query or body. */
function callOf({ method, path }: Endpoint, input: Readonly<Record<string, unknown>>): Call {
  const rest = { ...input };
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = rest[name];
    delete rest[name];
    if (typeof value !== "string" || value === "") throw new TrophyApiError(`${method} ${path}: ${name} is required`);
    // They would lead to another endpoint.
    if (value === "." || value === "..")
      throw new TrophyApiError(`${method} ${path}: ${name} "${value}" cannot be part of a path`);
    return asCall(() => encodeURIComponent(value));
  });
  const isGet = method === "GET";
  return {
    method,
    path: filled,
    query: isGet ? rest : {},
    body: isGet ? undefined : rest,
    headers: {},
    // PUT and PATCH are idempotent; a POST without a key may act twice.
    actsOnce: method !== "POST",
  };
}

async function request<T>(
  host: VendorHost,
  options: Resolved,
  call: Call,
  requestOptions: RequestOptions,
  key: string,
): Promise<T> {
  const { signal, ...own } = asCall(() =>
    resolveOptions<RequestOptions>("requestOptions", requestOptions, SPECS_OF_CALL, {}),
  );
  asCall(() => checkKeys("requestOptions", own));
  const httpRequest = asCall(() => requestOf(options, call, own));
  const soon = new AbortController();
  const stop = (): void => soon.abort();
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted === true) stop();
  const protocol: Protocol = {
    limits: { maxEvents: 1, maxBytes: Number.POSITIVE_INFINITY },
    maxEventBytes: Number.POSITIVE_INFINITY,
    request: () => httpRequest,
    classify: (response, _batch, nowMs) => [verdict(response, call, nowMs)],
  };
  const transport = options.transport ?? host.runtime.transport;
  const { timeoutMs = options.timeoutMs, maxRetries = options.maxRetries } = own;
  const deliverer = new Deliverer({
    host,
    protocol,
    timeoutMs,
    maxAttempts: maxRetries + 1,
    backoff: spreadBackoff(BACKOFF_BASE_MS, RETRY_AFTER_MAX_MS, BACKOFF_SPREAD),
    transport: call.actsOnce ? transport : onlyBeforeSending(transport, stop),
  });
  const sending = deliverer.sendOne("", { key, soon: soon.signal, ...(signal === undefined ? {} : { now: signal }) });
  const { outcomes, last } = await held(host.runtime.clock, sending);
  signal?.removeEventListener("abort", stop);
  const response = last?.response;
  if (outcomes[0]?.status === "delivered" && response !== undefined) return parseAnswer<T>(response);
  if (response !== undefined) throw errorOf(response);
  if (signal?.aborted === true) throw new TrophyApiError("The call was aborted");
  const reason = outcomes[0] !== undefined && "reason" in outcomes[0] ? outcomes[0].reason : "no answer";
  throw reason.includes("no answer within") ? new TrophyApiTimeoutError(reason) : new TrophyApiError(reason);
}

function requestOf(options: Resolved, call: Call, own: Omit<RequestOptions, "signal">): HttpRequest {
  const { baseUrl = options.baseUrl, tenantId, apiKey } = own;
  const query = new URLSearchParams(
    Object.entries({ ...call.query, ...own.query })
      .filter(([, value]) => value != null)
      .map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
  const body = call.body === undefined ? [] : [JSON.stringify(compact({ ...own.body, ...compact(call.body) }))];
  return {
    method: call.method,
    url: `${baseUrl.replace(/\/+$/, "")}${call.path}${query === "" ? "" : `?${query}`}`,
    headers: {
      ...lower(options.headers),
      "x-api-key": options.apiKey,
      "user-agent": `waybill-trophy/${VERSION}`,
      ...(call.body === undefined ? {} : { "content-type": "application/json" }),
      ...(options.tenantId === undefined ? {} : { "tenant-id": options.tenantId }),
      ...lower(own.headers),
      ...(tenantId === undefined ? {} : { "tenant-id": tenantId }),
      ...(apiKey === undefined ? {} : { "x-api-key": apiKey }),
      ...call.headers,
    },
    body,
  };
}

function lower(headers: HeaderOptions = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (value == null ? [] : [[name.toLowerCase(), value]])),
  ) as Record<string, string>;
}

/** What a call is made of may be wrong in many ways; each is the call's error. */
function asCall<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new TrophyApiError(`The call cannot be sent: ${messageOf(error)}`);
  }
}

/**
 * Section 7: 408, 429, 5xx, the network. What may have acted already goes again only after 429
 * and 503.
 */
function verdict(response: HttpResponse, call: Call, nowMs: number): ReturnType<typeof outcomesOf>[number] {
  const { status } = response;
  if (status >= 200 && status < 300) return { status: "delivered" };
  const again = call.actsOnce ? status === 408 || status === 429 || status >= 500 : status === 429 || status === 503;
  const reason = String(status);
  if (!again) return { status: "rejected", reason };
  const waitMs = retryAfterMs(response, nowMs);
  return { status: "retryable", reason, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) };
}

/** Ends the attempts when one broke after it was sent: only what never left may go again. */
function onlyBeforeSending(transport: Transport, stop: () => void): Transport {
  return async (httpRequest, signal) => {
    try {
      return await transport(httpRequest, signal);
    } catch (error) {
      if (!(error instanceof WaybillError && (error.reason === "refused" || error.reason === "dns"))) stop();
      throw error;
    }
  };
}

function parseAnswer<T>({ status, body, headers }: HttpResponse): T {
  try {
    return JSON.parse(body) as T;
  } catch {
    throw new TrophyParseError(`The answer (${status}) is not JSON`, { statusCode: status, body, headers });
  }
}

function errorOf({ status, body, headers }: HttpResponse): TrophyApiError {
  let parsed: unknown = body;
  try {
    parsed = JSON.parse(body);
  } catch {
    // Kept as text.
  }
  const detail = typeof parsed === "object" && parsed !== null && "error" in parsed ? String(parsed.error) : body;
  const Kind = ERROR_OF_STATUS[status] ?? TrophyApiError;
  return new Kind(detail === "" ? `Status ${status}` : `Status ${status}: ${detail}`, {
    statusCode: status,
    body: parsed,
    headers,
  });
}
