/** How problems are written. */
import type { RelayProblem } from "./views.ts";

/** An older time is ambiguous without its date. */
const DATE_NEEDED_MS = 20 * 3_600_000;
/** Reasons and errors are quoted up to here. */
const QUOTED_CHARACTERS = 300;

type Rest = Omit<RelayProblem, "severity" | "code" | "what" | "doThis" | "since"> & { readonly since?: number | null };

export function error(code: string, what: string, doThis: string, { since = null, ...rest }: Rest): RelayProblem {
  return { severity: "error", code, ...rest, since, what, doThis };
}

export function warning(code: string, what: string, doThis: string, { since = null, ...rest }: Rest): RelayProblem {
  return { severity: "warning", code, ...rest, since, what, doThis };
}

export function eventsText(events: number): string {
  return `${numberText(events)} ${events === 1 ? "event" : "events"}`;
}

export function requestsText(requests: number): string {
  return `${numberText(requests)} ${requests === 1 ? "request" : "requests"}`;
}

function numberText(number: number): string {
  return number.toLocaleString("en-US");
}

/** "14:02 UTC", with its date when that may be another day. */
export function timeText(atMs: number, now: number): string {
  const [date = "", time = ""] = new Date(atMs).toISOString().split("T");
  const text = `${time.slice(0, "00:00".length)} UTC`;
  return now - atMs < DATE_NEEDED_MS ? text : `${text} on ${date}`;
}

const UNITS: readonly (readonly [ms: number, name: string])[] = [
  [24 * 3_600_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"],
];

export function durationText(durationMs: number): string {
  const [ms, name] = UNITS.find(([unit]) => durationMs >= unit) ?? [1_000, "second"];
  const count = Math.floor(durationMs / ms);
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const BYTE_STEP = 1_024;

export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= BYTE_STEP && unit < BYTE_UNITS.length - 1; unit++) value /= BYTE_STEP;
  return `${Number(value.toPrecision(3))} ${BYTE_UNITS[unit]}`;
}

export function quote(given: string | null | undefined): string {
  const text = given ?? "";
  const short = text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}…` : text;
  return short.replace(/[.;\s]+$/, "") || "no reason is known";
}
