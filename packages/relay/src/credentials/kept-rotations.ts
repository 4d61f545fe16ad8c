/**
 * Rotations by the admin API outlive reloads and restarts: which keys a key set has when the file
 * says one thing and a rotation another, as a function of both.
 *
 * A rotation holds while the file has the keys of before, or others beside one that was replaced:
 * whoever wrote it has not heard of the rotation, and the replaced key must not come back. When the
 * file has been given the new key, or has none of those that were replaced, somebody has written it
 * since: from then on the file alone decides.
 *
 * Keys that was in the file are kept as digests; those that came by a rotation in full, or nobody
 * could serve them after a restart.
 */
import { createHash } from "node:crypto";
import type { KeySet } from "./rotator.ts";

/** A key that a key set has, or had. */
export interface KeptKey {
  /** SHA-256, hexadecimal. */
  readonly digest: string;
  /** Epoch ms; absent for the one in use. */
  readonly expiresAtMs?: number;
  /** Of one that came by a rotation and may still be used. */
  readonly key?: string;
}

/** What became of one key set by the last rotation. */
export interface KeptRotation {
  readonly keySet: string;
  readonly atMs: number;
  /** Oldest first; the last one is in use, and has its key. */
  readonly keys: readonly KeptKey[];
  /** Digests of the keys that the file had. */
  readonly configured: readonly string[];
}

export interface ConfiguredKey {
  readonly key: string;
  readonly expiresAtMs?: number;
}

/**
 * What holds for a key set: its keys, the one in use first; or that the rotation is over, and why.
 */
export type Merged =
  | { readonly holds: true; readonly keys: readonly ConfiguredKey[] }
  | { readonly holds: false; readonly because: "has it" | "has others" | "gives it away" };

/** Of keys that are no longer valid; rotations without end must not grow it without end. */
const REPLACED_MAX = 1_000;
const FINGERPRINT_CHARACTERS = 8;

function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

/** Tells keys apart without telling them: the first characters of its SHA-256. */
export function fingerprintOf({ keys }: KeptRotation): string {
  return (keys.at(-1)?.digest ?? "").slice(0, FINGERPRINT_CHARACTERS);
}

/**
 * The record of a rotation that made `before` to `after` at `atMs`. `configured`: the keys that the
 * file has.
 */
export function rotationOf(
  known: KeptRotation | undefined,
  {
    keySet,
    before,
    after,
    configured,
    atMs,
  }: {
    readonly keySet: string;
    readonly before: KeySet;
    readonly after: KeySet;
    readonly configured: readonly string[];
    readonly atMs: number;
  },
): KeptRotation {
  const inUse = digestOf(after.at(-1)?.key ?? "");
  const inFile = new Set(configured.map(digestOf));
  const until = new Map(after.map(({ key, expiresAtMs }) => [digestOf(key), expiresAtMs]));
  const keys = new Map<string, KeptKey>();
  for (const kept of known?.keys ?? []) keys.set(kept.digest, kept);
  for (const { key } of before) {
    const digest = digestOf(key);
    keys.set(digest, { ...keys.get(digest), digest, ...(inFile.has(digest) ? {} : { key }) });
  }
  keys.delete(inUse);
  const replaced = [...keys.values()].map(({ digest, key, expiresAtMs = atMs }): KeptKey => {
    const validUntil = until.get(digest);
    if (validUntil === undefined) return { digest, expiresAtMs: Math.min(expiresAtMs, atMs) };
    return { digest, expiresAtMs: validUntil, ...(key === undefined ? {} : { key }) };
  });
  // Those that the file has, or that are valid, must not be forgotten.
  const needed = replaced.filter(({ digest }) => inFile.has(digest) || until.has(digest));
  const others = replaced.filter((one) => !needed.includes(one)).slice(-REPLACED_MAX);
  return {
    keySet,
    atMs,
    keys: [...others, ...needed, { digest: inUse, key: after.at(-1)?.key ?? "" }],
    configured: [...inFile],
  };
}

/**
 * `isElsewhere`: the file has a key in another key set, where it must be the only one of that name.
 */
export function mergedWith(
  { keys, configured: before }: KeptRotation,
  configured: readonly ConfiguredKey[],
  isElsewhere: (key: string) => boolean,
): Merged {
  const inUse = keys.at(-1);
  const known = new Map(keys.map((kept) => [kept.digest, kept]));
  const inFile = configured.map((one) => {
    const digest = digestOf(one.key);
    return { ...one, digest, kept: known.get(digest) };
  });
  const isSame = inFile.length === before.length && inFile.every(({ digest }) => before.includes(digest));
  const has = inFile.filter(({ digest }) => digest === inUse?.digest).length;
  if (has === inFile.length || (has > 0 && !isSame)) return { holds: false, because: "has it" };
  if (inFile.every(({ kept }) => kept === undefined)) return { holds: false, because: "has others" };
  if (inUse?.key === undefined || isElsewhere(inUse.key)) return { holds: false, because: "gives it away" };
  const rotated = keys.flatMap(({ key, expiresAtMs }) =>
    key === undefined || isElsewhere(key) ? [] : [{ key, ...(expiresAtMs === undefined ? {} : { expiresAtMs }) }],
  );
  const given = inFile.flatMap(({ key, expiresAtMs = Number.POSITIVE_INFINITY, kept }) => {
    const until = Math.min(expiresAtMs, kept?.expiresAtMs ?? Number.POSITIVE_INFINITY);
    return kept?.key === undefined ? [{ key, ...(Number.isFinite(until) ? { expiresAtMs: until } : {}) }] : [];
  });
  return { holds: true, keys: [...rotated.toReversed(), ...given] };
}

/** What is valid no more is kept as a digest alone. */
export function withoutExpired(rotation: KeptRotation, nowMs: number): KeptRotation {
  return {
    ...rotation,
    keys: rotation.keys.map((kept) =>
      kept.key !== undefined && kept.expiresAtMs !== undefined && kept.expiresAtMs <= nowMs
        ? { digest: kept.digest, expiresAtMs: kept.expiresAtMs }
        : kept,
    ),
  };
}

/** `undefined` when a value of JSON is not a list of rotations. */
export function parseRotations(value: unknown): readonly KeptRotation[] | undefined {
  return Array.isArray(value) && value.every(isRotation) ? value : undefined;
}

function isRotation(value: unknown): value is KeptRotation {
  if (typeof value !== "object" || value === null) return false;
  const { keySet, atMs, keys, configured } = value as Partial<Record<keyof KeptRotation, unknown>>;
  if (typeof keySet !== "string" || !isTime(atMs) || !Array.isArray(keys) || !keys.every(isKey)) return false;
  if (!Array.isArray(configured) || !configured.every((digest) => typeof digest === "string")) return false;
  const inUse = keys.at(-1);
  return inUse?.key !== undefined && inUse.expiresAtMs === undefined;
}

function isKey(value: unknown): value is KeptKey {
  if (typeof value !== "object" || value === null) return false;
  const { digest, key, expiresAtMs } = value as Partial<Record<keyof KeptKey, unknown>>;
  return (
    typeof digest === "string" &&
    (key === undefined || (typeof key === "string" && digestOf(key) === digest)) &&
    (expiresAtMs === undefined || isTime(expiresAtMs))
  );
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
