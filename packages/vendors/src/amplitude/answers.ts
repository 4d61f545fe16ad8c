/** What an answer of Amplitude's means for each event. Section 8 of the protocol. */
import {
  type Batch,
  DELIVERED,
  type HttpResponse,
  type Outcome,
  outcomesOf,
  retryAfterMs,
  type Verdict,
} from "@waybill/core";
import { isSuccess, later, objectIn, reasonOf } from "../answers.ts";
import { type Json, objectOf, parsedObject } from "../canonical/canonical.ts";

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
/** Section 5, http-v2.md: pause sending for a throttled user or device for 30 seconds. */
const THROTTLED_MS = 30 * SECOND_MS;
/** Section 8, for a 429 that names nobody: half of it. */
const LIMITED_MS = 15 * SECOND_MS;
/** Section 4: the daily quota rolls in steps of an hour. */
const QUOTA_MS = HOUR_MS;
/** Maps from a field to the places of events in the request. */
const MAPS = ["events_with_invalid_fields", "events_with_missing_fields", "events_with_invalid_id_lengths"] as const;

/**
 * The firewall in front refused the request for something in it, or for where it came from:
 * `remainder.ts` finds out.
 */
export const FORBIDDEN: Outcome = Object.freeze({ status: "retryable", reason: "403 Forbidden" });

export function classifyAmplitude(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  const parsed = objectIn(response);
  const code = codeOf(response, parsed);
  const all = (outcome: Outcome): Verdict => outcomesOf(batch.count, outcome);
  if (code >= 200 && code < 300) return all(DELIVERED);
  const reason = safeReason(response, code, parsed);
  if (code === 429) return throttled(response, parsed ?? {}, batch, nowMs);
  if (code === 400) return invalid(response, parsed ?? {}, batch, reason);
  if (code === 403) return all(FORBIDDEN);
  // Section 5: 500, 502 and 504 may have been stored; the same insert_id makes sending again
  // harmless.
  if (code === 408 || code >= 500 || code < 200) return all(later(response, nowMs, reason));
  // A redirect is not followed; 401, 404 and 405: no event can be blamed for a wrong URL or key.
  if (code < 400 || code === 401 || code === 404 || code === 405) return all({ status: "halted", reason });
  // 413, and what is not documented: halves find the event at fault.
  return { split: true, reason };
}

/**
 * Section 7: of a success the code in the body counts; an HTTP error is one whatever its body has.
 */
function codeOf(response: HttpResponse, parsed: Json | undefined): number {
  const code = parsed?.["code"];
  return isSuccess(response) && typeof code === "number" ? code : response.status;
}

/** The vendor's answer has the wrong key in it, which must not become part of a reason. */
function safeReason(response: HttpResponse, code: number, parsed: Json | undefined): string {
  const error = parsed?.["error"];
  if (typeof error === "string" && error.startsWith("Invalid API key")) return `${code} Invalid API key`;
  const field = parsed?.["missing_field"];
  return typeof field === "string" ? `${reasonOf(response)} ${field}` : reasonOf(response);
}

/**
 * A 400 that lists events stored none of them: the listed ones are rejected, the others may go
 * again at once.
 */
function invalid(response: HttpResponse, parsed: Json, batch: Batch, reason: string): Verdict {
  const { error, missing_field: missingField } = parsed;
  const isForAll = typeof error === "string" && /^Invalid (API key|request path)/.test(error);
  if (isForAll || missingField === "api_key") return outcomesOf(batch.count, { status: "halted", reason });
  // Of a list that was cut halves have shorter ones.
  if (response.cut === true) return { split: true, reason };
  const outcomes = [...outcomesOf(batch.count, atOnce("400: other events of the request were refused"))];
  let listed = 0;
  const mark = (places: unknown, outcome: Outcome): void => {
    if (!Array.isArray(places)) return;
    for (const place of places) {
      if (!Number.isInteger(place) || outcomes[place as number] === undefined) continue;
      outcomes[place as number] = outcome;
      listed += 1;
    }
  };
  mark(parsed["throttled_events"], throttledOutcome("400"));
  mark(parsed["silenced_events"], { status: "rejected", reason: "400 silenced device" });
  for (const map of MAPS)
    for (const [field, places] of Object.entries(objectOf(parsed[map])))
      mark(places, { status: "rejected", reason: `400 ${FAULTS[map]}: ${field}` });
  return listed === 0 ? { split: true, reason } : outcomes;
}

const FAULTS = {
  events_with_invalid_fields: "invalid field",
  events_with_missing_fields: "missing field",
  events_with_invalid_id_lengths: "id too short",
} as const;

/**
 * Nothing of a 429 was stored. Users and devices that are named wait; the events of others may go
 * again at once.
 */
function throttled(response: HttpResponse, parsed: Json, batch: Batch, nowMs: number): Verdict {
  const waitMs = retryAfterMs(response, nowMs);
  const users = objectOf(parsed["exceeded_daily_quota_users"]);
  const devices = objectOf(parsed["exceeded_daily_quota_devices"]);
  const hasQuota = Object.keys(users).length > 0 || Object.keys(devices).length > 0;
  const places = new Set(Array.isArray(parsed["throttled_events"]) ? parsed["throttled_events"] : []);
  if (!hasQuota && places.size === 0)
    return outcomesOf(batch.count, {
      status: "retryable",
      reason: reasonOf(response),
      retryAfterMs: waitMs ?? LIMITED_MS,
    });
  const overQuota: Outcome = { status: "retryable", reason: "429 daily quota exceeded", retryAfterMs: QUOTA_MS };
  const limited = throttledOutcome("429", waitMs);
  const other = atOnce("429: other events of the request were throttled", waitMs);
  return Array.from({ length: batch.count }, (_, index): Outcome => {
    if (hasQuota) {
      const { user, device } = idsOf(batch, index);
      if (
        (user !== undefined && Object.hasOwn(users, user)) ||
        (device !== undefined && Object.hasOwn(devices, device))
      )
        return overQuota;
    }
    return places.has(index) ? limited : other;
  });
}

function throttledOutcome(code: string, waitMs = 0): Outcome {
  return { status: "retryable", reason: `${code} throttled`, retryAfterMs: Math.max(THROTTLED_MS, waitMs) };
}

/** May go again at once: {@link isAtOnce}. */
function atOnce(reason: string, waitMs = 0): Outcome {
  return { status: "retryable", reason, retryAfterMs: waitMs };
}

export function isAtOnce(outcome: Outcome | undefined): boolean {
  return outcome?.status === "retryable" && outcome.retryAfterMs === 0;
}

/** The ids of an event of a batch, as far as they are texts. */
export function idsOf(batch: Batch, index: number): { readonly user?: string; readonly device?: string } {
  const event = batch.event(index);
  const { user_id: user, device_id: device } = parsedObject(typeof event === "string" ? event : decoder.decode(event));
  return {
    ...(typeof user === "string" ? { user } : {}),
    ...(typeof device === "string" ? { device } : {}),
  };
}

const decoder = new TextDecoder();
