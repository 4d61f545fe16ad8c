import { createHash, hash, randomBytes } from "node:crypto";
import type { SourceView } from "./admin-types.ts";
import type { SourceConfig } from "./config/types.ts";
import type { Environment } from "./environment.ts";

/** Where events come from: keys in, counters out. */
export interface Source {
  readonly config: SourceConfig;
  readonly environment: Environment;
  /** Tells the ids of this source apart from those of others. */
  readonly scope: number;
  readonly counters: SourceCounters;
}

export interface SourceCounters {
  accepted: number;
  duplicates: number;
  replacedNumbers: number;
  readonly refusedByCode: Map<string, number>;
}

/** Finds the source that a write key or a path prefix names. Replaced as a whole by a reload. */
export class SourceTable {
  readonly sources: readonly Source[];
  readonly #byDigest = new Map<string, Source>();
  readonly #byPrefix: readonly (readonly [string, Source])[];

  /** Sources that `before` knew keep their counters. */
  constructor(
    environments: readonly { readonly environment: Environment; readonly sources: readonly SourceConfig[] }[],
    before?: SourceTable,
  ) {
    const sources: Source[] = [];
    for (const { environment, sources: configs } of environments) {
      for (const config of configs) {
        const known = before?.sources.find((one) => one.environment === environment && one.config.name === config.name);
        sources.push({
          config,
          environment,
          scope: scopeOf(environment.name, config.name),
          counters: known?.counters ?? { accepted: 0, duplicates: 0, replacedNumbers: 0, refusedByCode: new Map() },
        });
      }
    }
    this.sources = sources;
    for (const source of sources) for (const key of source.config.writeKeys) this.#byDigest.set(digestOf(key), source);
    this.#byPrefix = sources
      .flatMap((source) => {
        const own = `/s/${source.config.name}`;
        return source.config.prefix === undefined
          ? [[own, source] as const]
          : [[own, source] as const, [source.config.prefix, source] as const];
      })
      .sort(([a], [b]) => b.length - a.length);
  }

  /** Looks the key up by a salted digest: how long it takes says nothing about how much of a guess was right. */
  byKey(key: string): Source | undefined {
    return this.#byDigest.get(digestOf(key));
  }

  /** The source whose prefix `path` begins with, and the path behind it. */
  byPath(path: string): { readonly source: Source; readonly path: string } | undefined {
    for (const [prefix, source] of this.#byPrefix)
      if (path.startsWith(prefix) && path[prefix.length] === "/") return { source, path: path.slice(prefix.length) };
    return undefined;
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

const SALT = randomBytes(16).toString("hex");

function digestOf(key: string): string {
  return hash("sha256", SALT + key, "base64");
}

/** A source keeps its scope over reloads and restarts, whatever stands beside it. */
export function scopeOf(environment: string, source: string): number {
  return createHash("sha256").update(`${environment}/${source}`).digest().readUInt32LE(0);
}
