/**
 * Between Mixpanel's events and profile updates and canonical events, both ways. Source: protocol
 * sections 3, 6 and 9.
 */
import { own, type Translate, uuidV7TimeMs } from "@waybill/core";
import { type Canonical, objectOf } from "../canonical/canonical.ts";
import type { EventType, Properties } from "../canonical/events.ts";
import {
  type CanonicalEvent,
  compact,
  createTranslate,
  type EventMap,
  type ReadCanonical,
} from "../canonical/mapping.ts";
import { stableUuid } from "../canonical/stable-uuid.ts";
import { isoOf, textOf } from "../values.ts";
import { ENGAGE, GROUPS, UNTIMED } from "./outbound.ts";

/** One event as Mixpanel has it on the wire; ids and time are added from the canonical event. */
export interface MixpanelEvent {
  readonly event: string;
  readonly properties: Properties;
}

/** An update of a user's profile, without its token. */
export interface MixpanelProfile {
  readonly $distinct_id: string;
  readonly [operation: `$${string}`]: unknown;
}

/** An update of a group's profile, without its token. */
export interface MixpanelGroup {
  readonly $group_key: string;
  readonly $group_id: string;
  readonly [operation: `$${string}`]: unknown;
}

export interface MixpanelMapping {
  /** The property by which groups are known at Mixpanel. Default `company`. */
  readonly groupKey?: string | undefined;
  /**
   * Whether the project merges ids by `$create_alias`, as those made before 2024 may do. Default
   * false: an alias is left out.
   */
  readonly sendsAliases?: boolean | undefined;
}

/** As most sites name it. */
const GROUP_KEY_DEFAULT = "company";
/** In front of a device's id where a user's may be. */
export const DEVICE = "$device:";
/** Section 3: what the vendor takes as `$insert_id`. */
const INSERT_ID = /^[A-Za-z0-9-]{1,36}$/;
/** Section 3: what it takes for nobody's id, as far as {@link INSERT_ID} allows it. */
const REFUSED_IDS = new Set(
  "anon anonymous nil none null undefined 0 -1 true false na unknown 00000000-0000-0000-0000-000000000000".split(" "),
);
/** Smaller numbers are seconds: as milliseconds they would be before 1973. */
const MILLISECONDS_FROM = 1e11;

/** Traits that have a name of the vendor's own. */
const TRAITS: readonly (readonly [trait: string, property: string])[] = [
  ["email", "$email"],
  ["name", "$name"],
  ["firstName", "$first_name"],
  ["lastName", "$last_name"],
  ["phone", "$phone"],
  ["avatar", "$avatar"],
  ["createdAt", "$created"],
];

/** Circumstances that are properties there. */
const CONTEXT: readonly (readonly [path: string, property: string])[] = [
  ["page.url", "$current_url"],
  ["page.referrer", "$referrer"],
  ["os.name", "$os"],
  ["os.version", "$os_version"],
  ["device.model", "$model"],
  ["device.manufacturer", "$manufacturer"],
  ["screen.width", "$screen_width"],
  ["screen.height", "$screen_height"],
  ["app.version", "$app_version_string"],
  ["app.build", "$app_build_number"],
  ["network.carrier", "$carrier"],
  ["network.wifi", "$wifi"],
  ["library.name", "mp_lib"],
  ["library.version", "$lib_version"],
  ["campaign.source", "utm_source"],
  ["campaign.medium", "utm_medium"],
  ["campaign.name", "utm_campaign"],
  ["campaign.term", "utm_term"],
  ["campaign.content", "utm_content"],
];

/**
 * | canonical | Mixpanel |
 * |---|---|
 * | track | an event; page, device, app and campaign of the context are properties |
 * | page, screen | an event `Viewed <name> Page`, `Viewed <name> Screen` |
 * | identify | `$set` of the profile; without traits an event `$identify` for both ids |
 * | group | `$set` of the group's profile; without traits `$union` of the user's |
 * | alias | `$create_alias` where the project merges ids so, else none |
 *
 * `$user_id` from `userId`, `$device_id` from `anonymousId`, `distinct_id` from either;
 * `$insert_id` from the `messageId`, `time` from the `timestamp`, `ip` from the context.
 *
 * Mixpanel's SDKs need another host alone: each event has its token, by which its source is found.
 * What the Node SDK sends by GET has to fit a request head of 64 KiB, some 45 KB of JSON; larger
 * events go by `track_batch`. `$add` and `$append` have no id: one whose answer was lost may have
 * been made, so it becomes a dead letter; after a crash of the relay it may be made twice.
 */
