import { WAVE_MAX_BYTES } from "./wave.ts";

/** What a probe writes at least: more than most requests. */
const PROBE_MIN_BYTES = 64 * 1024;
/** Knuth's multiplicative hash: its upper byte looks like chance. */
const PROBE_FACTOR = 0x9e3779b1;
const PROBE_SHIFT = 24;

/**
 * What is written to see whether a disk that failed works again. Where a larger wave failed, as
 * much as that had, up to a full wave.
 */
export function probeBytes(lastFailedBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(Math.max(PROBE_MIN_BYTES, Math.min(lastFailedBytes, WAVE_MAX_BYTES)));
  // Not zeros: a file system that packs its data would need no room for them.
  for (let at = 0; at < bytes.length; at++) bytes[at] = Math.imul(at, PROBE_FACTOR) >>> PROBE_SHIFT;
  return bytes;
}
