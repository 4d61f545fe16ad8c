/** Amplitude's events and canonical ones, both ways. Section 9 of the protocol. */
import { own, type Translate, type Translated } from "@waybill/core";
import { type Canonical, objectOf } from "../canonical/canonical.ts";
import type { EventType, Properties } from "../canonical/events.ts";
import {
  type CanonicalEvent,
  compact,
  createTranslate,
  type EventMap,
  type ReadCanonical,
} from "../canonical/mapping.ts";
import { parseTime } from "../segment/metadata.ts";
import { isoOf, textOf } from "../values.ts";
import { decodeAmplitude, encodeAmplitude } from "./metadata.ts";

/** One event as Amplitude has it on the wire. */
export interface AmplitudeEvent {
  readonly event_type: string;
  readonly user_id?: string | undefined;
  readonly device_id?: string | undefined;
  /** Epoch milliseconds. */
  readonly time?: number | undefined;
  /** By which duplicates are recognised, per device. */
  readonly insert_id?: string | undefined;
  readonly event_properties?: Properties | undefined;
  readonly user_properties?: Properties | undefined;
  readonly groups?: Properties | undefined;
  readonly group_properties?: Properties | undefined;
  readonly [field: string]: unknown;
}

export interface AmplitudeTranslation {
  readonly events?: EventMap<AmplitudeEvent> | undefined;
  /** The type of group that a canonical group is of. Default `company`. */
  readonly groupType?: string | undefined;
  /** The shortest id that the project takes. Default 5. */
  readonly minIdLength?: number | undefined;
  readonly read?: ReadCanonical | undefined;
}

const DEFAULT_GROUP_TYPE = "company";
/** Section 3. */
const MIN_ID_LENGTH = 5;
/** Ids that mean nobody: the vendor refuses them. */
const PLACEHOLDER = /^(?:|-1|0|\[\]|\{\}|anonymous|n\/a|nil|none|null|undefined|unknown|0{8}-(?:0{4}-){3}0{12})$/i;
/** Marks what has a meaning there, but cannot be sent: the text is the reason. */
const UNSENDABLE = "unsendable";
export const IDENTIFY = "$identify";
const GROUP_IDENTIFY = "$groupidentify";
/** Members of an event about what was paid, and the properties of canonical events about it. */
const REVENUE = ["price", "quantity", "revenue", "productId", "revenueType", "currency"] as const;

/**
 * | canonical | Amplitude |
 * |---|---|
 * | track | an event of that type; revenue is beside the properties too |
 * | page, screen | `Viewed <name> Page`, `Viewed <name> Screen`; back it is a track |
 * | identify | `$identify` with the traits as `$set` |
 * | group | `$groupidentify` of the configured type, the traits as `$set` |
 * | alias | none |
 *
 * `userId`, `anonymousId` and `messageId` are `user_id`, `device_id` and `insert_id`. What
 * Amplitude has and a canonical event has not is kept as it was in `context.amplitude` and goes out
 * again from there: `user_properties` with operations other than `$set`, `groups`,
 * `group_properties` and `session_id`.
 *
 * The key of its SDKs is in the body of `/2/httpapi` and `/batch`: give them the whole URL with its
 * path (`serverUrl`, in Python `server_url`).
 */
export function amplitudeFromCanonical(options: AmplitudeTranslation = {}): Translate {
  const { events, groupType = DEFAULT_GROUP_TYPE, minIdLength = MIN_ID_LENGTH, read } = options;
  const metadata = encodeAmplitude({
    kind: "events",
    ...(minIdLength === MIN_ID_LENGTH ? {} : { options: JSON.stringify({ min_id_length: minIdLength }) }),
  });
  const translate = createTranslate<AmplitudeEvent>(
    {
      vendor: "Amplitude",
      events,
      encode: {
        track: (event, name) => ({
          event_type: name,
          event_properties: event.properties,
          ...revenueOf(event.properties),
        }),
        page: (event) => viewed(event, "Page"),
        screen: (event) => viewed(event, "Screen"),
        identify: ({ traits }) => ({ event_type: IDENTIFY, user_properties: { $set: traits } }),
        group: ({ groupId, traits }) =>
          groupId === undefined
            ? undefined
            : { event_type: GROUP_IDENTIFY, groups: { [groupType]: groupId }, group_properties: { $set: traits } },
      },
      write: (encoded, event) => written(encoded, event, { minIdLength, metadata }),
    },
    read,
  );
  return (chunk, shared, key): Translated => {
    const translated = translate(chunk, shared, key);
    return "text" in translated && translated.metadata === UNSENDABLE ? { rejected: translated.text } : translated;
  };
}

