/** How each vendor's events look on the wire and what its answers mean, in both directions. */

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
export type { Canonical } from "./canonical/to-canonical.ts";
export { toCanonical } from "./canonical/to-canonical.ts";
export type { GetFluxlyAlias, GetFluxlyEvent, GetFluxlySettings } from "./getfluxly/outbound.ts";
export { aliasMetadata, getfluxlyFromCanonical, getfluxlyProtocol } from "./getfluxly/outbound.ts";
export type { StoredForm } from "./inbound/frame.ts";
export { frame, storedSome } from "./inbound/frame.ts";
export type {
  Inbound,
  InboundAnswer,
  InboundOptions,
  InboundRequest,
  InboundRoute,
  Refusal as InboundRefusal,
  Taken,
  Vendor,
} from "./inbound/inbound.ts";
export { formOf, shown, VENDORS } from "./inbound/inbound.ts";
export { INBOUND_ADAPTERS } from "./inbound/index.ts";
export type { IntakeLimits } from "./inbound/limits.ts";
export { INTAKE_LIMITS } from "./inbound/limits.ts";
export { storedIdsOf } from "./inbound/stored-ids.ts";
export type { ForwarderOptions } from "./launchdarkly/forwarder.ts";
export { EventForwarder } from "./launchdarkly/forwarder.ts";
export type { IdleMapOptions } from "./launchdarkly/idle-map.ts";
export { cleanupIntervalOf, IdleMap } from "./launchdarkly/idle-map.ts";
export type { LaunchDarklyForm } from "./launchdarkly/inbound.ts";
export { launchdarklyFormOf, launchdarklyInbound, launchdarklyMetadata, schemaOf } from "./launchdarkly/inbound.ts";
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
export { launchdarklyFromCanonical, launchdarklyRelayed, launchdarklyUrl, unsendable } from "./launchdarkly/relayed.ts";
export type { Flag, SummariserOptions, Summary } from "./launchdarkly/summarise.ts";
export { Summariser } from "./launchdarkly/summarise.ts";
export type { LetterItem, LetterSettings } from "./letter/outbound.ts";
export { letterFromCanonical, letterProtocol, writeLetter } from "./letter/outbound.ts";
export type { PosthogEvent, PosthogSettings } from "./posthog/outbound.ts";
export { posthogFromCanonical, posthogProtocol } from "./posthog/outbound.ts";
export type { Assembled, AssembleOptions } from "./segment/assemble.ts";
export { assemble } from "./segment/assemble.ts";
export type { SegmentMetadata } from "./segment/metadata.ts";
export { decodeMetadata, encodeMetadata, parseTime, redactShared, skewOf } from "./segment/metadata.ts";
export type { SegmentSettings } from "./segment/outbound.ts";
export { classifySegment, segmentProtocol } from "./segment/outbound.ts";
export type { Credentials, RefusalCode, RefusedEvent, SegmentAnswer, SegmentRoute } from "./segment/routes.ts";
export { matchSegmentPath, parseAuthorization, segmentAccepted, segmentRefusal } from "./segment/routes.ts";
export { scanSegment } from "./segment/scan.ts";
export type { BatchScan, FoundEvent, Range, Refusal, SegmentLimits, SegmentScan } from "./segment/scan-types.ts";
export { DEFAULT_LIMITS, STRICT_LIMITS } from "./segment/scan-types.ts";
export { storedIds } from "./segment/stored-ids.ts";
export type { TrophyEvent, TrophyIdentify, TrophyMetric, TrophySettings, TrophyUser } from "./trophy/outbound.ts";
export { readTrophyText, TROPHY_URL, trophyFromCanonical, trophyProtocol, writeTrophy } from "./trophy/outbound.ts";
export type { ValuedEvent, ValuedSettings } from "./valued/outbound.ts";
export { VALUED_ENDPOINT, valuedFromCanonical, valuedProtocol, wholeSeconds } from "./valued/outbound.ts";
export { textOf } from "./values.ts";
