/** Canonical events: the Segment spec, the field's common language. Source: segment.com/docs/connections/spec, read November 2026. */

export const EVENT_TYPES = ["identify", "track", "page", "screen", "group", "alias"] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Anything JSON can say. */
export type Properties = Readonly<Record<string, unknown>>;

/** What every event may carry. One of `userId` and `anonymousId` is required. */
export interface CommonFields {
  /** The id of a known user. */
  readonly userId?: string;
  /** The id of a user not known yet. */
  readonly anonymousId?: string;
  /** When it happened. Default: now. */
  readonly timestamp?: Date | string;
  /** The circumstances: page, device, campaign. */
  readonly context?: Properties;
  /** Which destinations of the vendor's may have it. */
  readonly integrations?: Properties;
  /** The event's own id, by which it is deduplicated. At most 99 characters. Default: a new UUIDv7. */
  readonly messageId?: string;
}

export interface IdentifyEvent extends CommonFields {
  readonly traits?: Properties;
}

export interface TrackEvent extends CommonFields {
  /** What the user did: "Order Completed". */
  readonly event: string;
  readonly properties?: Properties;
}

export interface PageEvent extends CommonFields {
  readonly name?: string;
  readonly category?: string;
  readonly properties?: Properties;
}

export interface ScreenEvent extends PageEvent {}

export interface GroupEvent extends CommonFields {
  readonly groupId: string;
  readonly traits?: Properties;
}

export interface AliasEvent extends CommonFields {
  readonly userId: string;
  /** The id the user had before. */
  readonly previousId: string;
}

export interface CanonicalEvents {
  readonly identify: IdentifyEvent;
  readonly track: TrackEvent;
  readonly page: PageEvent;
  readonly screen: ScreenEvent;
  readonly group: GroupEvent;
  readonly alias: AliasEvent;
}
