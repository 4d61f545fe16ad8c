/** GetFluxly's events from and to canonical ones. */
import type { Translate } from "@waybill/core";
import { type Canonical, objectOf, present } from "../canonical/canonical.ts";
import type { Properties } from "../canonical/events.ts";
import {
  type CanonicalEvent,
  compact,
  createTranslate,
  type EventMap,
  type ReadCanonical,
  slug,
} from "../canonical/mapping.ts";
import { stableUuid } from "../canonical/stable-uuid.ts";
import { aliasMetadata, type GetFluxlyAlias, type GetFluxlyEvent, isAlias } from "./outbound.ts";

/** Section 2: names have at most 64 characters. */
const EVENT_NAME_MAX_CHARACTERS = 64;
const SNAKE_CASE: RegExp = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;

/**
 * | canonical | GetFluxly |
 * |---|---|
 * | track | an event; its name in snake case ("Order Completed" is `order_completed`), of at most 64 characters |
 * | page, screen | `page_viewed`, `screen_viewed` with `name` and `category` among the properties |
 * | identify | `$identify` with `traits` |
 * | group | none |
 * | alias | the alias endpoint: `previous_id` from `previousId` (needs a server key) |
 *
 * `user_id` from `userId`, `anonymous_id` from `anonymousId`, `occurred_at` from `timestamp`;
 * `message_id` is the `messageId` in the form of a UUID of version 4.
 */
export function getfluxlyFromCanonical(
  events?: EventMap<GetFluxlyEvent | GetFluxlyAlias>,
  read?: ReadCanonical,
): Translate {
  return createTranslate<GetFluxlyEvent | GetFluxlyAlias>(
    {
      vendor: "GetFluxly",
      events,
      encode: {
        track: (event, name) => named(event, slug(name, "_"), event.properties),
        page: (event) => viewed(event, "page_viewed"),
        screen: (event) => viewed(event, "screen_viewed"),
        identify: (event) => ({ event: "$identify", ...ids(event), traits: event.traits }),
        alias: ({ userId, previousId }) =>
          userId === undefined || previousId === undefined ? undefined : { user_id: userId, previous_id: previousId },
      },
      write: (encoded, { messageId, timestamp }) =>
        "event" in encoded
          ? {
              text: JSON.stringify(compact({ ...encoded, occurred_at: timestamp, message_id: stableUuid(messageId) })),
              metadata: "getfluxly",
            }
          : { text: JSON.stringify(encoded), metadata: aliasMetadata(messageId) },
    },
    read,
  );
}

function named(event: CanonicalEvent, name: string, properties: Properties): GetFluxlyEvent | undefined {
  if (!SNAKE_CASE.test(name) || name.length > EVENT_NAME_MAX_CHARACTERS) return undefined;
  return { event: name, ...ids(event), properties, context: event.context };
}

function viewed(event: CanonicalEvent, name: string): GetFluxlyEvent | undefined {
  const { category, properties } = event;
  return named(event, name, compact({ name: event.name, category, ...properties }));
}

function ids({ userId, anonymousId }: CanonicalEvent): Pick<GetFluxlyEvent, "user_id" | "anonymous_id"> {
  return { anonymous_id: anonymousId, user_id: userId };
}

/**
 * An event becomes a track, `$identify` an identify, an alias an alias; `external_id` is in for
 * a missing `user_id`.
 */
export function getfluxlyToCanonical(text: string, metadata: string): Canonical {
  const event = objectOf(JSON.parse(text));
  const {
    event: name,
    user_id: userId,
    external_id: externalId,
    anonymous_id: anonymousId,
    previous_id: previousId,
  } = event;
  const common = {
    userId: userId ?? externalId,
    anonymousId,
    timestamp: event["occurred_at"] ?? event["timestamp"],
    messageId: event["message_id"],
    context: event["context"],
  };
  if (isAlias(metadata)) return present({ type: "alias", userId, previousId: previousId ?? anonymousId });
  if (name === "$identify" || name === "identify")
    return present({ type: "identify", ...common, traits: event["traits"] });
  return present({ type: "track", ...common, event: name, properties: event["properties"] });
}
