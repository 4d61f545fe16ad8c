import type { HttpResponse } from "./runtime.ts";

/** A wait named by a vendor beyond this is taken for a clock or unit error and ignored. */
const SANE_MAX_MS = 24 * 3_600_000;
const SECOND_MS = 1_000;

const TOO_MANY_REQUESTS = 429;

/**
 * The wait that a response requests: `Retry-After` as seconds (also with a fraction) or as an HTTP
 * date (RFC 9110 10.2.3), else, of a 429, `X-RateLimit-Reset` as seconds to wait or, above a
 * billion, as a time in epoch seconds: vendors have that one in all their answers. `undefined` when
 * there is none that makes sense, or that is not over: no wait is requested then.
 */
export function retryAfterMs(
  { status, headers }: Pick<HttpResponse, "status" | "headers">,
  nowMs: number,
): number | undefined {
  const reset = status === TOO_MANY_REQUESTS ? headers["x-ratelimit-reset"] : undefined;
  const waits = [waitMs(headers["retry-after"], nowMs), resetMs(reset, nowMs)];
  return waits.find((ms) => ms > 0 && ms <= SANE_MAX_MS);
}

/** Not a number when there is none. */
function waitMs(text: string | undefined, nowMs: number): number {
  if (text === undefined) return Number.NaN;
  if (/^\s*\d+(?:\.\d+)?\s*$/.test(text)) return Math.ceil(Number(text) * SECOND_MS);
  // Only the formats of an HTTP date begin with the name of a day.
  return /^\s*[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) - nowMs : Number.NaN;
}

/** No vendor requests a wait of thirty years: such a number is a time. */
const EPOCH_SECONDS_FROM = 1_000_000_000;

function resetMs(text: string | undefined, nowMs: number): number {
  const seconds = Number(text);
  return seconds >= EPOCH_SECONDS_FROM ? seconds * SECOND_MS - nowMs : waitMs(text, nowMs);
}
