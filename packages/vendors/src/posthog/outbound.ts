/** PostHog's capture API, as its published Node SDK (5.70) speaks it: a batch of captured events under one project key. Read November 2026. */
import {
  type Batch,
  DELIVERED,
  type HttpResponse,
  outcomesOf,
  type Protocol,
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
} from "../canonical/mapping.ts";
import { stableUuid } from "../canonical/stable-uuid.ts";
import { withoutTrailingSlashes } from "../values.ts";

/** One event as PostHog has it on the wire. */
export interface PosthogEvent {
  readonly event: string;
  readonly distinct_id: string;
  readonly properties?: Properties | undefined;
  readonly timestamp?: string | undefined;
  /** By which repeats are recognised. */
  readonly uuid?: string | undefined;
}

export interface PosthogSettings {
  /** Default `https://us.i.posthog.com`. */
  readonly url?: string | undefined;
  /** `phc_…`. */
  readonly apiKey: string;
  readonly version: string;
}

const DEFAULT_URL = "https://us.i.posthog.com";
/** The service takes 20 MB; smaller requests are cheaper to repeat. */
const LIMITS = { maxEvents: 1_000, maxBytes: 1024 * 1024 };

/** PostHog as a destination: `POST /batch/`. */
export function posthogProtocol({ url = DEFAULT_URL, apiKey, version }: PosthogSettings): Protocol {
  const endpoint = `${withoutTrailingSlashes(url)}/batch/`;
  const headers = { "content-type": "application/json", "user-agent": `waybill/${version}` };
  const start = `{"api_key":${JSON.stringify(apiKey)},"batch":[`;
  return {
    limits: LIMITS,
    maxEventBytes: LIMITS.maxBytes,
    request: ({ body }) => ({ method: "POST", url: endpoint, headers, body: [start, ...body, "]}"] }),
    classify,
  };
}

function classify(response: HttpResponse, batch: Batch, nowMs: number): Verdict {
  return isSuccess(response) ? outcomesOf(batch.count, DELIVERED) : classifyRefusal(response, batch, nowMs);
}

/**
 * | canonical | PostHog |
 * |---|---|
 * | track | an event; `distinct_id` from `userId` or `anonymousId` |
 * | page, screen | `$pageview`, `$screen` |
 * | identify | `$identify`, the traits as `$set`, `anonymousId` as `$anon_distinct_id` |
 * | group | `$groupidentify` of the type `company` |
 * | alias | `$create_alias` |
 */
export function posthogFromCanonical(events?: EventMap<PosthogEvent>, read?: ReadCanonical): Translate {
  return createTranslate<PosthogEvent>(
    {
      vendor: "PostHog",
      events,
      say: {
        track: (event, name) => said(event, name, event.properties),
        page: (event) => said(event, "$pageview", compact({ ...event.properties, name: event.name })),
        screen: (event) => said(event, "$screen", compact({ ...event.properties, $screen_name: event.name })),
        identify: (event) =>
          said(event, "$identify", compact({ $set: event.traits, $anon_distinct_id: event.anonymousId })),
        group: (event) =>
          said(event, "$groupidentify", {
            $group_type: "company",
            $group_key: event.groupId,
            $group_set: event.traits,
          }),
        alias: (event) => said(event, "$create_alias", { alias: event.previousId, distinct_id: event.userId }),
      },
      write: (event, { messageId, timestamp }) => ({
        text: JSON.stringify(compact({ ...event, timestamp, uuid: stableUuid(messageId) })),
        metadata: "posthog",
      }),
    },
    read,
  );
}

function said(
  { userId, anonymousId }: CanonicalEvent,
  event: string,
  properties: Properties,
): PosthogEvent | undefined {
  const who = userId ?? anonymousId;
  return who === undefined || event === "" ? undefined : { event, distinct_id: who, properties };
}
