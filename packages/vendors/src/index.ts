/** How each vendor's events look on the wire and what its answers mean, in both directions. */

export type { Canonical, Json } from "./canonical/canonical.ts";
export type {
  AliasEvent,
  CanonicalEvents,
  CommonFields,
  EventType,
  GroupEvent,
  GroupTraits,
  IdentifyEvent,
  PageEvent,
  PageProperties,
  Properties,
  ScreenEvent,
  TrackEvent,
  TrackProperties,
  UserIds,
  UserTraits,
} from "./canonical/events.ts";
export { EVENT_TYPES } from "./canonical/events.ts";
export type { CanonicalEvent, EventMap, ReadCanonical } from "./canonical/mapping.ts";
export { compact, slug } from "./canonical/mapping.ts";
export { stableUuid } from "./canonical/stable-uuid.ts";
export { getfluxlyFromCanonical } from "./getfluxly/canonical.ts";
export type { GetFluxlyAlias, GetFluxlyEvent, GetFluxlySettings } from "./getfluxly/outbound.ts";
export { aliasMetadata, getfluxlyProtocol } from "./getfluxly/outbound.ts";
export type { EventId } from "./inbound/event-ids.ts";
export type { StoredEvents } from "./inbound/frame.ts";
export { frame, storedSome } from "./inbound/frame.ts";
export type {
  Inbound,
  InboundAnswer,
  InboundOptions,
  InboundPart,
  InboundRequest,
  InboundRoute,
  IntakeLimits,
  Refusal as InboundRefusal,
  Taken,
} from "./inbound/inbound.ts";
export { REFUSAL_STATUS, shown, vendorOf } from "./inbound/inbound.ts";
export { launchdarklyFromCanonical } from "./launchdarkly/canonical.ts";
export type { ForwarderOptions } from "./launchdarkly/forwarder.ts";
export { EventForwarder } from "./launchdarkly/forwarder.ts";
export type { IdleMapOptions } from "./launchdarkly/idle-map.ts";
export { cleanupIntervalOf, IdleMap } from "./launchdarkly/idle-map.ts";
export type { LaunchDarklyMetadata } from "./launchdarkly/inbound.ts";
export {
  launchdarklyInbound,
  launchdarklyMetadata,
  parseLaunchdarklyMetadata,
  schemaOf,
} from "./launchdarkly/inbound.ts";
export type { EventMetadata, LaunchDarklyCredential, LaunchDarklySettings } from "./launchdarkly/outbound.ts";
export {
  decodeLaunchDarkly,
  encodeLaunchDarkly,
  eventsPath,
  LAUNCHDARKLY_EVENTS_URL,
  launchdarklyProtocol,
} from "./launchdarkly/outbound.ts";
export type { EventQueuesOptions } from "./launchdarkly/publisher.ts";
export { EventQueues, PUBLISHER_DEFAULTS } from "./launchdarkly/publisher.ts";
export { launchdarklyRelayed, launchdarklyUrl, unsendable } from "./launchdarkly/relayed.ts";
export type { Flag, SummariserOptions, Summary } from "./launchdarkly/summarise.ts";
export { Summariser } from "./launchdarkly/summarise.ts";
export { letterFromCanonical } from "./letter/canonical.ts";
export type { LetterItem, LetterSettings } from "./letter/outbound.ts";
export { letterProtocol, writeLetter } from "./letter/outbound.ts";
export { posthogFromCanonical } from "./posthog/canonical.ts";
export type { PosthogEvent, PosthogSettings } from "./posthog/outbound.ts";
export { posthogProtocol } from "./posthog/outbound.ts";
export type { Assembled, AssembleOptions } from "./segment/assemble.ts";
export { assemble } from "./segment/assemble.ts";
export type { SegmentInboundRoute } from "./segment/inbound.ts";
export { refusalOf as segmentRefusalOf, segmentAnswer, segmentInbound } from "./segment/inbound.ts";
export type { SegmentMetadata } from "./segment/metadata.ts";
export { decodeMetadata, encodeMetadata, parseTime, redactShared, skewOf } from "./segment/metadata.ts";
export { segmentOrderHashes } from "./segment/order.ts";
export type { SegmentSettings } from "./segment/outbound.ts";
export { classifySegment, segmentProtocol } from "./segment/outbound.ts";
export type { Credentials, RefusalCode, RefusedEvent, SegmentAnswer, SegmentRoute } from "./segment/routes.ts";
export { matchSegmentPath, parseAuthorization, segmentAccepted, segmentRefusal } from "./segment/routes.ts";
export { scanSegment } from "./segment/scan.ts";
export type { BatchScan, FoundEvent, Range, Refusal, SegmentLimits, SegmentScan } from "./segment/scan-types.ts";
export { DEFAULT_LIMITS, STRICT_LIMITS } from "./segment/scan-types.ts";
export { storedIds } from "./segment/stored-ids.ts";
export type { TrophyMetric } from "./trophy/canonical.ts";
export { trophyFromCanonical } from "./trophy/canonical.ts";
export type { TrophyEvent, TrophyIdentify, TrophySettings, TrophyUser } from "./trophy/outbound.ts";
export { readTrophyText, TROPHY_URL, trophyProtocol, writeTrophy } from "./trophy/outbound.ts";
export { valuedFromCanonical, wholeSeconds } from "./valued/canonical.ts";
export type { ValuedEvent, ValuedSettings } from "./valued/outbound.ts";
export { VALUED_ENDPOINT, valuedProtocol } from "./valued/outbound.ts";
export { textOf } from "./values.ts";
