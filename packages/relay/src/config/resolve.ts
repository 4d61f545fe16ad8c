import { bytesOf, millisecondsOf } from "@waybill/vendors/config";
import type { Vendor } from "@waybill/vendors/registry";
import type {
  Address,
  DestinationConfig,
  EnvironmentConfig,
  EventFilter,
  RelayConfig,
  SourceConfig,
  SourceKey,
} from "./types.ts";

type Quantity = string | number;

/** The file's shape once the schema has passed it. Defaults stand here and, for people, in the schema; a test holds them together. */
export interface RawConfig {
  readonly listen?: string;
  readonly dataDirectory?: string;
  readonly log?: { readonly level?: string };
  readonly admin?: { readonly listen?: string; readonly token?: string; readonly hosts?: readonly string[] };
  readonly limits?: {
    readonly bodyMaxBytes?: Quantity;
    readonly maxEvents?: number;
    readonly maxConnections?: number;
    readonly headersTimeout?: Quantity;
    readonly requestTimeout?: Quantity;
  };
  readonly compat?: { readonly strict?: boolean };
  readonly retention?: { readonly maxAge?: Quantity; readonly maxBytes?: Quantity; readonly hardMaxBytes?: Quantity };
  readonly shutdown?: { readonly deadline?: Quantity };
  readonly permissions?: { readonly files?: string; readonly directories?: string };
  readonly dedupe?: { readonly window?: Quantity; readonly maxIds?: number };
  readonly network?: { readonly allowPrivateAddresses?: boolean };
  readonly exchange?: { readonly deadline?: Quantity };
  readonly environments: Readonly<Record<string, RawEnvironment>>;
}

export interface RawEnvironment {
  readonly sources: Readonly<Record<string, RawSource>>;
  readonly destinations: Readonly<Record<string, RawDestination>>;
}

export type RawKey = string | { readonly key: string; readonly expires?: string };

export interface RawSource {
  readonly protocol: Vendor;
  readonly writeKeys: readonly RawKey[];
  readonly mobileKeys?: readonly RawKey[];
  readonly environmentId?: string;
  readonly allowedOrigins?: readonly string[];
  readonly allowedHeaders?: readonly string[];
  readonly sendEvents?: boolean;
  readonly memory?: { readonly capacity?: number; readonly flushInterval?: Quantity };
  readonly prefix?: string;
  readonly hosts?: readonly string[];
  readonly keyless?: boolean;
  readonly maxRequestsPerSecond?: number;
  readonly burst?: number;
}

export interface RawDestination {
  readonly vendor: DestinationConfig["vendor"];
  readonly url?: string;
  readonly writeKey?: string;
  readonly mobileKey?: string;
  readonly environmentId?: string;
  readonly tenantId?: string;
  readonly inlineUsers?: boolean;
  readonly eventQueueCleanupInterval?: Quantity;
  readonly flagsFile?: string;
  readonly flagsFromVendor?: boolean;
  readonly flagsUrl?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signingSecret?: string;
  readonly format?: "ndjson" | "json";
  readonly path?: string;
  readonly rotateBytes?: Quantity;
  readonly rotateAfter?: Quantity;
  readonly events?: Readonly<Record<string, string | false>>;
  readonly filter?: EventFilter;
  readonly sampleRate?: number;
  readonly redact?: readonly string[];
  readonly timeout?: Quantity;
  readonly backoff?: { readonly base?: Quantity; readonly max?: Quantity };
  readonly batch?: { readonly linger?: Quantity; readonly maxEvents?: number; readonly maxBytes?: Quantity };
  readonly maxRequestsPerSecond?: number;
}

export function resolveConfig(raw: RawConfig): RelayConfig {
  return {
    listen: addressOf(raw.listen ?? "0.0.0.0:8080") as Address,
    dataDirectory: raw.dataDirectory ?? "./waybill-data",
    logLevel: raw.log?.level ?? "info",
    admin: {
      ...(addressOf(raw.admin?.listen ?? "127.0.0.1:8081") as Address),
      ...(raw.admin?.token === undefined ? {} : { token: raw.admin.token }),
      ...(raw.admin?.hosts === undefined ? {} : { hosts: raw.admin.hosts }),
    },
    ...given({
      bodyMaxBytes: raw.limits?.bodyMaxBytes === undefined ? undefined : bytesOf(raw.limits.bodyMaxBytes),
      maxEvents: raw.limits?.maxEvents,
    }),
    maxConnections: raw.limits?.maxConnections ?? 8_192,
    headersTimeoutMs: millisecondsOf(raw.limits?.headersTimeout ?? "10s"),
    requestTimeoutMs: millisecondsOf(raw.limits?.requestTimeout ?? "60s"),
    strict: raw.compat?.strict ?? false,
    retention: {
      maxAgeMs: millisecondsOf(raw.retention?.maxAge ?? "7d"),
      maxBytes: bytesOf(raw.retention?.maxBytes ?? "10GiB"),
      hardMaxBytes: bytesOf(raw.retention?.hardMaxBytes ?? "20GiB"),
    },
    allowPrivateAddresses: raw.network?.allowPrivateAddresses ?? false,
    exchangeDeadlineMs: millisecondsOf(raw.exchange?.deadline ?? "10s"),
    shutdownDeadlineMs: millisecondsOf(raw.shutdown?.deadline ?? "20s"),
    permissions: {
      fileMode: modeOf(raw.permissions?.files ?? "0600"),
      directoryMode: modeOf(raw.permissions?.directories ?? "0700"),
    },
    dedupe: { windowMs: millisecondsOf(raw.dedupe?.window ?? "24h"), maxIds: raw.dedupe?.maxIds ?? 1_000_000 },
    environments: Object.entries(raw.environments).map(([name, environment]) => resolveEnvironment(name, environment)),
  };
}