/** Whether an id is one that many clients send when they have none. */
export function isPlaceholder(id: string): boolean {
  return PLACEHOLDER.test(id);
}

interface Writing {
  readonly minIdLength: number;
  readonly metadata: string;
}

/**
 * With its ids, time and circumstances. Ids, time and type are looked at here: a refusal there
 * would cost every event of its request a round.
 */
function written(
  encoded: AmplitudeEvent,
  event: CanonicalEvent,
  { minIdLength, metadata }: Writing,
): { readonly text: string; readonly metadata: string } {
  const { userId, anonymousId, timestamp, messageId, context } = event;
  const isLong = (id: string | undefined): id is string => id !== undefined && id.length >= minIdLength;
  const refused = [userId, anonymousId].find((id) => id !== undefined && isPlaceholder(id));
  if (refused !== undefined) return unsendable(`"${refused}" is a placeholder, not an id`);
  if (!isLong(userId) && !isLong(anonymousId))
    return unsendable(`no user or device id of at least ${minIdLength} characters`);
  if (encoded.event_type === "") return unsendable("an event without a name");
  const time = timestamp === undefined ? undefined : timeOf(timestamp);
  if (time === null) return unsendable(`"${timestamp?.slice(0, SHOWN_MAX)}" is not a time`);
  const text = JSON.stringify(
    compact({
      ...encoded,
      user_id: isLong(userId) ? userId : undefined,
      device_id: isLong(anonymousId) ? anonymousId : undefined,
      time,
      insert_id: messageId,
      ...circumstances(context),
      ...kept(context["amplitude"]),
    }),
  );
  return { text, metadata };
}

const SHOWN_MAX = 100;

function unsendable(reason: string): { readonly text: string; readonly metadata: string } {
  return { text: reason, metadata: UNSENDABLE };
}

/** Epoch ms; `null` for a text that is not a time. */
function timeOf(timestamp: string): number | null {
  const time = parseTime(timestamp) ?? Date.parse(timestamp);
  return Number.isNaN(time) ? null : time;
}

function viewed({ name, category, properties }: CanonicalEvent, what: string): AmplitudeEvent {
  const parts = ["Viewed", name, what].filter((word) => word !== undefined && word !== "");
  return { event_type: parts.join(" "), event_properties: compact({ ...properties, name, category }) };
}

/** Revenue stays among the properties and is beside them too, where the vendor counts it. */
function revenueOf(properties: Properties): Properties {
  if (numberOf(properties["revenue"]) === undefined && numberOf(properties["price"]) === undefined) return {};
  return compact({
    price: numberOf(properties["price"]),
    quantity: numberOf(properties["quantity"]),
    revenue: numberOf(properties["revenue"]),
    productId: textOf(properties["productId"] ?? properties["product_id"]),
    revenueType: textOf(properties["revenueType"]),
    currency: textOf(properties["currency"]),
  });
}

