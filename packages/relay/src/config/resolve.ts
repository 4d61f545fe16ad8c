/** The checked configuration as the relay works with it. */
import type { ProxyRules } from "@waybill/node";
import type { InboundKey } from "@waybill/vendors/config";
import { destinationAdapterOf } from "../delivery/adapters.ts";
import { kafkaConfigOf } from "./kafka.ts";
import { commonProxy, type Env, outboundOf } from "./outbound.ts";
import type { OutsideFiles } from "./outside-files.ts";
import type {
  DestinationConfig,
  EnvironmentConfig,
  ParsedConfig,
  ParsedDestination,
  ParsedEnvironment,
  ParsedSource,
  RelayConfig,
  SourceConfig,
  SourceKey,
} from "./types.ts";
import { vendorConfigOf } from "./vendor-configs.ts";

/** What the file takes from outside of it. */
export interface Surroundings {
  readonly env: Env;
  readonly files: OutsideFiles;
}

export function resolveConfig(parsed: ParsedConfig, { env, files }: Surroundings): RelayConfig {
  const { admin, limits, retention, permissions, dedupe } = parsed;
  const proxy = commonProxy(parsed.network, env);
  return {
    listen: parsed.listen,
    dataDirectory: parsed.dataDirectory,
    logLevel: parsed.log.level,
    admin: {
      ...admin.listen,
      ...given({ token: admin.token, readOnlyToken: admin.readOnlyToken, hosts: admin.hosts, tls: admin.tls }),
    },
    ...given({ kafka: kafkaConfigOf(parsed) }),
    ...given({ tls: parsed.tls, trustedProxies: parsed.trustedProxies }),
    ...given({ bodyMaxBytes: limits.bodyMaxBytes, maxEvents: limits.maxEvents }),
    maxConnections: limits.maxConnections,
    headersTimeoutMs: limits.headersTimeout,
    requestTimeoutMs: limits.requestTimeout,
    strict: parsed.compat.strict,
    retention: {
      maxAgeMs: retention.maxAge,
      maxBytes: retention.maxBytes,
      hardMaxBytes: retention.hardMaxBytes,
    },
    allowPrivateAddresses: parsed.network.allowPrivateAddresses,
    exchangeDeadlineMs: parsed.exchange.deadline,
    shutdownDeadlineMs: parsed.shutdown.deadline,
    permissions: { fileMode: permissions.files, directoryMode: permissions.directories },
    dedupe: { windowMs: dedupe.window, maxIds: dedupe.maxIds },
    environments: Object.entries(parsed.environments).map(([name, environment]) =>
      resolveParsedEnvironment(name, environment, { proxy, files }),
    ),
  };
}

interface Network {
  readonly proxy?: ProxyRules | undefined;
  readonly files: OutsideFiles;
}

export function resolveParsedEnvironment(
  name: string,
  { sources, destinations }: ParsedEnvironment,
  network: Network,
): EnvironmentConfig {
  return {
    name,
    sources: Object.entries(sources).map(([source, parsed]) => resolveSource(source, parsed)),
    destinations: Object.entries(destinations).map(([destination, parsed]) =>
      resolveDestination(destination, parsed, network),
    ),
  };
}

const BURST_SECONDS = 2;

function resolveSource(name: string, parsed: ParsedSource): SourceConfig {
  const { writeKeys, maxRequestsPerSecond: perSecond, burst, hosts = [], keyless = false, ...rest } = parsed;
  const further = new Map(Object.entries(vendorConfigOf(parsed.protocol).sourceKeys ?? {}));
  const keys = writeKeys.map((key) => resolveKey(key, ""));
  const options: [string, unknown][] = [];
  for (const [option, value] of Object.entries(rest)) {
    const kind = further.get(option)?.kind;
    if (kind === undefined) options.push([option, value]);
    else keys.push(...[value].flat().map((key) => resolveKey(key as InboundKey, kind)));
  }
  return {
    name,
    keys,
    hosts,
    keyless,
    ...Object.fromEntries(options),
    ...(perSecond === undefined
      ? {}
      : { rateLimit: { perSecond, burst: burst ?? Math.max(1, Math.ceil(BURST_SECONDS * perSecond)) } }),
  } as unknown as SourceConfig;
}

function resolveKey(key: InboundKey, kind: SourceKey["kind"]): SourceKey {
  if (typeof key === "string") return { key, kind };
  return { key: key.key, kind, ...(key.expires === undefined ? {} : { expiresAtMs: Date.parse(key.expires) }) };
}

function resolveDestination(
  name: string,
  parsed: ParsedDestination,
  { proxy: common, files }: Network,
): DestinationConfig {
  const { timeout, backoff, retry, batch, redact = [], ...rest } = parsed;
  const { proxy: _proxy, ca: _ca, ...options } = { proxy: undefined, ca: undefined, ...rest };
  return {
    writeKey: "",
    ...options,
    name,
    redact,
    timeoutMs: timeout,
    backoffBaseMs: backoff.base,
    backoffMaxMs: backoff.max,
    lingerMs: batch.linger,
    order: options.order ?? destinationAdapterOf(parsed.vendor).defaultOrder ?? "user",
    giveUpAfterMs: retry.giveUpAfter,
    ...given({
      maxAgeMs: retry.maxAge,
      batchMaxEvents: batch.maxEvents,
      batchMaxBytes: batch.maxBytes,
      outbound: outboundOf(parsed, common, files),
    }),
  } as DestinationConfig;
}

type Given<T> = { readonly [Name in keyof T]?: Exclude<T[Name], undefined> };

/** Without members that are undefined. */
function given<T extends object>(members: T): Given<T> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Given<T>;
}
