import {
  type Batch,
  DELIVERED,
  type HttpResponse,
  outcomesOf,
  type Protocol,
  singly,
  type Translate,
  type Verdict,
} from "@waybill/core";
import { classifyRefusal, isSuccess } from "../answers.ts";
import type { Properties } from "../canonical/events.ts";
import {
  type CanonicalEvent,
  compact,
  createTranslate,
  type EventMap,
  type ReadCanonical,
  textAt,
} from "../canonical/mapping.ts";

/** One event as Valued has it on the wire. */
export interface ValuedEvent {
  readonly category: string;
  /** Of an action. */
  readonly key?: string | undefined;
  readonly user?: Properties | undefined;
  readonly customer?: Properties | undefined;
  readonly attributes?: Properties | undefined;
  /** ISO 8601 with seconds and offset; the vendor's spelling. */
  readonly occured_at?: string | undefined;
  readonly [field: string]: unknown;
}

export interface ValuedSettings {
  /** Used exactly as it is. Default `https://ingest.valued.app/events`. */
  readonly endpoint?: string | undefined;
  readonly token: string;
  /** `Node/20.20.2`. */
  readonly platform: string;
  readonly version: string;
}

export const VALUED_ENDPOINT = "https://ingest.valued.app/events";
/** Leased at once; each event has a request of its own. */
const LEASE = { maxEvents: 64, maxBytes: 1024 * 1024 };
/** Section 1, proposed. */
const EVENT_MAX_BYTES = 256 * 1024;
/** Section 6: a pool of ten; no order is promised. */
const CONCURRENCY = 10;

/** Valued as a destination: one event per request. There is no id on the wire, so an event whose answer was lost may be counted twice. */
export function valuedProtocol({ endpoint = VALUED_ENDPOINT, token, platform, version }: ValuedSettings): Protocol {
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    "user-agent": `valued-client/${version} (${platform})`,
  };
  return {
    limits: LEASE,
    maxEventBytes: EVENT_MAX_BYTES,
    singly: singly({ concurrency: CONCURRENCY }),
    request: ({ body }) => ({ method: "POST", url: endpoint, headers, body }),
    classify: classifyValued,
  };
}

function classifyValued(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  if (isSuccess(response)) return outcomesOf(batch.count, DELIVERED);
  // Section 7, proposed: what comes again; redirects are not followed. Section 1, proposed: 401.
  return classifyRefusal(response, batch, nowMs, "rejected");
}

/**
 * | canonical | Valued |
 * |---|---|
 * | track | action: `key` is the name, `attributes` the properties; `user.id` from `userId`, `customer.id` from `context.groupId` |
 * | page | pageview: `attributes.source` with `url`, `referrer`, `page_title` from the properties or `context.page`; one without a URL has none |
 * | identify | sync of the user with its traits |
 * | group | sync of the customer with its traits; the user in `memberships` |
 * | screen, alias, and any event without a `userId` | none |
 */
export function valuedFromCanonical(events?: EventMap<ValuedEvent>, read?: ReadCanonical): Translate {
  return createTranslate<ValuedEvent>(
    {
      vendor: "Valued",
      events,
      say: {
        track: ({ userId, context, properties }, key) =>
          userId === undefined
            ? undefined
            : { category: "action", key, user: { id: userId }, customer: customerOf(context), attributes: properties },
        page: pageview,
        identify: ({ userId, traits }) =>
          userId === undefined ? undefined : { category: "sync", user: { ...traits, id: userId } },
        group: ({ userId, groupId, traits }) => ({
          category: "sync",
          customer: {
            ...traits,
            id: groupId,
            ...(userId === undefined ? {} : { memberships: [{ user_id: userId }] }),
          },
        }),
      },
      write: (said, { timestamp }) => ({
        text: JSON.stringify(compact({ ...said, occured_at: said.occured_at ?? wholeSeconds(timestamp) })),
        metadata: "valued",
      }),
    },
    read,
  );
}

function customerOf(context: Properties): Properties | undefined {
  const id = textAt(context, "groupId");
  return id === undefined ? undefined : { id };
}

function pageview({ userId, properties, context }: CanonicalEvent): ValuedEvent | undefined {
  const find = (name: string): string | undefined => textAt(properties, name) ?? textAt(context, "page", name);
  const url = find("url");
  if (userId === undefined || url === undefined) return undefined;
  const source = compact({ url, referrer: find("referrer"), page_title: find("title") });
  return { category: "pageview", user: { id: userId }, attributes: { ...properties, source } };
}

/** `2026-03-01T10:00:00.123Z` is `2026-03-01T10:00:00Z`. */
export function wholeSeconds(timestamp: string | undefined): string | undefined {
  return timestamp?.replace(/(T\d{2}:\d{2}:\d{2})\.\d+/, "$1");
}
