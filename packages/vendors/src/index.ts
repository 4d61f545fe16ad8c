/** How each vendor's events look on the wire and what its answers mean, in both directions. */
export type { Assembled, AssembleOptions } from "./segment/assemble.ts";
export { assemble } from "./segment/assemble.ts";
export type {
  AliasEvent,
  CanonicalEvents,
  CommonFields,
  EventType,
  GroupEvent,
  IdentifyEvent,
  PageEvent,
  Properties,
  ScreenEvent,
  TrackEvent,
} from "./segment/canonical.ts";
export { EVENT_TYPES } from "./segment/canonical.ts";
export type { SegmentMetadata } from "./segment/metadata.ts";
export { decodeMetadata, encodeMetadata, parseTime, skewOf } from "./segment/metadata.ts";
export type { SegmentSettings } from "./segment/protocol.ts";
export { classifySegment, segmentProtocol } from "./segment/protocol.ts";
export type { Credentials, RefusalCode, RefusedEvent, SegmentAnswer, SegmentRoute } from "./segment/routes.ts";
export { matchSegmentPath, parseAuthorization, segmentAccepted, segmentRefusal } from "./segment/routes.ts";
export type { BatchScan, FoundEvent, Range, Refusal, SegmentLimits, SegmentScan } from "./segment/scan.ts";
export { DEFAULT_LIMITS, STRICT_LIMITS, scanSegment } from "./segment/scan.ts";
export { storedIds } from "./segment/stored-ids.ts";
