import type { Address, DestinationConfig, EnvironmentConfig, RelayConfig, SourceConfig } from "./types.ts";
import { bytesOf, millisecondsOf } from "./units.ts";

type Quantity = string | number;

/** The file's shape once the schema has passed it. Defaults stand here and, for people, in the schema; a test holds them together. */
export interface RawConfig {
  readonly listen?: string;
  readonly dataDirectory?: string;
  readonly log?: { readonly level?: string };
  readonly admin?: { readonly listen?: string; readonly token?: string };
  readonly limits?: {
    readonly bodyMaxBytes?: Quantity;
    readonly headersTimeout?: Quantity;
    readonly requestTimeout?: Quantity;
  };
  readonly compat?: { readonly strict?: boolean };
  readonly retention?: { readonly maxAge?: Quantity; readonly maxBytes?: Quantity; readonly hardMaxBytes?: Quantity };
  readonly shutdown?: { readonly deadline?: Quantity };
  readonly dedupe?: { readonly window?: Quantity; readonly maxIds?: number };
  readonly environments: Readonly<Record<string, RawEnvironment>>;
}

export interface RawEnvironment {
  readonly sources: Readonly<Record<string, Omit<SourceConfig, "name">>>;
  readonly destinations: Readonly<Record<string, RawDestination>>;
}

export interface RawDestination {
  readonly vendor: "segment";
  readonly url?: string;
  readonly writeKey: string;
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
    },
    bodyMaxBytes: bytesOf(raw.limits?.bodyMaxBytes ?? "10MiB"),
    headersTimeoutMs: millisecondsOf(raw.limits?.headersTimeout ?? "10s"),
    requestTimeoutMs: millisecondsOf(raw.limits?.requestTimeout ?? "60s"),
    strict: raw.compat?.strict ?? false,
    retention: {
      maxAgeMs: millisecondsOf(raw.retention?.maxAge ?? "7d"),
      maxBytes: bytesOf(raw.retention?.maxBytes ?? "10GiB"),
      hardMaxBytes: bytesOf(raw.retention?.hardMaxBytes ?? "20GiB"),
    },
    shutdownDeadlineMs: millisecondsOf(raw.shutdown?.deadline ?? "20s"),
    dedupe: { windowMs: millisecondsOf(raw.dedupe?.window ?? "24h"), maxIds: raw.dedupe?.maxIds ?? 1_000_000 },
    environments: Object.entries(raw.environments).map(([name, environment]) => resolveEnvironment(name, environment)),
  };
}

function resolveEnvironment(name: string, { sources, destinations }: RawEnvironment): EnvironmentConfig {
  return {
    name,
    sources: Object.entries(sources).map(([sourceName, source]) => ({ name: sourceName, ...source })),
    destinations: Object.entries(destinations).map(([destinationName, raw]) =>
      resolveDestination(destinationName, raw),
    ),
  };
}

function resolveDestination(name: string, raw: RawDestination): DestinationConfig {
  return {
    name,
    vendor: raw.vendor,
    url: (raw.url ?? "https://api.segment.io").replace(/\/+$/, ""),
    writeKey: raw.writeKey,
    timeoutMs: millisecondsOf(raw.timeout ?? "10s"),
    backoffBaseMs: millisecondsOf(raw.backoff?.base ?? "500ms"),
    backoffMaxMs: millisecondsOf(raw.backoff?.max ?? "60s"),
    lingerMs: millisecondsOf(raw.batch?.linger ?? "20ms"),
    batchMaxEvents: raw.batch?.maxEvents ?? 2_500,
    batchMaxBytes: bytesOf(raw.batch?.maxBytes ?? "498KB"),
    ...(raw.maxRequestsPerSecond === undefined ? {} : { maxRequestsPerSecond: raw.maxRequestsPerSecond }),
  };
}

/** `host:port` or `[v6]:port`; `undefined` for anything else. */
export function addressOf(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match === null || port > 65_535 ? undefined : { host: (match[1] ?? match[2]) as string, port };
}
