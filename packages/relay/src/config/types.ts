import type { OutboundOptions } from "@waybill/node";
import type { InboundKey, VENDOR_CONFIGS, VendorConfig } from "@waybill/vendors/config";
import type { DeliveryOrder, Vendor } from "@waybill/vendors/registry";
import type { TlsFiles } from "../tls/certificate.ts";
import type { Engine, KafkaConfig, ParsedKafka } from "./kafka-types.ts";
import type { FileDestinationOptions, HttpDestinationOptions } from "./own-destinations.ts";

/**
 * The relay's configuration after it was read: every field present, sizes in bytes, durations in
 * milliseconds.
 */

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface RelayConfig {
  readonly listen: Address;
  readonly dataDirectory: string;
  /** Absent: the log is on the disk. */
  readonly kafka?: KafkaConfig;
  /** A level of pino's. */
  readonly logLevel: string;
  readonly admin: Address & {
    readonly token?: string;
    /** May look, and change nothing. */
    readonly readOnlyToken?: string;
    /**
     * Names under which it may be reached beside loopback and the address it listens on;
     * lower-case.
     */
    readonly hosts?: readonly string[];
    readonly tls?: TlsFiles;
  };
  /** Absent: events come in clear text. */
  readonly tls?: TlsFiles;
  /** Addresses and networks. Absent: none. */
  readonly trustedProxies?: readonly string[];
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
  /**
   * What is allowed and will hardly do what was meant, a line each. Absent when there is nothing of
   * the kind.
   */
  readonly warnings?: readonly string[];
  /** Values of `${file:PATH}`, which are shown nowhere. Absent when there are none. */
  readonly hidden?: readonly string[];
}

export interface EnvironmentConfig {
  readonly name: string;
  readonly sources: readonly SourceConfig[];
  readonly destinations: readonly DestinationConfig[];
}

/** A key that clients of a source may send. */
export interface SourceKey {
  readonly key: string;
  /**
   * Where a protocol has several kinds: LaunchDarkly's `mobile` and `js`. "" for the ordinary one.
   */
  readonly kind: "" | "mobile" | "js";
  /** From then on it is not known any more, epoch ms. */
  readonly expiresAtMs?: number;
}

/** What every source has. */
export interface CommonSource {
  readonly name: string;
  readonly keys: readonly SourceKey[];
  /** A path before the vendor's own, beside `/s/<environment>/<source>`. */
  readonly prefix?: string | undefined;
  /** Lower-case, without port. */
  readonly hosts: readonly string[];
  /** Requests under the prefix or at a host are taken without a key. */
  readonly keyless: boolean;
  /** For each key. */
  readonly rateLimit?: { readonly perSecond: number; readonly burst: number };
}

/**
 * With the options of its protocol, as the file has them: durations in milliseconds, sizes in
 * bytes.
 */
export type SourceConfig = {
  readonly [Name in Vendor]: CommonSource & { readonly protocol: Name } & SourceOptions<Name>;
}[Vendor];

type SourceOptions<Name extends Vendor> =
  (typeof VENDOR_CONFIGS)[Name] extends VendorConfig<infer Source, infer _Destination> ? Source : never;
type DestinationOptions<Name extends Vendor> =
  (typeof VENDOR_CONFIGS)[Name] extends VendorConfig<infer _Source, infer Destination> ? Destination : never;

/** What every destination has. */
export interface CommonDestination {
  readonly name: string;
  /** Absent: all of the environment. */
  readonly sources?: readonly string[] | undefined;
  /** Absent: the vendor's own. */
  readonly url?: string | undefined;
  /** "" for those that have none. */
  readonly writeKey: string;
  readonly events: Readonly<Record<string, string | false>>;
  readonly filter?: EventFilter | undefined;
  readonly sampleRate?: number | undefined;
  readonly redact: readonly string[];
  readonly timeoutMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly lingerMs: number;
  /** Absent: the vendor's limit. */
  readonly batchMaxEvents?: number | undefined;
  readonly batchMaxBytes?: number | undefined;
  readonly maxRequestsPerSecond?: number | undefined;
  /** Which events keep the order of the log: those of a user, all of them, or none. */
  readonly order: DeliveryOrder;
  /** Most requests at once; fewer where the vendor takes fewer. */
  readonly maxInFlight: number;
  /** How long an event may have failed while others passed, before it is given up. */
  readonly giveUpAfterMs: number;
  /** Older events become dead letters. Absent: they never do. */
  readonly maxAgeMs?: number | undefined;
  /**
   * Its proxy, with credentials, and the certificates that it trusts. Absent: its requests leave
   * as all others.
   */
  readonly outbound?: OutboundOptions | undefined;
}

