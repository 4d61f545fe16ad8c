/** The rings of every source and destination, and the configuration as they make it. Rotations by the admin API last until the next reload or restart: put the new key into the file too. */
import type { DestinationConfig, EnvironmentConfig, SourceConfig, SourceKey } from "./config/types.ts";
import { acceptedKeys, EMPTY_RING, type Ring, ringAfter, servingKey } from "./rotator.ts";

/** How long a replaced key stays valid when nobody says: long enough for a deploy. */
export const GRACE_DEFAULT_MS = 3_600_000;

/** Keys of a ring that are valid at once: rotations without end must not grow it without end. */
const RING_MAX_KEYS = 100;

export type Rotation = "rotated" | "unknown ring" | "key of another source" | "too many keys";

export class Credentials {
  readonly #rings: Map<string, Ring>;

  constructor(rings: ReadonlyMap<string, Ring> = new Map()) {
    this.#rings = new Map(rings);
  }

  /** To try a change on. */
  copy(): Credentials {
    return new Credentials(this.#rings);
  }

  /** Takes the keys of a configuration that was loaded. */
  configure(environments: readonly EnvironmentConfig[], nowMs: number): void {
    const before = new Map(this.#rings);
    this.#rings.clear();
    const set = (name: string, keys: readonly { readonly key: string; readonly expiresAtMs?: number }[]): void => {
      const ring = ringAfter(before.get(name) ?? EMPTY_RING, { type: "configured", keys }, nowMs);
      this.#rings.set(name, ring);
    };
    for (const environment of environments) {
      for (const source of environment.sources)
        for (const kind of kindsOf(source))
          set(
            sourceRing(environment.name, source.name, kind),
            source.keys.filter((key) => key.kind === kind),
          );
      for (const { name, writeKey } of environment.destinations)
        if (writeKey !== "") set(destinationRing(environment.name, name), [{ key: writeKey }]);
    }
  }

  rotate(ring: string, key: string, graceMs: number, nowMs: number): Rotation {
    const before = this.#rings.get(ring);
    if (before === undefined) return "unknown ring";
    if (this.#isTaken(ring, key, nowMs)) return "key of another source";
    const after = ringAfter(before, { type: "rotated", key, graceMs }, nowMs);
    if (after.length > RING_MAX_KEYS) return "too many keys";
    this.#rings.set(ring, after);
    return "rotated";
  }

  /** A key names one source, as in the configuration. */
  #isTaken(ring: string, key: string, nowMs: number): boolean {
    const kind = kindOf(ring);
    if (kind === undefined) return false;
    return [...this.#rings].some(
      ([other, keys]) => other !== ring && kindOf(other) === kind && acceptedKeys(keys, nowMs).includes(key),
    );
  }

  /** A vendor has refused the destination's key. Whether another one is used now. */
  refused(environment: string, destination: string, nowMs: number): boolean {
    const name = destinationRing(environment, destination);
    const ring = this.#rings.get(name) ?? EMPTY_RING;
    const serving = servingKey(ring, nowMs);
    if (serving === undefined) return false;
    const after = ringAfter(ring, { type: "refused", key: serving }, nowMs);
    this.#rings.set(name, after);
    return servingKey(after, nowMs) !== serving;
  }

  /** The configuration with the keys of now. */
  applied(environment: EnvironmentConfig, nowMs: number): EnvironmentConfig {
    return {
      ...environment,
      sources: environment.sources.map((source) => this.#source(environment.name, source, nowMs)),
      destinations: environment.destinations.map((destination) =>
        this.#destination(environment.name, destination, nowMs),
      ),
    };
  }

  #source(environment: string, source: SourceConfig, nowMs: number): SourceConfig {
    const keys = kindsOf(source).flatMap((kind): SourceKey[] => {
      const ring = this.#rings.get(sourceRing(environment, source.name, kind)) ?? EMPTY_RING;
      const accepted = acceptedKeys(ring, nowMs);
      return ring
        .filter(({ key }) => accepted.includes(key))
        .map(({ key, expiresAtMs }) => ({
          key,
          kind,
          ...(expiresAtMs > nowMs && Number.isFinite(expiresAtMs) ? { expiresAtMs } : {}),
        }));
    });
    return { ...source, keys };
  }

  #destination(environment: string, destination: DestinationConfig, nowMs: number): DestinationConfig {
    const serving = servingKey(this.#rings.get(destinationRing(environment, destination.name)) ?? EMPTY_RING, nowMs);
    return serving === undefined ? destination : { ...destination, writeKey: serving };
  }
}

function kindsOf({ keys }: SourceConfig): readonly SourceKey["kind"][] {
  return [...new Set(keys.map(({ kind }) => kind))];
}

/** Of a source's ring; `undefined` for a destination's. */
function kindOf(ring: string): string | undefined {
  return /^source \S+ (.*)$/.exec(ring)?.[1];
}

export function sourceRing(environment: string, source: string, kind: SourceKey["kind"] = ""): string {
  return `source ${environment}/${source} ${kind}`;
}

export function destinationRing(environment: string, destination: string): string {
  return `destination ${environment}/${destination}`;
}
