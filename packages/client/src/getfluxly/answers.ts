/** What GetFluxly's answers mean to its client: results, what was joined, errors. */
import { DELIVERED, type Outcome, outcomesOf, type Protocol, retryAfterMs } from "@waybill/core";
import { type Delivery, failureOf } from "../vendor-kit/deliverer.ts";
import { GetFluxlyError } from "./error.ts";

/** What the server joined: the `alias` of its answer. */
export interface GetFluxlyAliased {
  /** The user's id. */
  readonly user_id?: string;
  /** The anonymous id that is the user's now. */
  readonly anonymous_id?: string;
  /** The id the user had before. */
  readonly previous_id?: string;
  /** ISO 8601. */
  readonly merged_at?: string;
  readonly [field: string]: unknown;
}

export interface FlushResult {
  /** Events that the vendor took. */
  readonly accepted: number;
  /** Events that it refused for good. */
  readonly rejected: number;
  /** Requests that were answered with success. */
  readonly batches: number;
  /** Why events were rejected; `index` is the place in its batch. */
  readonly errors: readonly { readonly index: number; readonly error: string; readonly detail?: string }[];
}

export const EMPTY: FlushResult = Object.freeze({ accepted: 0, rejected: 0, batches: 0, errors: [] });

/** The client does not repeat a request whose answer has no alias: the caller decides. */
export function aliasProtocol(protocol: Protocol, requestId: string | undefined): Protocol {
  return {
    ...protocol,
    request(batch, nowMs) {
      const request = protocol.request(batch, nowMs);
      return isText(requestId) ? { ...request, headers: { ...request.headers, "x-request-id": requestId } } : request;
    },
    classify: (response, batch, nowMs) =>
      response.status >= 200 && response.status < 300
        ? outcomesOf(batch.count, DELIVERED)
        : protocol.classify(response, batch, nowMs),
  };
}

export function aliasOf({ last }: Delivery): GetFluxlyAliased {
  const answer = parse(last?.response?.body ?? "");
  const { alias } = answer;
  if (typeof alias === "object" && alias !== null && Object.keys(alias).length > 0) return alias as GetFluxlyAliased;
  throw new GetFluxlyError("alias response did not include alias data", {
    code: "invalid_response",
    retryable: true,
    status: last?.status,
    details: answer,
  });
}

/** The vendor's answer to a batch that it took. */
export function resultOf({ last, outcomes }: Delivery, events: number): FlushResult {
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

export function add(a: FlushResult, b: FlushResult): FlushResult {
  return {
    accepted: a.accepted + b.accepted,
    rejected: a.rejected + b.rejected,
    batches: a.batches + b.batches,
    errors: [...a.errors, ...b.errors],
  };
}

/**
 * Section 6: codes of the server pass through; no answer is `transport_error`; a 2xx without its
 * JSON is `invalid_response`.
 */
export function errorOf(delivery: Delivery): GetFluxlyError | undefined {
  const failure = failureOf(delivery);
  if (failure === undefined) return undefined;
  const retryable = failure.status === "retryable";
  const response = delivery.last?.response;
  if (response === undefined)
    return new GetFluxlyError(failure.reason, { code: unanswered(failure.status), retryable });
  const { status, body } = response;
  const answer = parse(body);
  const waitMs = retryAfterMs(response, delivery.last?.atMs ?? 0);
  const options = { retryable, status, retryAfterMs: waitMs, details: answer };
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

/** A batch is refused before it is sent for its size, or for what HTTP does not allow. */
function unanswered(status: Outcome["status"]): string {
  if (status === "retryable") return "transport_error";
  return status === "halted" ? "validation_error" : "payload_too_large";
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

export function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
