/** LaunchDarkly's events from and to canonical ones. */
import type { Translate } from "@waybill/core";
import { type Canonical, type Json, objectOf, present } from "../canonical/canonical.ts";
import { compact, createTranslate, type EventMap, type ReadCanonical } from "../canonical/mapping.ts";
import { isoOf } from "../values.ts";
import { launchdarklyMetadata } from "./inbound.ts";

/**
 * | canonical | LaunchDarkly |
 * |---|---|
 * | track | custom, with the properties as data and `properties.value` as metric value |
 * | identify | identify, with the traits |
 * | page, screen, group, alias | none |
 */
export function launchdarklyFromCanonical(events?: EventMap<object>, read?: ReadCanonical): Translate {
  const time = (timestamp: string | undefined): number => Date.parse(timestamp ?? "") || 0;
  return createTranslate<object>(
    {
      vendor: "LaunchDarkly",
      events,
      encode: {
        track: ({ userId, anonymousId, timestamp, properties }, key) => ({
          kind: "custom",
          creationDate: time(timestamp),
          key,
          context: compact({
            kind: "user",
            key: userId ?? anonymousId,
            anonymous: userId === undefined ? true : undefined,
          }),
          data: properties,
          ...(typeof properties["value"] === "number" ? { metricValue: properties["value"] } : {}),
        }),
        identify: ({ userId, timestamp, traits }) =>
          userId === undefined
            ? undefined
            : { kind: "identify", creationDate: time(timestamp), context: { ...traits, kind: "user", key: userId } },
      },
      write: (event) => ({
        text: JSON.stringify(event),
        metadata: launchdarklyMetadata({ sdk: "server", schema: 4, tags: "" }),
      }),
    },
    read,
  );
}

/**
 * A custom event becomes a track, an identify an identify; feature, index, summary, debug and alias
 * events have no canonical meaning.
 */
export function launchdarklyToCanonical(text: string): Canonical | undefined {
  const event = objectOf(JSON.parse(text));
  const { kind, key, user, context, creationDate, data, metricValue } = event;
  if (kind !== "custom" && kind !== "identify") return undefined;
  const userId = keyOf(event);
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

function keyOf({ user, userKey, context, contextKeys }: Json): unknown {
  return objectOf(user)["key"] ?? userKey ?? objectOf(context)["key"] ?? Object.values(objectOf(contextKeys))[0];
}