/** A number, or a text that is one. */
function numberOf(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/**
 * Where each member is in a canonical context. Without an IP there is none: the vendor would take
 * the relay's.
 */
const CIRCUMSTANCES: readonly (readonly [member: string, place: string, leaf: string])[] = [
  ["ip", "", "ip"],
  ["language", "", "locale"],
  ["user_agent", "", "userAgent"],
  ["app_version", "app", "version"],
  ["os_name", "os", "name"],
  ["os_version", "os", "version"],
  ["device_brand", "device", "brand"],
  ["device_manufacturer", "device", "manufacturer"],
  ["device_model", "device", "model"],
  ["platform", "device", "type"],
  ["carrier", "network", "carrier"],
  ["country", "location", "country"],
  ["region", "location", "region"],
  ["city", "location", "city"],
  ["location_lat", "location", "latitude"],
  ["location_lng", "location", "longitude"],
];

function circumstances(context: Properties): Properties {
  const found: Record<string, unknown> = {};
  for (const [member, place, leaf] of CIRCUMSTANCES) {
    const value = (place === "" ? context : objectOf(context[place]))[leaf];
    if (typeof value === "string" || typeof value === "number") found[member] = value;
  }
  return found;
}

function contextOf(event: Properties): Properties {
  const gathered: Record<string, unknown> = {};
  for (const [member, place, leaf] of CIRCUMSTANCES) {
    const value = own(event, member);
    // The sender's own address, which only the first receiver knows.
    if (value === undefined || value === null || value === "$remote") continue;
    if (place === "") gathered[leaf] = value;
    else gathered[place] = { ...objectOf(gathered[place]), [leaf]: value };
  }
  return gathered;
}

const KEPT = ["user_properties", "groups", "group_properties"] as const;

/** What came from Amplitude and no canonical event has a place for. */
function kept(amplitude: unknown): Properties {
  const from = objectOf(amplitude);
  const members = KEPT.filter((name) => isObject(from[name])).map((name) => [name, from[name]] as const);
  const { session_id: session } = from;
  return Object.fromEntries(Number.isSafeInteger(session) ? [...members, ["session_id", session]] : members);
}

/** Its metadata shows whether it is an event or an element of the identify endpoints. */
export function amplitudeToCanonical(text: string, metadata: string): Canonical {
  const event = objectOf(JSON.parse(text));
  const { kind } = decodeAmplitude(metadata);
  if (kind === "groupidentify") {
    const { group_type: type, group_value: group, group_properties: properties } = event;
    return groupOf(event, { [textOf(type) ?? ""]: group }, objectOf(properties));
  }
  if (kind === "identify" || event["event_type"] === IDENTIFY) return identifyOf(event);
  if (event["event_type"] === GROUP_IDENTIFY)
    return groupOf(event, objectOf(event["groups"]), objectOf(event["group_properties"]));
  const { user_properties: userProperties, groups } = event;
  return present("track", event, {
    event: event["event_type"],
    properties: propertiesOf(event),
    amplitude: compact({ user_properties: userProperties ?? undefined, groups: groups ?? undefined }),
  });
}

function identifyOf(event: Properties): Canonical {
  const properties = objectOf(event["user_properties"]);
  const { $set, ...others } = properties;
  const operations = Object.keys(others).filter((name) => name.startsWith("$"));
  // Operations and plain names are never side by side: a plain object is what `$set` would hold.
  const traits = $set === undefined && operations.length === 0 ? others : objectOf($set);
  return present("identify", event, {
    traits,
    amplitude: compact({
      user_properties: operations.length === 0 ? undefined : properties,
      groups: event["groups"] ?? undefined,
    }),
  });
}

/** A canonical event is of one group: the first. All of them are kept for Amplitude. */
function groupOf(event: Properties, groups: Properties, properties: Properties): Canonical {
  const [, values] = Object.entries(groups)[0] ?? [];
  const { $set, ...others } = properties;
  const operations = Object.keys(others).filter((name) => name.startsWith("$"));
  return present("group", event, {
    groupId: Array.isArray(values) ? values[0] : values,
    traits: $set === undefined && operations.length === 0 ? others : objectOf($set),
    amplitude: compact({ groups, group_properties: operations.length === 0 ? undefined : properties }),
  });
}

/**
 * With the revenue that is beside them, and the clients' own names for it (`$price`) without their
 * sign.
 */
function propertiesOf(event: Properties): Properties {
  const properties = new Map(Object.entries(objectOf(event["event_properties"])));
  for (const name of REVENUE) {
    const value = properties.get(name) ?? properties.get(`$${name}`) ?? own(event, name) ?? undefined;
    if (value === undefined) continue;
    properties.delete(`$${name}`);
    properties.set(name, value);
  }
  const price = numberOf(properties.get("price"));
  if (!properties.has("revenue") && price !== undefined)
    properties.set("revenue", price * (numberOf(properties.get("quantity")) ?? 1));
  return Object.fromEntries(properties);
}

function present(
  type: EventType,
  event: Properties,
  { amplitude, ...fields }: Properties & { readonly amplitude: Properties },
): Canonical {
  const { session_id: session } = event;
  const all = compact({ ...amplitude, session_id: session ?? undefined });
  const context = {
    ...contextOf(event),
    ...groupContext(amplitude["groups"]),
    ...(Object.keys(all).length === 0 ? {} : { amplitude: all }),
  };
  return compact({
    type,
    messageId: event["insert_id"] ?? undefined,
    userId: event["user_id"] ?? undefined,
    anonymousId: event["device_id"] ?? undefined,
    timestamp: isoOf(event["time"]),
    ...fields,
    context: Object.keys(context).length === 0 ? undefined : context,
  });
}

/** The group that an event happened in, where the Segment spec has it. */
function groupContext(groups: unknown): Properties {
  const [group] = Object.values(objectOf(groups));
  const id = textOf(Array.isArray(group) ? group[0] : group);
  return id === undefined ? {} : { groupId: id };
}

function isObject(value: unknown): value is Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
