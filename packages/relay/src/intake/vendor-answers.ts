/**
 * Callers that are answered with the vendor's own answer: of exchanges, whose event is stored and
 * sent at once, and of requests that are not events.
 */
import type { HttpRequest, HttpResponse } from "@waybill/core";
import type { InboundAnswer, InboundRefusal as Refusal } from "@waybill/vendors";
import type { Vendor } from "@waybill/vendors/registry";
import type { Answer } from "./answers.ts";
import { answerOf, RETRY_AFTER_S, type Refused } from "./refusals.ts";
import type { Stored } from "./source-environment.ts";
import type { Source } from "./sources.ts";
import type { IntakeOptions } from "./types.ts";

type OfSource = Pick<Refused, "adapter" | "request"> & {
  readonly source: Source;
  readonly headers: Readonly<Record<string, string>>;
};
type Timing = Pick<IntakeOptions, "exchangeDeadlineMs" | "clock">;

/** Statuses that an answer may have; a vendor's own may be anything. */
const STATUS_MIN = 200;
const STATUS_MAX = 599;

export const NO_ANSWER: Refusal = {
  kind: "unavailable",
  message: "The vendor does not answer.",
  retryAfterS: RETRY_AFTER_S,
};

/**
 * Waits for the vendor's own answer to the event that was stored; what is not answered in time is
 * sent all the same. `success`: where there is nobody to answer.
 */
export async function exchanged(
  { source, adapter, request, headers }: OfSource,
  stored: Stored,
  success: InboundAnswer,
  { exchangeDeadlineMs, clock }: Timing,
): Promise<Answer> {
  const { exchanges } = source.environment;
  const answered = await exchanges.answerTo(
    { source: source.config.name, vendor: adapter.name as Vendor, stored },
    exchangeDeadlineMs,
    clock,
  );
  if (answered === "nobody") return answerOf(success, headers);
  if (answered !== undefined) return passedOn(answered, headers);
  const message = "The event is stored and will be sent; the vendor has not answered yet.";
  const refusal: Refusal = { kind: "unavailable", message, retryAfterS: RETRY_AFTER_S };
  const { body, ...refused } = adapter.inbound.refuse(refusal, request);
  const withStored = JSON.stringify({ ...(JSON.parse(body) as object), stored: true });
  return answerOf({ ...refused, body: withStored }, { ...headers, "retry-after": String(RETRY_AFTER_S) });
}

/** Not stored: the caller needs the answer now, or to know that there is none (`undefined`). */
export async function passedThrough(
  { source, adapter, request, headers }: OfSource,
  path: string,
  body: Buffer,
  { exchangeDeadlineMs }: Timing,
): Promise<Answer | undefined> {
  const { method, query, headers: sent } = request;
  const asked = {
    method: method as HttpRequest["method"],
    path: `${path}${query === "" ? "" : `?${query}`}`,
    body,
    type: sent["content-type"],
  };
  const answered = await source.environment.passThrough(
    { source: source.config.name, vendor: adapter.name as Vendor },
    asked,
    exchangeDeadlineMs,
  );
  return answered === undefined ? undefined : passedOn(answered, headers);
}

/**
 * What a vendor answered, as far as it can be passed on: its statuses and headers may be anything.
 */
function passedOn({ status, headers: sent, body }: HttpResponse, headers: Readonly<Record<string, string>>): Answer {
  const { "content-type": type = "application/json" } = sent;
  const isStatus = Number.isInteger(status) && status >= STATUS_MIN && status <= STATUS_MAX;
  const isType = /^[\x20-\x7e]{1,200}$/.test(type);
  return {
    status: isStatus ? status : 502,
    headers: { ...headers, "content-type": isType ? type : "application/json" },
    body,
  };
}
