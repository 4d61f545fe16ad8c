import type { Vendor } from "@waybill/vendors/registry";

/** The relay's configuration after it was read: every field present, sizes in bytes, durations in milliseconds. */

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface RelayConfig {
  readonly listen: Address;
  readonly dataDirectory: string;
  /** A level of pino's. */
  readonly logLevel: string;
  readonly admin: Address & {
    readonly token?: string;
    /** Names under which it may be reached beside loopback and the address it listens on; lower-case. */
    readonly hosts?: readonly string[];
  };
  /** After decompression. Absent: what each protocol has by itself. */
  readonly bodyMaxBytes?: number;
  /** Of one request. Absent: what each protocol has by itself. */
  readonly maxEvents?: number;
  readonly maxConnections: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Answer exactly as the vendors do where they differ from us. */
  readonly strict: boolean;
  readonly retention: { readonly maxAgeMs: number; readonly maxBytes: number; readonly hardMaxBytes: number };
  readonly shutdownDeadlineMs: number;
  /** Of what is created on disk, as of `chmod`. */
  readonly permissions: { readonly fileMode: number; readonly directoryMode: number };
  readonly allowPrivateAddresses: boolean;
  readonly exchangeDeadlineMs: number;
  readonly dedupe: { readonly windowMs: number; readonly maxIds: number };
  readonly environments: readonly EnvironmentConfig[];
  /** What is allowed and will hardly do what was meant, a line each. Absent when there is nothing of the kind. */
  readonly warnings?: readonly string[];
}

export interface EnvironmentConfig {
  readonly name: string;
  readonly sources: readonly SourceConfig[];
  readonly destinations: readonly DestinationConfig[];
}

/** A key that clients of a source may send. */
export interface SourceKey {
  readonly key: string;
  /** Where a protocol has several kinds: LaunchDarkly's `mobile` and `js`. "" for the ordinary one. */
  readonly kind: "" | "mobile" | "js";
  /** From then on it is not known any more, epoch ms. */
  readonly expiresAtMs?: number;
}

export interface MemoryConfig {
  readonly capacity: number;
  readonly flushIntervalMs: number;
}

export interface SourceConfig {
  readonly name: string;
  readonly protocol: Vendor;
  readonly keys: readonly SourceKey[];
  readonly allowedOrigins: readonly string[];
  readonly allowedHeaders: readonly string[];
  readonly sendEvents: boolean;
  /** Present: events are kept in memory. */
  readonly memory?: MemoryConfig;
  /** A path before the vendor's own, beside `/s/<source>`. */
  readonly prefix?: string;
  /** Lower-case, without port. */
  readonly hosts: readonly string[];
  /** Requests under the prefix or at a host are taken without a key. */
  readonly keyless: boolean;
  /** For each key. */
  readonly rateLimit?: { readonly perSecond: number; readonly burst: number };
}

export interface DestinationConfig {
  readonly name: string;
  readonly vendor: Vendor | "http" | "file";
  /** Absent: the vendor's own. */
  readonly url?: string;
  /** "" for those that have none. */
  readonly writeKey: string;
  readonly mobileKey?: string;
  readonly environmentId?: string;
  readonly tenantId?: string;
  readonly inlineUsers: boolean;
  readonly flagsFile?: string;
  readonly flagsFromVendor: boolean;
  readonly flagsUrl?: string;
  /** How often LaunchDarkly's summarisers that are not used are forgotten. Default: an hour, or two flushes in memory where that is longer. */
  readonly eventQueueCleanupIntervalMs?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly signingSecret?: string;
  readonly format: "ndjson" | "json";
  readonly path?: string;
  readonly rotateBytes: number;
  readonly rotateAfterMs: number;
  readonly events: Readonly<Record<string, string | false>>;
  readonly filter?: EventFilter;
  readonly sampleRate?: number;
  readonly redact: readonly string[];
  readonly timeoutMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly lingerMs: number;
  /** Absent: the vendor's limit. */
  readonly batchMaxEvents?: number;
  readonly batchMaxBytes?: number;
  readonly maxRequestsPerSecond?: number;
}

export interface EventFilter {
  readonly types?: readonly string[];
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
}