/** With every default filled in. */
export function resolveEnvironment(name: string, { sources, destinations }: RawEnvironment): EnvironmentConfig {
  return {
    name,
    sources: Object.entries(sources).map(([sourceName, source]) => resolveSource(sourceName, source)),
    destinations: Object.entries(destinations).map(([destinationName, raw]) =>
      resolveDestination(destinationName, raw),
    ),
  };
}

function resolveSource(name: string, raw: RawSource): SourceConfig {
  const { protocol, writeKeys, mobileKeys = [], environmentId, allowedOrigins = [], allowedHeaders = [], prefix } = raw;
  const { maxRequestsPerSecond: perSecond, burst } = raw;
  return {
    name,
    protocol,
    keys: [
      ...writeKeys.map((key) => resolveKey(key, "")),
      ...mobileKeys.map((key) => resolveKey(key, "mobile")),
      ...(environmentId === undefined ? [] : [resolveKey(environmentId, "js")]),
    ],
    allowedOrigins,
    allowedHeaders,
    sendEvents: raw.sendEvents ?? true,
    hosts: raw.hosts ?? [],
    keyless: raw.keyless ?? false,
    ...(raw.memory === undefined
      ? {}
      : {
          memory: {
            capacity: raw.memory.capacity ?? 1_000,
            flushIntervalMs: millisecondsOf(raw.memory.flushInterval ?? "5s"),
          },
        }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(perSecond === undefined
      ? {}
      : { rateLimit: { perSecond, burst: burst ?? Math.max(1, Math.ceil(BURST_SECONDS * perSecond)) } }),
  };
}

const BURST_SECONDS = 2;

function resolveKey(raw: RawKey, kind: SourceKey["kind"]): SourceKey {
  if (typeof raw === "string") return { key: raw, kind };
  return { key: raw.key, kind, ...(raw.expires === undefined ? {} : { expiresAtMs: Date.parse(raw.expires) }) };
}

function resolveDestination(name: string, raw: RawDestination): DestinationConfig {
  const { vendor, url, writeKey = "", headers = {}, format = "ndjson", events = {}, redact = [], batch } = raw;
  const { mobileKey, environmentId, tenantId, signingSecret, path, filter, sampleRate, maxRequestsPerSecond } = raw;
  return {
    name,
    vendor,
    writeKey,
    headers,
    format,
    events,
    redact,
    inlineUsers: raw.inlineUsers ?? false,
    flagsFromVendor: raw.flagsFromVendor ?? false,
    rotateBytes: bytesOf(raw.rotateBytes ?? "100MiB"),
    rotateAfterMs: millisecondsOf(raw.rotateAfter ?? "24h"),
    timeoutMs: millisecondsOf(raw.timeout ?? "10s"),
    backoffBaseMs: millisecondsOf(raw.backoff?.base ?? "500ms"),
    backoffMaxMs: millisecondsOf(raw.backoff?.max ?? "60s"),
    lingerMs: millisecondsOf(batch?.linger ?? "20ms"),
    ...given({ mobileKey, environmentId, tenantId, signingSecret, path, filter, sampleRate, maxRequestsPerSecond }),
    ...given({
      // Vendors' paths are appended; where the URL is the whole, its end means something.
      flagsFile: raw.flagsFile,
      flagsUrl: raw.flagsUrl,
      eventQueueCleanupIntervalMs:
        raw.eventQueueCleanupInterval === undefined ? undefined : millisecondsOf(raw.eventQueueCleanupInterval),
      url: vendor === "valued" || vendor === "http" ? url : url?.replace(/\/+$/, ""),
      batchMaxEvents: batch?.maxEvents,
      batchMaxBytes: batch?.maxBytes === undefined ? undefined : bytesOf(batch.maxBytes),
    }),
  };
}

type Given<T> = { readonly [Name in keyof T]?: Exclude<T[Name], undefined> };

/** Without members that are undefined. */
function given<T extends object>(members: T): Given<T> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** `host:port` or `[v6]:port`; `undefined` for anything else. */
export function addressOf(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match === null || port > 65_535 ? undefined : { host: (match[1] ?? match[2]) as string, port };
}

/** The bits of `0640`. */
export function modeOf(octal: string): number {
  return Number.parseInt(octal, 8);
}
