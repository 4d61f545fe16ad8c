/** What Mixpanel's `/import` asks of an event, and what it does to texts. */
import { isObject } from "./emulator.ts";

const EVENT_MAX_BYTES = 1_048_576;
const MEMBERS_MAX = 254;
const DEPTH_MAX = 3;
const TEXT_MAX_CHARACTERS = 255;
const INSERT_ID_MAX_BYTES = 36;
const HOUR_MS = 3_600_000;
const AGE_MAX_MS: number = 5 * 24 * HOUR_MS;
const EARLIEST_MS: number = Date.UTC(1971, 0, 1);
/** Smaller numbers are seconds: as milliseconds they would be before 1973. */
const MILLISECONDS_FROM = 1e11;

/** Ids that stand for nobody in careless code. */
const REFUSED_IDS = new Set(
  "anon anonymous nil none null n/a undefined 0 -1 true false [] {} <nil> na unknown 00000000-0000-0000-0000-000000000000".split(
    " ",
  ),
);

export interface MixpanelFault {
  readonly field: string;
  readonly message: string;
}

/** What `/import` has against an event; `undefined` for nothing. */
export function eventFault(item: unknown, nowMs: number): MixpanelFault | undefined {
  if (!isObject(item)) return { field: "", message: "the event is not an object" };
  if (JSON.stringify(item).length > EVENT_MAX_BYTES) return { field: "", message: "the event has more than 1 MB" };
  const { event, properties } = item;
  if (typeof event !== "string" || event === "") return { field: "event", message: "event must not be missing" };
  if (!isObject(properties)) return { field: "properties", message: "properties must be an object" };
  if (Object.keys(properties).length > MEMBERS_MAX)
    return { field: "properties", message: "the event has more than 254 properties" };
  if (!Object.values(properties).every((value) => isFlat(value, DEPTH_MAX)))
    return { field: "properties", message: "a property is nested too deep or has too many elements" };
  return idFault(properties) ?? timeFault(properties["time"], nowMs);
}

function idFault(properties: Readonly<Record<string, unknown>>): MixpanelFault | undefined {
  const { $insert_id: insertId, distinct_id: distinctId } = properties;
  if (typeof insertId !== "string" || insertId === "")
    return { field: "properties.$insert_id", message: "'properties.$insert_id' must not be missing" };
  if (!/^[A-Za-z0-9-]+$/.test(insertId) || insertId.length > INSERT_ID_MAX_BYTES || REFUSED_IDS.has(insertId))
    return { field: "properties.$insert_id", message: `'properties.$insert_id' is invalid: ${insertId}` };
  if (typeof distinctId !== "string")
    return { field: "properties.distinct_id", message: "'properties.distinct_id' must not be missing" };
  if (REFUSED_IDS.has(distinctId.toLowerCase()))
    return { field: "properties.distinct_id", message: `'properties.distinct_id' is invalid: ${distinctId}` };
  return undefined;
}

function timeFault(time: unknown, nowMs: number): MixpanelFault | undefined {
  const atMs = timeMsOf(time);
  const field = "properties.time";
  if (atMs === undefined) return { field, message: "'properties.time' must not be missing" };
  if (atMs < EARLIEST_MS || atMs > nowMs + HOUR_MS)
    return { field, message: `'properties.time' is invalid: must be after 1971 and at most an hour ahead` };
  return undefined;
}

/** Seconds or milliseconds as milliseconds. */
export function timeMsOf(time: unknown): number | undefined {
  if (typeof time !== "number") return undefined;
  return time < MILLISECONDS_FROM ? time * 1_000 : time;
}

/** The open route keeps the last five days alone. */
export function isTooOld(time: unknown, nowMs: number): boolean {
  const atMs = timeMsOf(time);
  return atMs !== undefined && atMs < nowMs - AGE_MAX_MS;
}

function isFlat(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  const members: readonly unknown[] = Object.values(value);
  return depth > 0 && members.length <= MEMBERS_MAX && members.every((member) => isFlat(member, depth - 1));
}

/** Texts are cut in silence. */
export function withShortTexts(value: unknown): unknown {
  if (typeof value === "string") return value.slice(0, TEXT_MAX_CHARACTERS);
  if (Array.isArray(value)) return value.map(withShortTexts);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, withShortTexts(member)]));
}
