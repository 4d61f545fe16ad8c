/**
 * The key sets of every source and destination, and the configuration as they make it.
 *
 * Rotations by the admin API last, over reloads and restarts, until the file has the new key
 * (kept-rotations.ts).
 */
import type { RotationView } from "../admin/views.ts";
import type { DestinationConfig, EnvironmentConfig, SourceConfig, SourceKey } from "../config/types.ts";
import {
  type ConfiguredKey,
  fingerprintOf,
  type KeptRotation,
  type Merged,
  mergedWith,
  rotationOf,
  withoutExpired,
} from "./kept-rotations.ts";
import { acceptedKeys, EMPTY_KEY_SET, type KeySet, keySetAfter, servingKey } from "./rotator.ts";

/** Keys of a key set that are valid at once: rotations without end must not grow it without end. */
const KEY_SET_MAX_KEYS = 100;

export type Rotation = "rotated" | "unknown key set" | "key of another source" | "too many keys";

export class Credentials {
  readonly #keySets: Map<string, KeySet>;
  /** By key set. */
  readonly #rotations: Map<string, KeptRotation>;
  /** What the configuration has for each key set. */
  #configured: ReadonlyMap<string, readonly ConfiguredKey[]>;

  constructor(rotations: readonly KeptRotation[] = []) {
    this.#keySets = new Map();
    this.#rotations = new Map(rotations.map((rotation) => [rotation.keySet, rotation]));
    this.#configured = new Map();
  }

