/** What callers of LaunchDarkly's publisher and dispatcher give and get. */
import type { Transport } from "@waybill/core";
import type { EventMetadata, Flag, LaunchDarklyCredential } from "@waybill/vendors";
import type { EventHeaders } from "./metadata.ts";

export interface EventPublisher {
  /**
   * Takes events for the next flush: objects, or JSON texts that leave as they are. Never throws,
   * never waits.
   */
  publish(metadata: EventMetadata, ...events: readonly (object | string)[]): void;
  /**
   * Posts what waits, one payload per value of the metadata; ends when these posts have. Never
   * rejects.
   */
  flush(): Promise<void>;
  /** From the next flush on. A credential of another kind is ignored. */
  replaceCredential(credential: LaunchDarklyCredential): void;
  /**
   * Ends when the posts on their way have; idempotent. What waits is lost unless `flushOnClose`.
   */
  close(): Promise<void>;
}

export interface HttpEventPublisherOptions {
  /**
   * Base of the events service; the path of the credential's kind is appended. Default
   * `https://events.launchdarkly.com`. The original's `OptionURI`.
   */
  readonly uri?: string;
  /** The complete URL instead. The original's `OptionEndpointURI`. */
  readonly endpointUri?: string;
  /**
   * Milliseconds, at most a day. Default 60,000; 0 and less mean the default. The original's
   * `OptionFlushInterval`.
   */
  readonly flushIntervalMs?: number;
  /**
   * Events per value of the metadata, 1 to 10,000,000. Default 1,000. The original's
   * `OptionCapacity`.
   */
  readonly capacity?: number;
  /** Milliseconds for a request, 1 to 3,600,000. Default 3,000. */
  readonly timeoutMs?: number;
  /** Whether `close` sends what waits. Default false, as in the original. */
  readonly flushOnClose?: boolean;
  /** Default: a line on the console. What it throws is ignored. */
  readonly onWarning?: (message: string) => void;
  /** Makes the requests. Default: the platform's own. */
  readonly transport?: Transport;
}

/** Whose events: server-side, mobile, or JavaScript in a browser. */
export type SdkKind = "server" | "mobile" | "js";
/**
 * Analytics events are queued (and summarised when they are old); a diagnostic is forwarded at
 * once.
 */
export type EventsKind = "analytics" | "diagnostic";

/** A request of an SDK: a web `Request` whose body was read, or Node's with its body. */
export interface EventRequest {
  /** Header names, case-insensitive; only those of the protocol are read. */
  readonly headers: EventHeaders;
  /** Decompressed. */
  readonly body: string | Uint8Array;
}

export interface EventAnswer {
  /**
   * 202; 400 for an empty body and, unless `strict`, for what is not a JSON array; 503 when closed.
   */
  readonly status: number;
  /** For the client. */
  readonly headers: Readonly<Record<string, string>>;
  /** For the client; may be empty. */
  readonly body: string;
}

/**
 * Never throws, never waits. The key or environment id of the request is for the caller to check,
 * and CORS for the caller to answer.
 */
export type EventHandler = (request: EventRequest) => EventAnswer;

export interface EventDispatcherOptions {
  /** For events of server-side SDKs. */
  readonly sdkKey: string;
  /** For events of mobile SDKs; without it they have no handler. */
  readonly mobileKey?: string;
  /** For events of JavaScript SDKs; without it they have no handler. */
  readonly environmentId?: string;
  /**
   * Base of the events service. Default `https://events.launchdarkly.com`. The original's
   * `EventsURI`.
   */
  readonly uri?: string;
  /** Milliseconds, at most a day. Default 5,000; 0 and less mean the default. */
  readonly flushIntervalMs?: number;
  /** Events per value of the metadata, 1 to 10,000,000. Default 1,000. */
  readonly capacity?: number;
  /** Milliseconds for a request, 1 to 3,600,000. Default 3,000. */
  readonly timeoutMs?: number;
  /** Whether events that are summarised carry their user instead of its key. Default false. */
  readonly inlineUsers?: boolean;
  /**
   * Milliseconds after which the summariser of a value of the metadata is forgotten when nobody
   * uses it; what it holds is sent. Default, and for 0 and less: an hour, or two flushes where a
   * flush is longer than an hour.
   */
  readonly eventQueueCleanupIntervalMs?: number;
  /**
   * The flag of a key, for events that are summarised. Default: none is known. The original's
   * store.
   */
  readonly flag?: (key: string) => Flag | undefined;
  /**
   * Behave like the original where we differ: every payload is sent as schema 3; malformed bodies
   * are answered 202. Default false.
   */
  readonly strict?: boolean;
  /** Default: a line on the console. What it throws is ignored. */
  readonly onWarning?: (message: string) => void;
  /** Makes the requests. Default: the platform's own. */
  readonly transport?: Transport;
}