export function mixpanelFromCanonical(
  events?: EventMap<MixpanelEvent | MixpanelProfile | MixpanelGroup>,
  read?: ReadCanonical,
  { groupKey = GROUP_KEY_DEFAULT, sendsAliases = false }: MixpanelMapping = {},
): Translate {
  return createTranslate<MixpanelEvent | MixpanelProfile | MixpanelGroup>(
    {
      vendor: "Mixpanel",
      events,
      encode: {
        track: (event, name) => named(name, event.properties),
        page: (event) => viewed(event, "Page"),
        screen: (event) => viewed(event, "Screen"),
        identify,
        group: (event) => group(event, groupKey),
        alias: ({ userId, previousId }) =>
          sendsAliases && userId !== undefined && previousId !== undefined
            ? { event: "$create_alias", properties: { distinct_id: previousId, alias: userId } }
            : undefined,
      },
      write: (encoded, event) => {
        if ("event" in encoded) return writeEvent(encoded as MixpanelEvent, event, groupKey);
        return { text: JSON.stringify(encoded), metadata: "$group_key" in encoded ? GROUPS : ENGAGE };
      },
    },
    read,
  );
}

function named(event: string, properties: Properties): MixpanelEvent | undefined {
  return event === "" ? undefined : { event, properties };
}

function viewed({ name, category, properties }: CanonicalEvent, what: "Page" | "Screen"): MixpanelEvent {
  const words = ["Viewed", name ?? category ?? "", what].filter((word) => word !== "");
  return { event: words.join(" "), properties: compact({ ...properties, name, category }) };
}

function identify(event: CanonicalEvent): MixpanelEvent | MixpanelProfile | undefined {
  const { userId, anonymousId, traits } = event;
  const profile = distinctIdOf(event);
  if (profile === "") return undefined;
  if (Object.keys(traits).length > 0) return { $distinct_id: profile, $set: renamed(traits, TRAITS) };
  if (userId === undefined || anonymousId === undefined) return undefined;
  return { event: "$identify", properties: { $identified_id: userId, $anon_id: anonymousId } };
}

function group(event: CanonicalEvent, groupKey: string): MixpanelGroup | MixpanelProfile | undefined {
  const { groupId, traits } = event;
  if (groupId === undefined || groupId === "") return undefined;
  if (Object.keys(traits).length > 0)
    return { $group_key: groupKey, $group_id: groupId, $set: renamed(traits, [["name", "$name"]]) };
  const profile = distinctIdOf(event);
  return profile === "" ? undefined : { $distinct_id: profile, $union: { [groupKey]: [groupId] } };
}

/** Section 9: the user, else the device; nobody without either. */
function distinctIdOf({ userId, anonymousId }: CanonicalEvent): string {
  if (userId !== undefined && userId !== "") return userId;
  return anonymousId === undefined || anonymousId === "" ? "" : DEVICE + anonymousId;
}

function writeEvent(
  { event: name, properties }: MixpanelEvent,
  event: CanonicalEvent,
  groupKey: string,
): { readonly text: string; readonly metadata: string } {
  const { userId, anonymousId, messageId, context, timestamp } = event;
  const parsedMs = timestamp === undefined ? Number.NaN : Date.parse(timestamp);
  // An id of version 7 names its time.
  const time = Number.isNaN(parsedMs) ? uuidV7TimeMs(messageId) : parsedMs;
  const all = compact({
    ...reserved(context),
    [groupKey]: textOf(context["groupId"]),
    ...properties,
    $user_id: userId,
    $device_id: anonymousId,
    distinct_id: properties["distinct_id"] ?? distinctIdOf(event),
    $insert_id: insertIdOf(messageId),
    // Without one the vendor would take the relay's own address for the user's.
    ip: textOf(context["ip"]) ?? 0,
    time,
  });
  return {
    text: JSON.stringify({ event: name, properties: all }),
    metadata: time === undefined ? UNTIMED : "mixpanel",
  };
}

/**
 * Section 6: the id itself where the vendor takes it, else one that is the same for the same id.
 */
function insertIdOf(messageId: string): string {
  return INSERT_ID.test(messageId) && !REFUSED_IDS.has(messageId.toLowerCase()) ? messageId : stableUuid(messageId);
}

function reserved(context: Properties): Properties {
  return compact(
    Object.fromEntries(
      CONTEXT.map(([path, property]) => {
        const [object = "", member = ""] = path.split(".");
        const value = own(objectOf(own(context, object)), member);
        return [property, typeof value === "object" ? undefined : value];
      }),
    ),
  );
}

/** With the vendor's names for those members that have one. */
function renamed(members: Properties, names: readonly (readonly [from: string, to: string])[]): Properties {
  const to = new Map(names);
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [to.get(name) ?? name, value]));
}

/**
 * | Mixpanel | canonical |
 * |---|---|
 * | event | track; the vendor's own properties become the context |
 * | `$identify` | identify without traits |
 * | `$create_alias`, `$merge` | alias |
 * | `$mp_web_page_view` | page |
 * | `/engage` with `$set` | identify; any other operation has no canonical meaning |
 * | `/groups` with `$set` | group |
 *
 * **Errors**: throws when `text` is not JSON.
 */
