import { type Batch, DELIVERED, type HttpResponse, outcomesOf, type Protocol, type Verdict } from "@waybill/core";
import { classifyRefusal, deliveredBut, isSuccess, later, objectIn } from "../answers.ts";
import type { Properties } from "../canonical/events.ts";
import { stableUuid } from "../canonical/stable-uuid.ts";
import { withoutTrailingSlashes } from "../values.ts";

/** One event as GetFluxly has it on the wire; snake case. */
export interface GetFluxlyEvent {
  readonly event: string;
  readonly anonymous_id?: string | undefined;
  readonly external_id?: string | undefined;
  readonly user_id?: string | undefined;
  /** At most 32 keys. */
  readonly properties?: Properties | undefined;
  /** Of `$identify`. */
  readonly traits?: Properties | undefined;
  readonly context?: Properties | undefined;
  /** ISO 8601. */
  readonly occurred_at?: string | undefined;
  /** A UUID of version 4: the event's dedup key. */
  readonly message_id?: string | undefined;
}

/** Joins two ids of one person. */
export interface GetFluxlyAlias {
  readonly user_id: string;
  readonly anonymous_id?: string | undefined;
  readonly previous_id?: string | undefined;
}

export interface GetFluxlySettings {
  /** Default `https://api.getfluxly.com`. */
  readonly url?: string | undefined;
  readonly token: string;
  readonly version: string;
}

const DEFAULT_URL = "https://api.getfluxly.com";
/** Section 3: 100 events, 256 KB; section 2: 32 KB an event. */
const EVENTS_MAX = 100;
const BODY_MAX_BYTES = 262_144;
const EVENT_MAX_BYTES = 32 * 1024;
const ENVELOPE_BYTES = 16;
/** Metadata of an alias, which has a request of its own, under the key that follows. */
export const ALIAS = "getfluxly alias:";

/**
 * GetFluxly as a destination: `POST /v1/events/batch`, and `POST /v1/identify/alias` for an alias.
 */
export function getfluxlyProtocol(settings: GetFluxlySettings): Protocol {
  const origin = withoutTrailingSlashes(settings.url ?? DEFAULT_URL);
  const headers = (key: string): Record<string, string> => ({
    authorization: `Bearer ${settings.token}`,
    "content-type": "application/json",
    "user-agent": `gflux-ts-sdk/${settings.version}`,
    "x-gflux-sdk": `gflux-ts/${settings.version}`,
    "x-idempotency-key": stableUuid(key),
  });
  return {
    limits: { maxEvents: EVENTS_MAX, maxBytes: BODY_MAX_BYTES - ENVELOPE_BYTES },
    maxEventBytes: EVENT_MAX_BYTES,
    request: ({ key, metadata, body }) =>
      metadata.startsWith(ALIAS)
        ? {
            method: "POST",
            url: `${origin}/v1/identify/alias`,
            headers: headers(metadata.slice(ALIAS.length)),
            body,
          }
        : {
            method: "POST",
            url: `${origin}/v1/events/batch`,
            headers: headers(key),
            body: ['{"events":[', ...body, "]}"],
          },
    classify: classifyGetFluxly,
  };
}

export function isAlias(metadata: string): boolean {
  return metadata.startsWith(ALIAS);
}

/** The metadata of an alias with this idempotency key. */
export function aliasMetadata(key: string): string {
  return ALIAS + key;
}

function classifyGetFluxly(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  if (isSuccess(response)) {
    // Section 3: an empty body means that all were taken.
    if (response.body.trim() === "") return outcomesOf(batch.count, DELIVERED);
    // A list of refused events that is too long to read: halves have shorter ones.
    if (response.cut === true) return { split: true, reason: `${response.status} with a cut answer` };
    // Section 3: a 2xx that is not JSON is not the vendor speaking; sent again, the ids of the
    // events catch what was stored.
    if (!isJson(response.body)) return outcomesOf(batch.count, later(response, nowMs, "invalid_response"));
    // Section 5: an alias without its answer did not happen.
    if (batch.metadata.startsWith(ALIAS) && !objectIn(response)?.["alias"])
      return outcomesOf(batch.count, later(response, nowMs, "invalid_response"));
    return deliveredBut(batch, response, "errors", ["error", "detail"]);
  }
  // Section 6, column retry: 425 beside the common ones.
  if (response.status === 425) return outcomesOf(batch.count, later(response, nowMs));
  // Section 6: unauthenticated, forbidden, wrong_key_type. 3xx is not followed (section 1).
  return classifyRefusal(response, batch, nowMs);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
