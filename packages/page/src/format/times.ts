/** Instants in the reader's zone, the exact UTC for the title, and durations. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TEN_SECONDS = 10 * SECOND;
/** Below, a duration of a request has a digit after the point. */
const TEN_MS = 10;
/** The last instant that a date can name. */
const LAST_MS = 8_640_000_000_000_000;

/** `350 ms`, `1.2 s`, `4 min 10 s`, `3 h 12 min`, `2 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < TEN_MS && ms !== Math.round(ms)) return `${ms.toFixed(1)} ms`;
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < TEN_SECONDS) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return twoUnits(ms, [MINUTE, "min"], [SECOND, "s"]);
  if (ms < DAY) return twoUnits(ms, [HOUR, "h"], [MINUTE, "min"]);
  return twoUnits(ms, [DAY, "d"], [HOUR, "h"]);
}

type Unit = readonly [ms: number, name: string];

function twoUnits(ms: number, [large, largeName]: Unit, [small, smallName]: Unit): string {
  const first = Math.floor(ms / large);
  const second = Math.floor((ms % large) / small);
  return second === 0 ? `${first} ${largeName}` : `${first} ${largeName} ${second} ${smallName}`;
}

/** One unit, for ages that change while one reads: `now`, `12 s ago`, `4 min ago`. */
export function age(atMs: number, nowMs: number): string {
  const ms = nowMs - atMs;
  if (ms < SECOND) return "now";
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s ago`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ago`;
  return ms < DAY ? `${Math.floor(ms / HOUR)} h ago` : `${Math.floor(ms / DAY)} d ago`;
}

/** What remains until then: `in 4 h 10 min`, `in 12 d`, or `now`. */
export function remaining(atMs: number, nowMs: number): string {
  const ms = atMs - nowMs;
  if (ms >= 2 * DAY) return `in ${Math.floor(ms / DAY)} d`;
  return ms <= 0 ? "now" : `in ${duration(ms - (ms % (ms < MINUTE ? SECOND : MINUTE)))}`;
}

/** `2026-11-22T02:59:23.123Z`; nothing for what is not an instant. */
export function exactUtc(atMs: number): string {
  return Number.isFinite(atMs) && Math.abs(atMs) <= LAST_MS ? new Date(atMs).toISOString() : "";
}

/** In the reader's zone: `14:02:07` today, otherwise `21 Nov 2026, 14:02:07`. */
export function localTime(atMs: number, nowMs: number, timeZone = ""): string {
  const { day, time } = formatsOf(timeZone);
  const at = new Date(atMs);
  const today = day.format(new Date(nowMs));
  const that = day.format(at);
  return that === today ? time.format(at) : `${that}, ${time.format(at)}`;
}

interface Formats {
  readonly day: Intl.DateTimeFormat;
  readonly time: Intl.DateTimeFormat;
}

/** By zone: to make one takes longer than to draw a row. */
const formats = new Map<string, Formats>();

function formatsOf(timeZone: string): Formats {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const zone = timeZone === "" ? {} : { timeZone };
  const made = {
    day: new Intl.DateTimeFormat("en-GB", { ...zone, day: "numeric", month: "short", year: "numeric" }),
    time: new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  };
  formats.set(timeZone, made);
  return made;
}

/** For moments that are nearer to each other than a second. */
export function preciseTime(atMs: number, nowMs: number, timeZone = ""): string {
  const milliseconds = String(Math.floor(atMs % SECOND)).padStart(3, "0");
  return `${localTime(atMs, nowMs, timeZone)}.${milliseconds}`;
}

/** What `<input type="datetime-local">` shows, in the reader's zone. */
export function toLocalInput(iso: string): string {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return "";
  const date = new Date(at);
  const local = new Date(at - date.getTimezoneOffset() * MINUTE);
  return local.toISOString().slice(0, "2026-11-22T02:59:23".length);
}

/** ISO 8601 in UTC of what the reader has put in; nothing for nothing. */
export function fromLocalInput(value: string): string {
  const at = Date.parse(value);
  return Number.isNaN(at) ? "" : new Date(at).toISOString();
}
