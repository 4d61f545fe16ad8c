/**
 * Values of strangers read so that none of them can throw: JSON may hold anything where a text is
 * expected.
 */

/**
 * A text, or what is as good as one. `undefined` for all else: an object may not even have a text.
 */
export function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

/** The furthest that a date reaches from 1970 (ECMA-262 21.4.1.1). */
const DATE_MAX_MS = 8.64e15;

/** ISO 8601; `undefined` for what is not a time. */
export function isoOf(epochMs: unknown): string | undefined {
  return typeof epochMs === "number" && Math.abs(epochMs) <= DATE_MAX_MS ? new Date(epochMs).toISOString() : undefined;
}

/** Without the slashes at its end, in one look at each of them. */
export function withoutTrailingSlashes(url: string): string {
  let left = url;
  while (left.endsWith("/")) left = left.slice(0, -1);
  return left;
}
