/** Trophy's events from and to canonical ones. */
import { own, type Translate } from "@waybill/core";
import { type Canonical, objectOf, present } from "../canonical/canonical.ts";
import {
  type CanonicalEvent,
  compact,
  createTranslate,
  type EventMap,
  type ReadCanonical,
  slug,
  textAt,
} from "../canonical/mapping.ts";
import { textOf } from "../values.ts";
import { readTrophyText, type TrophyEvent, type TrophyIdentify, writeTrophy } from "./outbound.ts";

/** How a track event becomes a change of a metric. */
export interface TrophyMetric {
  /** The metric's key. */
  readonly metric: string;
  /** The property that is added, or a number. Default 1. */
  readonly value?: string | number;
  /**
   * Properties sent as attributes. Default none: keys that are not declared at Trophy are refused.
   */
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
      encode: {
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
      write: (encoded, { messageId }) => {
        if (!("metric" in encoded)) {
          const { id, ...fields } = encoded.user;
          return { text: writeTrophy({ user: id }, JSON.stringify(fields)), metadata: "trophy" };
        }
        const { metric, ...body } = encoded;
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

/**
 * A metric event becomes a track event named as the metric, its value and attributes the
 * properties; a user an identify.
 */
export function trophyToCanonical(text: string): Canonical {
  const { metric, user, key, body } = readTrophyText(text);
  const event = objectOf(JSON.parse(body));
  if (metric === undefined) return present({ type: "identify", userId: user, traits: event });
  const { id, ...traits } = objectOf(event["user"]);
  return present({
    type: "track",
    messageId: key,
    userId: id,
    event: metric,
    properties: present({ ...objectOf(event["attributes"]), value: event["value"] }),
    context: Object.keys(traits).length === 0 ? undefined : { traits },
  });
}