/**
 * With the options of its vendor, as the file has them: durations in milliseconds, sizes in bytes.
 */
export type DestinationConfig =
  | {
      readonly [Name in Vendor]: CommonDestination & { readonly vendor: Name } & DestinationOptions<Name>;
    }[Vendor]
  | HttpDestination
  | FileDestination;

export type HttpDestination = CommonDestination & { readonly vendor: "http" } & HttpDestinationOptions;
export type FileDestination = CommonDestination & { readonly vendor: "file" } & FileDestinationOptions;

export interface EventFilter {
  readonly types?: readonly string[] | undefined;
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
}

/** The file after its check: defaults filled in, durations in milliseconds, sizes in bytes. */
export interface ParsedConfig {
  readonly listen: Address;
  readonly dataDirectory: string;
  readonly engine: Engine;
  readonly kafka?: ParsedKafka | undefined;
  readonly log: { readonly level: string };
  readonly admin: {
    readonly listen: Address;
    readonly token?: string | undefined;
    readonly readOnlyToken?: string | undefined;
    readonly hosts?: readonly string[] | undefined;
    readonly tls?: TlsFiles | undefined;
  };
  readonly tls?: TlsFiles | undefined;
  readonly trustedProxies?: readonly string[] | undefined;
  readonly limits: {
    readonly bodyMaxBytes?: number | undefined;
    readonly maxEvents?: number | undefined;
    readonly maxConnections: number;
    readonly headersTimeout: number;
    readonly requestTimeout: number;
  };
  readonly compat: { readonly strict: boolean };
  readonly retention: { readonly maxAge: number; readonly maxBytes: number; readonly hardMaxBytes: number };
  readonly shutdown: { readonly deadline: number };
  readonly permissions: { readonly files: number; readonly directories: number };
  readonly dedupe: { readonly window: number; readonly maxIds: number };
  readonly network: { readonly allowPrivateAddresses: boolean; readonly proxy?: string | undefined };
  readonly exchange: { readonly deadline: number };
  readonly environments: Readonly<Record<string, ParsedEnvironment>>;
}

export interface ParsedEnvironment {
  readonly sources: Readonly<Record<string, ParsedSource>>;
  readonly destinations: Readonly<Record<string, ParsedDestination>>;
}

/** As the file has it, before its check. */
export interface RawEnvironment {
  readonly sources: Readonly<Record<string, RawSource>>;
  readonly destinations: Readonly<Record<string, RawDestination>>;
}

export interface RawSource {
  readonly protocol: Vendor;
  readonly writeKeys: readonly InboundKey[];
  readonly [option: string]: unknown;
}

export interface RawDestination {
  readonly vendor: DestinationConfig["vendor"];
  readonly [option: string]: unknown;
}

interface ParsedCommonSource {
  readonly writeKeys: readonly InboundKey[];
  readonly prefix?: string | undefined;
  readonly hosts?: readonly string[] | undefined;
  /** Absent: its protocol has a key in every request. */
  readonly keyless?: boolean | undefined;
  readonly maxRequestsPerSecond?: number | undefined;
  readonly burst?: number | undefined;
}

/** Beside these it may have the further keys of its protocol. */
export type ParsedSource = {
  readonly [Name in Vendor]: ParsedCommonSource & { readonly protocol: Name } & SourceOptions<Name>;
}[Vendor];

interface ParsedCommonDestination {
  readonly sources?: readonly string[] | undefined;
  readonly events: Readonly<Record<string, string | false>>;
  readonly filter?: EventFilter | undefined;
  readonly sampleRate?: number | undefined;
  readonly redact?: readonly string[] | undefined;
  readonly timeout: number;
  readonly backoff: { readonly base: number; readonly max: number };
  readonly batch: {
    readonly linger: number;
    readonly maxEvents?: number | undefined;
    readonly maxBytes?: number | undefined;
  };
  readonly retry: { readonly giveUpAfter: number; readonly maxAge?: number | undefined };
  readonly order?: DeliveryOrder | undefined;
  readonly maxInFlight: number;
  readonly maxRequestsPerSecond?: number | undefined;
}

interface ParsedNetwork {
  readonly proxy?: string | undefined;
  readonly ca?: string | undefined;
}

export type ParsedDestination =
  | {
      readonly [Name in Vendor]: ParsedCommonDestination &
        ParsedNetwork & {
          readonly vendor: Name;
          readonly url?: string | undefined;
          readonly writeKey: string;
        } & DestinationOptions<Name>;
    }[Vendor]
  | (ParsedCommonDestination & ParsedNetwork & { readonly vendor: "http" } & HttpDestinationOptions)
  | (ParsedCommonDestination & { readonly vendor: "file" } & FileDestinationOptions);
