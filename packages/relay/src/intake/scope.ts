import { createHash } from "node:crypto";

/**
 * Tells the ids of a source apart from those of others. It stays over reloads and restarts,
 * whatever sources there are beside it.
 */
export function scopeOf(environment: string, source: string): number {
  return createHash("sha256").update(`${environment}/${source}`).digest().readUInt32LE(0);
}
