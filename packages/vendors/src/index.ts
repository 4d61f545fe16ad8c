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
export type {
  Door,
  DoorAnswer,
  DoorOptions,
  DoorRequest,
  DoorRoute,
  Refusal as DoorRefusal,
  Taken,
  Vendor,
} from "./doors/door.ts";
export { formOf, shown, VENDORS } from "./doors/door.ts";
export type { StoredForm } from "./doors/frame.ts";
export { frame, storedSome } from "./doors/frame.ts";
export { DOORS } from "./doors/index.ts";
export type { LaunchDarklyForm } from "./doors/launchdarkly.ts";
export { launchdarklyDoor, launchdarklyFormOf, launchdarklyMetadata, schemaOf } from "./doors/launchdarkly.ts";
export type { IntakeLimits } from "./doors/limits.ts";
export { INTAKE_LIMITS } from "./doors/limits.ts";
export { storedIdsOf } from "./doors/stored-ids.ts";
export type { GetFluxlyAlias, GetFluxlyEvent, GetFluxlySettings } from "./getfluxly/protocol.ts";
export { aliasMetadata, getfluxlyFromCanonical, getfluxlyProtocol } from "./getfluxly/protocol.ts";
export type { ForwarderOptions } from "./launchdarkly/forwarder.ts";
export { EventForwarder } from "./launchdarkly/forwarder.ts";
export type { IdleMapOptions } from "./launchdarkly/idle-map.ts";
export { cleanupIntervalOf, IdleMap } from "./launchdarkly/idle-map.ts";
export type { EventMetadata, LaunchDarklyCredential, LaunchDarklySettings } from "./launchdarkly/protocol.ts";
export {
  decodeLaunchDarkly,
  encodeLaunchDarkly,
  eventsPath,
  LAUNCHDARKLY_EVENTS_URL,
  launchdarklyProtocol,
} from "./launchdarkly/protocol.ts";
export type { EventQueuesOptions } from "./launchdarkly/publisher.ts";
export { EventQueues, PUBLISHER_DEFAULTS } from "./launchdarkly/publisher.ts";
export { launchdarklyFromCanonical, launchdarklyRelayed, launchdarklyUrl, unsendable } from "./launchdarkly/relayed.ts";
export type { Flag, SummariserOptions, Summary } from "./launchdarkly/summarise.ts";
export { Summariser } from "./launchdarkly/summarise.ts";
export type { LetterItem, LetterSettings } from "./letter/protocol.ts";
export { letterFromCanonical, letterProtocol, writeLetter } from "./letter/protocol.ts";
export type { PosthogEvent, PosthogSettings } from "./posthog/protocol.ts";
export { posthogFromCanonical, posthogProtocol } from "./posthog/protocol.ts";
export type { Assembled, AssembleOptions } from "./segment/assemble.ts";
export { assemble } from "./segment/assemble.ts";
export type { SegmentMetadata } from "./segment/metadata.ts";
export { decodeMetadata, encodeMetadata, parseTime, redactShared, skewOf } from "./segment/metadata.ts";
export type { SegmentSettings } from "./segment/protocol.ts";
export { classifySegment, segmentProtocol } from "./segment/protocol.ts";
export type { Credentials, RefusalCode, RefusedEvent, SegmentAnswer, SegmentRoute } from "./segment/routes.ts";
export { matchSegmentPath, parseAuthorization, segmentAccepted, segmentRefusal } from "./segment/routes.ts";
export { scanSegment } from "./segment/scan.ts";
export type { BatchScan, FoundEvent, Range, Refusal, SegmentLimits, SegmentScan } from "./segment/scan-types.ts";
export { DEFAULT_LIMITS, STRICT_LIMITS } from "./segment/scan-types.ts";
export { storedIds } from "./segment/stored-ids.ts";
export type { TrophyEvent, TrophyIdentify, TrophyMetric, TrophySettings, TrophyUser } from "./trophy/protocol.ts";
export { readTrophyText, TROPHY_URL, trophyFromCanonical, trophyProtocol, writeTrophy } from "./trophy/protocol.ts";
export type { ValuedEvent, ValuedSettings } from "./valued/protocol.ts";
export { VALUED_ENDPOINT, valuedFromCanonical, valuedProtocol, wholeSeconds } from "./valued/protocol.ts";
export { textOf } from "./values.ts";