export function mixpanelToCanonical(text: string, metadata: string): Canonical | undefined {
  const item = objectOf(JSON.parse(text));
  if (metadata === ENGAGE) return fromProfile(item);
  if (metadata === GROUPS) return fromGroup(item);
  return fromEvent(item);
}

function fromProfile({ $distinct_id: id, $set, $time, $ip: ip }: Properties): Canonical | undefined {
  if ($set === undefined) return undefined;
  const traits = renamed(
    objectOf($set),
    TRAITS.map(([trait, property]) => [property, trait]),
  );
  const context = located(ip);
  return event("identify", { ...idsOf(textOf(id)), timestamp: isoOf(timeMsOf($time)), traits, context });
}

function fromGroup({ $group_id: groupId, $set, $time }: Properties): Canonical | undefined {
  if ($set === undefined) return undefined;
  const traits = renamed(objectOf($set), [["$name", "name"]]);
  return event("group", { groupId: textOf(groupId), timestamp: isoOf(timeMsOf($time)), traits });
}

const IDS = [
  "distinct_id",
  "$user_id",
  "$device_id",
  "$insert_id",
  "time",
  "ip",
  "token",
  "$had_persisted_distinct_id",
];
const OWN_PROPERTIES = new Set([...IDS, ...CONTEXT.map(([, property]) => property)]);

function fromEvent({ event: name, properties: all }: Properties): Canonical {
  const properties = objectOf(all);
  const common = {
    ...idsOf(textOf(properties["distinct_id"]), properties["$user_id"], properties["$device_id"]),
    messageId: textOf(properties["$insert_id"]),
    timestamp: isoOf(timeMsOf(properties["time"])),
    context: contextOf(properties),
  };
  const rest = Object.fromEntries(Object.entries(properties).filter(([property]) => !OWN_PROPERTIES.has(property)));
  switch (name) {
    case "$identify": {
      const { $identified_id: userId, $anon_id: anon, $anon_distinct_id: device } = properties;
      const ids = { userId: textOf(userId) ?? common.userId, anonymousId: withoutDevice(textOf(anon ?? device)) };
      return event("identify", { ...common, ...compact(ids) });
    }
    case "$create_alias":
      return event("alias", { ...common, userId: rest["alias"], previousId: properties["distinct_id"] });
    case "$merge": {
      const [previousId, userId] = listOf(rest["$distinct_ids"]);
      return event("alias", { ...common, userId, previousId });
    }
    case "$mp_web_page_view":
      return event("page", { ...common, name: textOf(rest["current_page_title"]), properties: pageOf(properties) });
    default:
      return event("track", { ...common, event: name, properties: rest });
  }
}

/** Of the browser SDK's page views. */
function pageOf(properties: Properties): Properties {
  return compact({
    title: properties["current_page_title"],
    path: properties["current_url_path"],
    search: properties["current_url_search"],
    url: properties["$current_url"],
    referrer: properties["$referrer"],
  });
}

/** Newer projects name both; in the others `distinct_id` is what there is. */
function idsOf(
  distinctId: string | undefined,
  user?: unknown,
  device?: unknown,
): { readonly userId?: string | undefined; readonly anonymousId?: string | undefined } {
  const isDevice = distinctId?.startsWith(DEVICE) === true;
  const known = isDevice || distinctId === "" ? undefined : distinctId;
  return {
    userId: textOf(user) ?? known,
    anonymousId: textOf(device) ?? (isDevice ? withoutDevice(distinctId) : undefined),
  };
}

function withoutDevice(id: string | undefined): string | undefined {
  return id?.startsWith(DEVICE) === true ? id.slice(DEVICE.length) : id;
}

function contextOf(properties: Properties): Properties | undefined {
  const context = new Map<string, Properties>();
  for (const [path, property] of CONTEXT) {
    const value = own(properties, property);
    if (value === undefined || value === null) continue;
    const [object = "", member = ""] = path.split(".");
    context.set(object, { ...context.get(object), [member]: value });
  }
  const all: Properties = { ...Object.fromEntries(context), ...located(properties["ip"]) };
  return Object.keys(all).length === 0 ? undefined : all;
}

/** 0 says that nobody is to be located. */
function located(ip: unknown): Properties | undefined {
  return typeof ip === "string" && ip !== "" && ip !== "0" ? { ip } : undefined;
}

/** Seconds or milliseconds as milliseconds. */
function timeMsOf(time: unknown): number | undefined {
  if (typeof time !== "number") return undefined;
  return Math.round(time < MILLISECONDS_FROM ? time * 1_000 : time);
}

function event(type: EventType, fields: Properties): Canonical {
  return compact({ type, ...fields });
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
