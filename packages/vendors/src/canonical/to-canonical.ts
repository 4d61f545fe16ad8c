/**
 * From each vendor's own events to canonical ones, for destinations of another vendor. What has no canonical meaning is `undefined`.
 *
 * | vendor | becomes |
 * |---|---|
 * | Letter | identify, group, track: the same |
 * | GetFluxly | track; `$identify` an identify, an alias an alias; `external_id` stands in for a missing `user_id` |
 * | Trophy | a metric event a track event named as the metric, its value and attributes the properties; a user an identify |
 * | Valued | action a track, pageview a page, sync an identify or a group |
 * | PostHog | an event a track; `$identify`, `$pageview`, `$screen`, `$create_alias` the same |
 * | LaunchDarkly | custom a track, identify an identify; feature, index, summary, debug and alias have none |
 */
import { formOf, type Vendor } from "../inbound/inbound.ts";
import { readTrophyText } from "../trophy/outbound.ts";
import { isoOf, textOf } from "../values.ts";
import type { EventType } from "./events.ts";

type Json = Readonly<Record<string, unknown>>;

/** A canonical event, not yet as text. */
export interface Canonical {
  readonly type: EventType;
  readonly [field: string]: unknown;
}

/**
 * `text` in the words of `metadata`'s vendor. Fields are as they came, whatever their type. **Errors**: throws when it is not JSON.
 */
export function toCanonical(text: string, metadata: string): Canonical | undefined {
  const form = formOf(metadata);
  return Object.hasOwn(CONVERTERS, form) ? CONVERTERS[form](text, metadata) : undefined;
}

const CONVERTERS: Readonly<Record<Vendor, (text: string, metadata: string) => Canonical | undefined>> = {
  segment: (text) => objectOf(JSON.parse(text)) as Canonical,
  letter: (text) => fromLetter(objectOf(JSON.parse(text))),
  getfluxly: (text, metadata) => fromGetFluxly(objectOf(JSON.parse(text)), metadata),
  trophy: fromTrophy,
  valued: (text) => fromValued(objectOf(JSON.parse(text))),
  launchdarkly: (text) => fromLaunchDarkly(objectOf(JSON.parse(text))),
  posthog: (text) => fromPosthog(objectOf(JSON.parse(text))),
};

function fromLetter({ type, accountId, email, timezone, traits, name, ...fields }: Json): Canonical {
  return present({
    ...fields,
    type: type as EventType,
    ...(type === "group" ? { groupId: accountId } : {}),
    ...(type === "track" ? {} : { traits: present({ ...objectOf(traits), email, name }) }),
    ...(timezone === undefined ? {} : { context: { timezone } }),
  });
}

function fromGetFluxly(event: Json, metadata: string): Canonical | undefined {
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
  if (metadata.includes(" ")) return present({ type: "alias", userId, previousId: previousId ?? anonymousId });
  if (name === "$identify" || name === "identify")
    return present({ type: "identify", ...common, traits: event["traits"] });
  return present({ type: "track", ...common, event: name, properties: event["properties"] });
}

function fromTrophy(text: string): Canonical | undefined {
  const { metric, user, key, body } = readTrophyText(text);
  const said = objectOf(JSON.parse(body));
  if (metric === undefined) return present({ type: "identify", userId: user, traits: said });
  const { id, ...traits } = objectOf(said["user"]);
  return present({
    type: "track",
    messageId: key,
    userId: id,
    event: metric,
    properties: present({ ...objectOf(said["attributes"]), value: said["value"] }),
    context: Object.keys(traits).length === 0 ? undefined : { traits },
  });
}

function fromValued({
  category,
  key,
  user,
  customer,
  attributes,
  occured_at: occurredAt,
  occurred_at: alias,
}: Json): Canonical | undefined {
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

function fromLaunchDarkly({
  kind,
  key,
  user,
  userKey,
  context,
  contextKeys,
  creationDate,
  data,
  metricValue,
}: Json): Canonical | undefined {
  if (kind !== "custom" && kind !== "identify") return undefined;
  const userId =
    objectOf(user)["key"] ?? userKey ?? objectOf(context)["key"] ?? Object.values(objectOf(contextKeys))[0];
  const timestamp = isoOf(creationDate);
  if (kind === "identify") {
    const { key: _key, kind: _kind, custom, ...traits } = objectOf(user ?? context);
    return present({ type: "identify", userId, timestamp, traits: { ...traits, ...objectOf(custom) } });
  }
  return present({
    type: "track",
    userId,
    timestamp,
    event: key,
    properties: present({
      ...(typeof data === "object" && data !== null ? data : { data: data ?? undefined }),
      value: metricValue,
    }),
  });
}

function fromPosthog({ event, distinct_id: id, properties, timestamp, uuid }: Json): Canonical | undefined {
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

function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

/** Without members that are undefined. */
function present<T extends Canonical | Json>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}
