/** What the scan of a Segment body keeps to, and what it finds. */
import type { EventType } from "../canonical/events.ts";
import type { RefusalCode, RefusedEvent } from "./routes.ts";

export interface SegmentLimits {
  /** Bytes of a body with a single event. */
  readonly singleMaxBytes: number;
  /** Bytes of a body with a batch. */
  readonly batchMaxBytes: number;
  readonly eventMaxBytes: number;
  readonly maxEvents: number;
  /**
   * The vendor's own answers where ours are more helpful: 400 for all that is too large, 200 for a
   * batch of too many events.
   */
  readonly strict: boolean;
  /** Whether bytes are UTF-8; the platform's own check is the fastest. */
  readonly isUtf8: (bytes: Uint8Array) => boolean;
  /**
   * A faster way for ordinary batches, where the platform has one; `undefined` for a body that it
   * leaves to us.
   */
  readonly scanBatch?: (bytes: Uint8Array) => BatchScan | undefined;
}

/**
 * What was found in a batch without anything unusual: every event has a known type, and an id or no
 * member of that name. Values are those of the last key of that name.
 */
export interface BatchScan {
  readonly events: readonly FoundEvent[];
  readonly writeKey: Range | undefined;
  readonly sentAt: Range | undefined;
  readonly context: Range | undefined;
  readonly integrations: Range | undefined;
}

/**
 * Generous: real clients send batches of more than 1 MB (section 4), and the relay has its own
 * limit on bodies.
 */
export const DEFAULT_LIMITS: Omit<SegmentLimits, "isUtf8"> = {
  singleMaxBytes: Number.POSITIVE_INFINITY,
  batchMaxBytes: Number.POSITIVE_INFINITY,
  eventMaxBytes: 512 * 1024,
  maxEvents: Number.POSITIVE_INFINITY,
  strict: false,
};
/** As documented (section 4). */
export const STRICT_LIMITS: Omit<SegmentLimits, "isUtf8"> = {
  singleMaxBytes: 32 * 1024,
  batchMaxBytes: 500_000,
  eventMaxBytes: 32 * 1024,
  maxEvents: 2_500,
  strict: true,
};

export interface Refusal {
  readonly status: number;
  readonly code: RefusalCode;
  readonly message: string;
}

/** Byte range; `start` is -1 when there is none. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** One event found in the body. */
export interface FoundEvent extends Range {
  /** Inside the quotes; -1 when the event has no id that counts. */
  readonly idStart: number;
  readonly idEnd: number;
  /** A `messageId` that is not an id (null, a number, empty): an id of ours takes its place. */
  readonly badId: Range | undefined;
  readonly needsType: boolean;
}

export interface SegmentScan {
  readonly bytes: Uint8Array;
  readonly events: readonly FoundEvent[];
  /** The type for events that name none. */
  readonly type: EventType | undefined;
  /** The first of those that were refused. */
  readonly refused: readonly RefusedEvent[];
  /** The others: index and number of each run of them. */
  readonly refusedMore: readonly number[];
  readonly refusedByCode: ReadonlyMap<RefusalCode, number>;
  /** The key in the body, decoded. */
  readonly writeKey: string | undefined;
  readonly sentAt: string | undefined;
  readonly context: Range | undefined;
  readonly integrations: Range | undefined;
  /**
   * Start and end of what must not travel on: write keys within events, each with a comma beside
   * it. In order.
   */
  readonly cuts: readonly number[];
  /** Start and end of each bare NaN and infinity, in order. */
  readonly nonFinite: ArrayLike<number>;
}
