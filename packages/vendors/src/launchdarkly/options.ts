/**
 * LaunchDarkly's own options of a source and a destination, as types alone: the published client's
 * types reach them, and must not reach the schemas.
 */
export interface LaunchDarklyMemory {
  /** Events that may wait, for each value of the metadata. Default: 1,000. */
  readonly capacity: number;
  /** How often what waits is sent, in milliseconds. Default: 5 s. */
  readonly flushInterval: number;
}

export interface LaunchDarklySourceOptions {
  /** Origins of pages that may send. Default: none listed, so any may. */
  readonly allowedOrigins: readonly string[];
  /** Headers that pages may send beside the usual ones. Default: none. */
  readonly allowedHeaders: readonly string[];
  /** False: events are answered with 503. Default: true. */
  readonly sendEvents: boolean;
  /** Present: events are kept in memory instead of on disk. */
  readonly memory?: LaunchDarklyMemory | undefined;
}

export interface LaunchDarklyDestinationOptions {
  /** The key for events of mobile SDKs. Without it they are dropped. */
  readonly mobileKey?: string | undefined;
  /** The id for events of JavaScript SDKs. Without it they are dropped. */
  readonly environmentId?: string | undefined;
  /** Whether summarised events carry their user instead of its key. Default: false. */
  readonly inlineUsers: boolean;
  /**
   * How often unused summarisers are forgotten, in milliseconds. Default: an hour, or two flushes
   * in
   * memory where that is longer.
   */
  readonly eventQueueCleanupInterval?: number | undefined;
  /** A file of flag data for summaries. */
  readonly flagsFile?: string | undefined;
  /** Whether flag data for summaries comes from LaunchDarkly. Default: false. */
  readonly flagsFromVendor: boolean;
  /** Where flag data is polled. Default: LaunchDarkly's own service, streamed. */
  readonly flagsUrl?: string | undefined;
}
