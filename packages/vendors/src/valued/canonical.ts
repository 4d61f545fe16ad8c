/** Valued's events from and to canonical ones. */
import type { Translate } from "@waybill/core";
import { type Canonical, objectOf, present } from "../canonical/canonical.ts";
import type { Properties } from "../canonical/events.ts";
import {
  type CanonicalEvent,
  compact,
  createTranslate,
  type EventMap,
  type ReadCanonical,
  textAt,
} from "../canonical/mapping.ts";
import { textOf } from "../values.ts";
import type { ValuedEvent } from "./outbound.ts";

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
      encode: {
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
      write: (encoded, { timestamp }) => ({
        text: JSON.stringify(compact({ ...encoded, occured_at: encoded.occured_at ?? wholeSeconds(timestamp) })),
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

/** An action becomes a track, a pageview a page, a sync an identify or a group. */
export function valuedToCanonical(text: string): Canonical | undefined {
  const {
    category,
    key,
    user,
    customer,
    attributes,
    occured_at: occurredAt,
    occurred_at: alias,
  } = objectOf(JSON.parse(text));
  const { id: userId, ...userTraits } = objectOf(user);
  const { id: groupId, ...groupTraits } = objectOf(customer);
  const common = {
    userId: textOf(userId),
    timestamp: occurredAt ?? alias,
    context: textOf(groupId) === undefined ? undefined : { groupId: textOf(groupId) },
  };
  if (category === "action") return present({ type: "track", ...common, event: key, properties: attributes });
  if (category === "pageview") {
    const { source, ...rest } = objectOf(attributes);
    const { page_title: title, ...page } = objectOf(source);
    return present({ type: "page", ...common, properties: present({ ...rest, ...page, title }) });
  }
  if (category !== "sync") return undefined;
  if (user !== undefined) return present({ type: "identify", ...common, traits: userTraits });
  if (textOf(groupId) === undefined) return undefined;
  return present({ type: "group", timestamp: common.timestamp, groupId: textOf(groupId), traits: groupTraits });
}
