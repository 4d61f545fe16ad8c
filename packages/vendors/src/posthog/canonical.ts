/** PostHog's events from and to canonical ones. */
import type { Translate } from "@waybill/core";
import { type Canonical, objectOf, present } from "../canonical/canonical.ts";
import type { Properties } from "../canonical/events.ts";
import {
  type CanonicalEvent,
  compact,
  createTranslate,
  type EventMap,
  type ReadCanonical,
} from "../canonical/mapping.ts";
import { stableUuid } from "../canonical/stable-uuid.ts";
import type { PosthogEvent } from "./outbound.ts";

/**
 * | canonical | PostHog |
 * |---|---|
 * | track | an event; `distinct_id` from `userId` or `anonymousId` |
 * | page, screen | `$pageview`, `$screen` |
 * | identify | `$identify`, the traits as `$set`, `anonymousId` as `$anon_distinct_id` |
 * | group | `$groupidentify` of the type `company` |
 * | alias | `$create_alias` |
 *
 * For PostHog's SDKs: their key is in the body, and with only the host changed it names the source.
 * Pages may send too (CORS), one event or several in an array with `properties.token`. What
 * `posthog-js` packs itself (`compression=gzip-js`) is refused: set `disable_compression: true`.
 */
export function posthogFromCanonical(events?: EventMap<PosthogEvent>, read?: ReadCanonical): Translate {
  return createTranslate<PosthogEvent>(
    {
      vendor: "PostHog",
      events,
      encode: {
        track: (event, name) => captured(event, name, event.properties),
        page: (event) => captured(event, "$pageview", compact({ ...event.properties, name: event.name })),
        screen: (event) => captured(event, "$screen", compact({ ...event.properties, $screen_name: event.name })),
        identify: (event) =>
          captured(event, "$identify", compact({ $set: event.traits, $anon_distinct_id: event.anonymousId })),
        group: (event) =>
          captured(event, "$groupidentify", {
            $group_type: "company",
            $group_key: event.groupId,
            $group_set: event.traits,
          }),
        alias: (event) => captured(event, "$create_alias", { alias: event.previousId, distinct_id: event.userId }),
      },
      write: (event, { messageId, timestamp }) => ({
        text: JSON.stringify(compact({ ...event, timestamp, uuid: stableUuid(messageId) })),
        metadata: "posthog",
      }),
    },
    read,
  );
}

function captured(
  { userId, anonymousId }: CanonicalEvent,
  event: string,
  properties: Properties,
): PosthogEvent | undefined {
  const who = userId ?? anonymousId;
  return who === undefined || event === "" ? undefined : { event, distinct_id: who, properties };
}

/**
 * An event becomes a track; `$identify`, `$pageview`, `$screen`, `$create_alias` and
 * `$groupidentify` events of their own types.
 */
export function posthogToCanonical(text: string): Canonical {
  const { event, distinct_id: id, properties, timestamp, uuid } = objectOf(JSON.parse(text));
  const {
    $set,
    $anon_distinct_id: anonymousId,
    $screen_name: screen,
    alias,
    name,
    distinct_id: _own,
    ...rest
  } = objectOf(properties);
  const common = { messageId: uuid, userId: id ?? objectOf(properties)["distinct_id"], timestamp };
  switch (event) {
    case "$identify":
      return present({ type: "identify", ...common, anonymousId, traits: objectOf($set) });
    case "$pageview":
      return present({ type: "page", ...common, name, properties: rest });
    case "$screen":
      return present({ type: "screen", ...common, name: screen, properties: rest });
    case "$create_alias":
      return present({ type: "alias", ...common, previousId: alias });
    case "$groupidentify":
      return present({ type: "group", ...common, groupId: rest["$group_key"], traits: objectOf(rest["$group_set"]) });
    default:
      return present({ type: "track", ...common, event, properties: present({ ...rest, name }) });
  }
}
