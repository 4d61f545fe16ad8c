import {
  type Batch,
  type Chunk,
  DELIVERED,
  type HttpResponse,
  headerFromEvent,
  outcomesOf,
  own,
  type Protocol,
  pathSegmentFromEvent,
  singly,
  type Translate,
  type Verdict,
} from "@waybill/core";
import { isRetryable, isSuccess, later, reasonOf } from "../answers.ts";
import {
  type CanonicalEvent,
  compact,
  createTranslate,
  type EventMap,
  type ReadCanonical,
  slug,
  textAt,
} from "../canonical/mapping.ts";
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
/** Leased at once; each event has a request of its own. */
const LEASE = { maxEvents: 64, maxBytes: 1024 * 1024 };
/** Requests in flight at once. Events of one user keep their order: the vendor does not take two in parallel (section 3). */
const CONCURRENCY = 8;
const BODY_MARK = ',"body":';

/** Trophy as a destination: `POST /metrics/{key}/event`, and `PUT /users/{id}` for a user. Events are texts of {@link writeTrophy}. */
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

function classifyTrophy(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  const { status } = response;
  // Section 3: 201 for the first time, 202 for a repeat.
  if (isSuccess(response)) return outcomesOf(batch.count, DELIVERED);
  // Section 7, proposed: 408, 429, 5xx.
  if (isRetryable(response)) return outcomesOf(batch.count, later(response, nowMs));
  const reason = reasonOf(response);
  // Section 5: 401; 403 for an application key and another user: a key of the wrong kind. A redirect: the URL is wrong.
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

/** An event with what its request says beside the body, in one text: `{"metric":…,"key":…,"body":…}`. The body keeps its bytes. */
export function writeTrophy(head: Omit<Envelope, "body">, body: string): string {
  return `${JSON.stringify(head).slice(0, -1)}${BODY_MARK}${body}}`;
}

/** Quotes within strings are escaped, so the mark cannot stand in one. */
function readTrophy(event: Chunk): Envelope {
  return readTrophyText(typeof event === "string" ? event : new TextDecoder().decode(event));
}

/** **Errors**: throws when it is no such text. */
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

/** How a track event becomes a change of a metric. */
export interface TrophyMetric {
  /** The metric's key. */
  readonly metric: string;
  /** The property that is added, or a number. Default 1. */
  readonly value?: string | number;
  /** Properties sent as attributes. Default none: keys that are not declared at Trophy are refused. */
  readonly attributes?: readonly string[];
}

/**
 * | canonical | Trophy |
 * |---|---|
 * | track | a metric event. The metric is that of `metrics`, or without `metrics` the name in kebab case; `value` from `properties.value` when it is a number, else 1; idempotency key: the `messageId` |
 * | identify | the user: `email`, `name` from the traits, `tz` from `context.timezone` |
 * | page, screen, group, alias; an event without a `userId`; a track event that is not in `metrics` | none |
 */
export function trophyFromCanonical(
  metrics?: Readonly<Record<string, string | TrophyMetric>>,
  events?: EventMap<TrophyEvent | TrophyIdentify>,
  read?: ReadCanonical,
): Translate {
  return createTranslate<TrophyEvent | TrophyIdentify>(
    {
      vendor: "Trophy",
      events,
      say: {
        track: (event, name) => metricEvent(event, name, metrics),
        identify: ({ userId, traits, context }) =>
          userId === undefined
            ? undefined
            : {
                user: {
                  id: userId,
                  email: textAt(traits, "email"),
                  name: textAt(traits, "name"),
                  tz: textAt(context, "timezone"),
                },
              },
      },
      write: (said, { messageId }) => {
        if (!("metric" in said)) {
          const { id, ...fields } = said.user;
          return { text: writeTrophy({ user: id }, JSON.stringify(fields)), metadata: "trophy" };
        }
        const { metric, ...body } = said;
        return { text: writeTrophy({ metric, key: messageId }, JSON.stringify(compact(body))), metadata: "trophy" };
      },
    },
    read,
  );
}

function metricEvent(
  { userId, event = "", properties }: CanonicalEvent,
  name: string,
  metrics: Readonly<Record<string, string | TrophyMetric>> | undefined,
): TrophyEvent | undefined {
  const listed = metrics !== undefined && Object.hasOwn(metrics, event) ? metrics[event] : undefined;
  if (userId === undefined || (metrics !== undefined && listed === undefined)) return undefined;
  const {
    metric,
    value = "value",
    attributes,
  }: TrophyMetric = typeof listed === "object" ? listed : { metric: listed ?? slug(name, "-") };
  if (metric === "") return undefined;
  const amount = typeof value === "number" ? value : own(properties, value);
  return {
    metric,
    user: { id: userId },
    value: typeof amount === "number" ? amount : 1,
    attributes: attributes === undefined ? undefined : textsOf(properties, attributes),
  };
}

function textsOf(properties: CanonicalEvent["properties"], names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const text = textOf(own(properties, name));
      return text === undefined ? [] : [[name, text]];
    }),
  );
}
