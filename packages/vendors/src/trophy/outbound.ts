import {
  type Batch,
  type Chunk,
  DELIVERED,
  type HttpRequest,
  type HttpResponse,
  headerFromEvent,
  outcomesOf,
  type Protocol,
  pathSegmentFromEvent,
  singly,
  type Verdict,
} from "@waybill/core";
import { isRetryable, isSuccess, later, reasonOf } from "../answers.ts";
import { textAt } from "../canonical/mapping.ts";
import type { PassthroughRequest } from "../passthrough.ts";
import { textOf, withoutTrailingSlashes } from "../values.ts";

/** A user as sent with each event: created or updated from it. */
export interface TrophyUser {
  readonly id: string;
  readonly email?: string | undefined;
  readonly name?: string | undefined;
  /** An IANA time zone. */
  readonly tz?: string | null | undefined;
  readonly deviceTokens?: readonly string[] | null | undefined;
  /** Default true. */
  readonly subscribeToEmails?: boolean | undefined;
  /** The keys must exist in the dashboard. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** A change of a metric: `value` is added, and may be negative or have decimals. */
export interface TrophyEvent {
  /** The metric's key. */
  readonly metric: string;
  readonly user: TrophyUser;
  readonly value: number;
  /** The keys must exist in the dashboard. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** A user to be created or updated. */
export interface TrophyIdentify {
  readonly user: TrophyUser;
}

export interface TrophySettings {
  /** With its version. Default `https://api.trophy.so/v1`. */
  readonly url?: string | undefined;
  readonly apiKey: string;
  /** For an organisation with several tenants. */
  readonly tenantId?: string | undefined;
  readonly version: string;
}

export const TROPHY_URL = "https://api.trophy.so/v1";
/** Each event has a request of its own; a sender that is given several sends them singly. */
const LEASE = { maxEvents: 1, maxBytes: 1024 * 1024 };
/**
 * Requests in flight at once. Events of one user keep their order: the vendor does not take two in
 * parallel (section 3).
 */
const CONCURRENCY = 8;
const BODY_MARK = ',"body":';

/**
 * Trophy as a destination: `POST /metrics/{key}/event`, and `PUT /users/{id}` for a user. Events
 * are texts of {@link writeTrophy}.
 */
export function trophyProtocol({ url = TROPHY_URL, apiKey, tenantId, version }: TrophySettings): Protocol {
  const origin = withoutTrailingSlashes(url);
  const headers: Record<string, string> = {
    "x-api-key": apiKey,
    "content-type": "application/json",
    "user-agent": `waybill-trophy/${version}`,
    ...(tenantId === undefined ? {} : { "tenant-id": tenantId }),
  };
  return {
    limits: LEASE,
    maxEventBytes: LEASE.maxBytes,
    singly: singly({ concurrency: CONCURRENCY, orderKey: userOf }),
    request: (batch) => {
      const { metric, user, key, tenant, body } = readTrophy(batch.event(0));
      return metric === undefined
        ? {
            method: "PUT",
            url: `${origin}/users/${pathSegmentFromEvent("user id", textOf(user))}`,
            headers,
            body: [body],
          }
        : {
            method: "POST",
            url: `${origin}/metrics/${pathSegmentFromEvent("metric", textOf(metric))}/event`,
            headers: {
              ...headers,
              ...(tenant === undefined ? {} : { "tenant-id": headerFromEvent("tenant-id", tenant) }),
              ...(key === undefined ? {} : { "idempotency-key": headerFromEvent("idempotency-key", textOf(key)) }),
            },
            body: [body],
          };
    },
    classify: classifyTrophy,
  };
}

/** The request that sends on one that is not an event, with the credential of the destination. */
export function trophyPassthrough(
  { method, path, body, type }: PassthroughRequest,
  { url = TROPHY_URL, apiKey, tenantId }: Omit<TrophySettings, "version">,
): HttpRequest {
  return {
    method,
    url: `${withoutTrailingSlashes(url)}${path}`,
    headers: {
      "x-api-key": apiKey,
      ...(tenantId === undefined ? {} : { "tenant-id": tenantId }),
      ...(type === undefined ? {} : { "content-type": type }),
    },
    body: body.length === 0 ? [] : [body],
  };
}

function classifyTrophy(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  const { status } = response;
  // Section 3: 201 for the first time, 202 for a duplicate.
  if (isSuccess(response)) return outcomesOf(batch.count, DELIVERED);
  // Section 7, proposed: 408, 429, 5xx.
  if (isRetryable(response)) return outcomesOf(batch.count, later(response, nowMs));
  const reason = reasonOf(response);
  // Section 5: 401; 403 for an application key and another user: a key of the wrong kind. A
  // redirect: the URL is wrong.
  if (status < 400 || status === 401 || status === 403) return outcomesOf(batch.count, { status: "halted", reason });
  // Section 5: 400, 404, 422 blame the event.
  return outcomesOf(batch.count, { status: "rejected", reason });
}

export interface Envelope {
  readonly metric?: string;
  readonly user?: string;
  /** The idempotency key. */
  readonly key?: string;
  /** Wins over the destination's own. */
  readonly tenant?: string;
  /** The request's body, as it was. */
  readonly body: string;
}

/**
 * An event with what its request says beside the body, in one text:
 * `{"metric":…,"key":…,"body":…}`. The body keeps its bytes.
 */
export function writeTrophy(head: Omit<Envelope, "body">, body: string): string {
  return `${JSON.stringify(head).slice(0, -1)}${BODY_MARK}${body}}`;
}

/** Quotes within strings are escaped, so the mark cannot be in one. */
function readTrophy(event: Chunk): Envelope {
  return readTrophyText(typeof event === "string" ? event : new TextDecoder().decode(event));
}

/** **Errors**: throws when it is another text. */
export function readTrophyText(text: string): Envelope {
  const at = text.indexOf(BODY_MARK);
  if (at === -1) throw new Error("the event has no body");
  return { ...(JSON.parse(`${text.slice(0, at)}}`) as object), body: text.slice(at + BODY_MARK.length, -1) };
}

function userOf(event: Chunk): string {
  try {
    const { user, body } = readTrophy(event);
    return user ?? textAt(JSON.parse(body), "user", "id") ?? "";
  } catch {
    // No user's: it will be refused.
    return "";
  }
}