  /** To try a change on. */
  copy(): Credentials {
    const copy = new Credentials([...this.#rotations.values()]);
    for (const [name, keySet] of this.#keySets) copy.#keySets.set(name, keySet);
    copy.#configured = this.#configured;
    return copy;
  }

  /** To be kept. */
  rotations(nowMs: number): readonly KeptRotation[] {
    return [...this.#rotations.values()].map((rotation) => withoutExpired(rotation, nowMs));
  }

  /** For people: no keys. */
  rotationViews(): readonly RotationView[] {
    return [...this.#rotations.values()].map((rotation) => ({
      ...partsOf(rotation.keySet),
      rotatedAtMs: rotation.atMs,
      fingerprint: fingerprintOf(rotation),
      inUse: this.#keySets.has(rotation.keySet),
    }));
  }

  /**
   * Takes the keys of a configuration that was loaded. Where a rotation has said otherwise it
   * holds, or gives way: in words, for each.
   */
  configure(environments: readonly EnvironmentConfig[], nowMs: number): readonly RotationNote[] {
    const before = new Map(this.#keySets);
    const notes: RotationNote[] = [];
    this.#keySets.clear();
    this.#configured = configuredKeySets(environments);
    for (const [name, configured] of this.#configured) {
      const rotation = this.#rotations.get(name);
      let keys = configured;
      if (rotation !== undefined) {
        const merged = mergedWith(rotation, configured, (key) => this.#isElsewhere(name, key));
        notes.push(noteOf(rotation, merged));
        if (merged.holds) keys = merged.keys;
        else this.#rotations.delete(name);
      }
      const keySet = keySetAfter(before.get(name) ?? EMPTY_KEY_SET, { type: "configured", keys }, nowMs);
      this.#keySets.set(name, keySet);
    }
    return notes;
  }

  /** Other rotations beside a configuration: as {@link configure}. */
  adopt(
    rotations: readonly KeptRotation[],
    environments: readonly EnvironmentConfig[],
    nowMs: number,
  ): readonly RotationNote[] {
    for (const rotation of rotations) this.#rotations.set(rotation.keySet, rotation);
    return this.configure(environments, nowMs);
  }

  /** Whether the configuration has a key for another source. */
  #isElsewhere(keySet: string, key: string): boolean {
    const kind = kindOf(keySet);
    if (kind === undefined) return false;
    return [...this.#configured].some(
      ([other, keys]) => other !== keySet && kindOf(other) === kind && keys.some((one) => one.key === key),
    );
  }

  rotate(keySet: string, key: string, graceMs: number, nowMs: number): Rotation {
    const before = this.#keySets.get(keySet);
    if (before === undefined) return "unknown key set";
    if (this.#isTaken(keySet, key, nowMs)) return "key of another source";
    const after = keySetAfter(before, { type: "rotated", key, graceMs }, nowMs);
    if (after.length > KEY_SET_MAX_KEYS) return "too many keys";
    this.#keySets.set(keySet, after);
    const configured = (this.#configured.get(keySet) ?? []).map((one) => one.key);
    const rotated = rotationOf(this.#rotations.get(keySet), { keySet, before, after, configured, atMs: nowMs });
    this.#rotations.set(keySet, rotated);
    return "rotated";
  }

  /** A key names one source, as in the configuration. */
  #isTaken(keySet: string, key: string, nowMs: number): boolean {
    const kind = kindOf(keySet);
    if (kind === undefined) return false;
    return [...this.#keySets].some(
      ([other, keys]) => other !== keySet && kindOf(other) === kind && acceptedKeys(keys, nowMs).includes(key),
    );
  }

  /** A vendor has refused the destination's key. Whether another one is used now. */
  refused(environment: string, destination: string, nowMs: number): boolean {
    const name = destinationKeySet(environment, destination);
    const keySet = this.#keySets.get(name) ?? EMPTY_KEY_SET;
    const serving = servingKey(keySet, nowMs);
    if (serving === undefined) return false;
    const after = keySetAfter(keySet, { type: "refused", key: serving }, nowMs);
    this.#keySets.set(name, after);
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
      const keySet = this.#keySets.get(sourceKeySet(environment, source.name, kind)) ?? EMPTY_KEY_SET;
      const accepted = acceptedKeys(keySet, nowMs);
      return keySet
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
    const serving = servingKey(
      this.#keySets.get(destinationKeySet(environment, destination.name)) ?? EMPTY_KEY_SET,
      nowMs,
    );
    return serving === undefined ? destination : { ...destination, writeKey: serving };
  }
}

/**
 * What a rotation and the file make of a key set, in words, with a fingerprint in place of the key.
 */
export interface RotationNote {
  readonly keySet: string;
  /** Whether the rotation holds. */
  readonly holds: boolean;
  readonly text: string;
}

function noteOf(rotation: KeptRotation, merged: Merged): RotationNote {
  const { keySet } = rotation;
  const at = new Date(rotation.atMs).toISOString();
  const what = `${rotation.keySet.trim()}: the key that the admin API rotated in at ${at} (fingerprint ${fingerprintOf(rotation)})`;
  if (merged.holds)
    return {
      keySet,
      holds: true,
      text: `${what} wins: the file has a key that it replaced; put the new one in its place`,
    };
  return { keySet, holds: false, text: `${what} ${OVER[merged.because]}` };
}

const OVER: Readonly<Record<Exclude<Merged, { readonly holds: true }>["because"], string>> = {
  "has it": "is in the file now: from here on the file alone decides",
  "has others": "gives way: the file has none of the keys that it replaced, so it was written since; the file wins",
  "gives it away": "gives way: the file has that key for another source; the file wins",
};

function configuredKeySets(environments: readonly EnvironmentConfig[]): ReadonlyMap<string, readonly ConfiguredKey[]> {
  const keySets = new Map<string, readonly ConfiguredKey[]>();
  for (const environment of environments) {
    for (const source of environment.sources)
      for (const kind of kindsOf(source))
        keySets.set(
          sourceKeySet(environment.name, source.name, kind),
          source.keys.filter((key) => key.kind === kind),
        );
    for (const { name, writeKey } of environment.destinations)
      if (writeKey !== "") keySets.set(destinationKeySet(environment.name, name), [{ key: writeKey }]);
  }
  return keySets;
}

/** Whose key set it is. */
export function ownerOf(keySet: string): Pick<RotationView, "environment" | "source" | "destination"> {
  const { kind: _kind, ...owner } = partsOf(keySet);
  return owner;
}

function partsOf(keySet: string): Pick<RotationView, "environment" | "source" | "destination" | "kind"> {
  const [, what, environment = "", name = "", kind = ""] = /^(\S+) ([^/]*)\/(\S*) ?(.*)$/.exec(keySet) ?? [];
  if (what === "destination") return { environment, destination: name };
  return { environment, source: name, ...(kind === "mobile" || kind === "js" ? { kind } : {}) };
}

function kindsOf({ keys }: SourceConfig): readonly SourceKey["kind"][] {
  return [...new Set(keys.map(({ kind }) => kind))];
}

/** Of a source's key set; `undefined` for a destination's. */
function kindOf(keySet: string): string | undefined {
  return /^source \S+ (.*)$/.exec(keySet)?.[1];
}

export function sourceKeySet(environment: string, source: string, kind: SourceKey["kind"] = ""): string {
  return `source ${environment}/${source} ${kind}`;
}

export function destinationKeySet(environment: string, destination: string): string {
  return `destination ${environment}/${destination}`;
}
