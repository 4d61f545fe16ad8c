import { hash, randomBytes } from "node:crypto";
import type { Clock } from "@waybill/core";
import type { SourceView } from "../admin/views.ts";
import type { SourceConfig, SourceKey } from "../config/types.ts";
import { KeyLimiter } from "./key-limiter.ts";
import { RequestMeter } from "./request-meter.ts";
import { scopeOf } from "./scope.ts";
import { Pool, type Share } from "./shares.ts";
import type { SourceEnvironment } from "./source-environment.ts";

/** Where events come from: keys in, counters out. */
export interface Source {
  readonly config: SourceConfig;
  readonly environment: SourceEnvironment;
  /** Tells the ids of this source apart from those of others. */
  readonly scope: number;
  readonly counters: SourceCounters;
  /** What its requests hold in memory. */
  readonly share: Share;
  readonly limiter: KeyLimiter | undefined;
}

/** A key as it is known: for which source, and until when. */
export interface KnownKey {
  readonly source: Source;
  readonly key: string;
  readonly kind: SourceKey["kind"];
  /** Epoch ms. */
  readonly expiresAtMs: number;
}

export interface SourceCounters {
  accepted: number;
  duplicates: number;
  replacedNumbers: number;
  readonly refusedByCode: Map<string, number>;
  readonly requests: RequestMeter;
}

export function countRefused({ counters: { refusedByCode } }: Source, code: string, count: number): void {
  refusedByCode.set(code, (refusedByCode.get(code) ?? 0) + count);
}

/** Finds the source that a write key or a path prefix names. Replaced as a whole by a reload. */
export class SourceTable {
  readonly sources: readonly Source[];
  readonly #byDigest = new Map<string, KnownKey[]>();
  readonly #clock: Clock;
  /** Protocols that any source speaks. */
  readonly protocols: ReadonlySet<SourceConfig["protocol"]>;
  readonly #byPrefix: readonly (readonly [string, Source])[];
  readonly #byHost: ReadonlyMap<string, Source>;

  /** Sources that `before` knew keep their counters. `pool`: where they have their shares. */
  constructor(
    environments: readonly { readonly environment: SourceEnvironment; readonly sources: readonly SourceConfig[] }[],
    clock: Clock,
    before?: SourceTable,
    pool: Pool = new Pool({ maxBytes: Number.POSITIVE_INFINITY, decoders: 1 }),
  ) {
    this.#clock = clock;
    const sources: Source[] = [];
    for (const { environment, sources: configs } of environments) {
      for (const config of configs) {
        const known = before?.sources.find((one) => one.environment === environment && one.config.name === config.name);
        sources.push({
          config,
          environment,
          scope: scopeOf(environment.name, config.name),
          counters: known?.counters ?? newCounters(),
          share: known?.share ?? pool.share(`${environment.name}/${config.name}`),
          limiter: limiterOf(config, known, clock),
        });
      }
    }
    this.sources = sources;
    this.#byHost = new Map(sources.flatMap((source) => source.config.hosts.map((host) => [host, source] as const)));
    this.protocols = new Set(sources.map(({ config }) => config.protocol));
    for (const source of sources)
      for (const { key, kind, expiresAtMs = Number.POSITIVE_INFINITY } of source.config.keys) {
        const digest = digestOf(key);
        const known = { source, key, kind, expiresAtMs };
        this.#byDigest.set(digest, [...(this.#byDigest.get(digest) ?? []), known]);
      }
    this.#byPrefix = prefixesOf(sources);
  }

  /**
   * Looks the key up by a salted digest: how long it takes says nothing about how much of a guess
   * was right. One that has expired is not known.
   */
  byKey(key: string, kind = ""): KnownKey | undefined {
    if (key.length > KEY_MAX_CHARACTERS) return undefined;
    return this.#byDigest.get(digestOf(key))?.find((known) => known.kind === kind && this.isValid(known));
  }

  isValid({ expiresAtMs }: KnownKey): boolean {
    return expiresAtMs === Number.POSITIVE_INFINITY || this.#clock.now() < expiresAtMs;
  }

  /** The source whose prefix `path` begins with, and the path after it. */
  byPath(path: string): { readonly source: Source; readonly path: string } | undefined {
    for (const [prefix, source] of this.#byPrefix)
      if (path.startsWith(prefix) && path[prefix.length] === "/") return { source, path: path.slice(prefix.length) };
    return undefined;
  }

  /**
   * Where the sources are that share the name in `/s/<name>/`; `undefined` when `path` is not so.
   */
  sharedName(path: string): SharedName | undefined {
    const name = /^\/s\/([^/]+)\//.exec(path)?.[1];
    const sources = this.sources.filter(({ config }) => config.name === name);
    if (name === undefined || sources.length < 2) return undefined;
    return { name, prefixes: sources.map(longPrefix) };
  }

  /** The source whose host a request names; `host` may have a port. */
  byHost(host: string | string[] | undefined): Source | undefined {
    if (this.#byHost.size === 0 || typeof host !== "string") return undefined;
    return this.#byHost.get(host.toLowerCase().replace(/:\d+$/, ""));
  }

  views(): readonly SourceView[] {
    return this.sources.map(({ config, environment, counters }) => ({
      environment: environment.name,
      source: config.name,
      protocol: config.protocol,
      accepted: counters.accepted,
      duplicates: counters.duplicates,
      refusedByCode: Object.fromEntries(counters.refusedByCode),
    }));
  }
}

/** Of a prefix that sources of several environments have: where each of them is instead. */
export interface SharedName {
  readonly name: string;
  readonly prefixes: readonly string[];
}

/**
 * Every source has `/s/<environment>/<source>`, and `/s/<source>` where no other environment has a
 * source of that name. Longer prefixes come first.
 */
function prefixesOf(sources: readonly Source[]): readonly (readonly [string, Source])[] {
  const prefixes: (readonly [string, Source])[] = [];
  const named = new Map<string, number>();
  for (const { config } of sources) named.set(config.name, (named.get(config.name) ?? 0) + 1);
  for (const source of sources) {
    const { name, prefix } = source.config;
    prefixes.push([longPrefix(source), source]);
    if (named.get(name) === 1) prefixes.push([`/s/${name}`, source]);
    if (prefix !== undefined) prefixes.push([prefix, source]);
  }
  return prefixes.sort(([a], [b]) => b.length - a.length);
}

function longPrefix({ environment, config }: Source): string {
  return `/s/${environment.name}/${config.name}`;
}

function newCounters(): SourceCounters {
  return { accepted: 0, duplicates: 0, replacedNumbers: 0, refusedByCode: new Map(), requests: new RequestMeter() };
}

/** Over a reload the buckets stay as they are, unless the limit changed. */
function limiterOf(config: SourceConfig, known: Source | undefined, clock: Clock): KeyLimiter | undefined {
  if (config.rateLimit === undefined) return undefined;
  const isSame = JSON.stringify(known?.config.rateLimit) === JSON.stringify(config.rateLimit);
  return (isSame ? known?.limiter : undefined) ?? new KeyLimiter(config.rateLimit, clock);
}

/** As in the schema. */
const KEY_MAX_CHARACTERS = 256;
const SALT = randomBytes(16).toString("hex");

function digestOf(key: string): string {
  return hash("sha256", SALT + key, "base64");
}
