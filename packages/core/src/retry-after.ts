/** A wait named by a vendor beyond this is taken for a clock or unit error and ignored. */
const SANE_MAX_MS = 24 * 3_600_000;
const SECOND_MS = 1_000;

/**
 * The wait that a response requests: `Retry-After` as seconds (also with a fraction) or as an HTTP
 * date (RFC 9110 10.2.3), else `X-RateLimit-Reset` as seconds to wait or, above a billion, as a
 * time in epoch seconds. `undefined` when there is none that makes sense.
 */
export function retryAfterMs(headers: Readonly<Record<string, string>>, nowMs: number): number | undefined {
  const waits = [waitMs(headers["retry-after"], nowMs), resetMs(headers["x-ratelimit-reset"], nowMs)];
  return waits.find((ms) => ms >= 0 && ms <= SANE_MAX_MS);
}

/** Not a number when there is none. */
function waitMs(text: string | undefined, nowMs: number): number {
  if (text === undefined) return Number.NaN;
  if (/^\s*\d+(?:\.\d+)?\s*$/.test(text)) return Math.ceil(Number(text) * SECOND_MS);
  // Only the formats of an HTTP date begin with the name of a day.
  return /^\s*[A-Za-z]{3,9},? /.test(text) ? Math.max(0, Date.parse(text) - nowMs) : Number.NaN;
}

/** No vendor requests a wait of thirty years: such a number is a time. */
const EPOCH_SECONDS_FROM = 1_000_000_000;

function resetMs(text: string | undefined, nowMs: number): number {
  const seconds = Number(text);
  return seconds >= EPOCH_SECONDS_FROM ? Math.max(0, seconds * SECOND_MS - nowMs) : waitMs(text, nowMs);
}
