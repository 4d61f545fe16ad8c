/** What Amplitude finds wrong with the events of a request, by field and place. */

import { isMixed } from "./amplitude-properties.ts";
import { isObject, type JsonObject } from "./emulator.ts";

type Kind = "missing" | "invalid" | "length";

const MEMBERS: Readonly<Record<Kind, string>> = {
  missing: "events_with_missing_fields",
  invalid: "events_with_invalid_fields",
  length: "events_with_invalid_id_lengths",
};
/** Ids that many clients send when they have none. */
const PLACEHOLDERS: ReadonlySet<string> = new Set([
  "",
  "-1",
  "0",
  "00000000-0000-0000-0000-000000000000",
  "[]",
  "anonymous",
  "n/a",
  "nil",
  "none",
  "null",
  "undefined",
  "unknown",
  "{}",
]);
const OBJECTS = ["event_properties", "user_properties", "group_properties", "groups"] as const;
const DEPTH_MAX = 40;

/**
 * Places of events by kind of fault and by field; the real-time endpoint names only the first place
 * of each field.
 */
export class EventFaults {
  readonly #namesAll: boolean;
  readonly #places: Readonly<Record<Kind, Map<string, number[]>>> = {
    missing: new Map(),
    invalid: new Map(),
    length: new Map(),
  };
  count = 0;

  constructor(namesAll: boolean) {
    this.#namesAll = namesAll;
  }

  add(kind: Kind, field: string, index: number): void {
    this.count += 1;
    const places = this.#places[kind].get(field) ?? [];
    if (this.#namesAll || places.length === 0) places.push(index);
    this.#places[kind].set(field, places);
  }

  /** The members of the answer. */
  members(): JsonObject {
    const kinds = ["missing", "invalid", "length"] as const;
    const named = kinds.map((kind) => [MEMBERS[kind], Object.fromEntries(this.#places[kind])] as const);
    return Object.fromEntries(named.filter(([, fields]) => Object.keys(fields).length > 0));
  }
}

export function faultsOf(
  events: readonly unknown[],
  { minIdLength, namesAll }: { readonly minIdLength: number; readonly namesAll: boolean },
): EventFaults {
  const faults = new EventFaults(namesAll);
  for (const [index, event] of events.entries()) {
    if (!isObject(event)) {
      faults.add("invalid", "event", index);
      continue;
    }
    if (event["event_type"] === undefined || event["event_type"] === "") faults.add("missing", "event_type", index);
    else if (typeof event["event_type"] !== "string") faults.add("invalid", "event_type", index);
    const { time } = event;
    if (time !== undefined && time !== null && !Number.isSafeInteger(time)) faults.add("invalid", "time", index);
    for (const field of OBJECTS) if (isBadObject(event[field])) faults.add("invalid", field, index);
    const properties = event["user_properties"];
    if (event["event_type"] === "$identify" && isObject(properties) && isMixed(properties))
      faults.add("invalid", "user_properties", index);
    addIdFault(faults, event, index, minIdLength);
  }
  return faults;
}

function addIdFault(faults: EventFaults, event: JsonObject, index: number, minIdLength: number): void {
  const fields = ["user_id", "device_id"].filter((field) => event[field] !== undefined && event[field] !== null);
  if (fields.length === 0) return faults.add("missing", "user_id", index);
  const bad = fields.filter((field) => !isText(event[field]) || PLACEHOLDERS.has(event[field].toLowerCase()));
  for (const field of bad) faults.add("invalid", field, index);
  if (bad.length > 0 || fields.some((field) => isText(event[field]) && event[field].length >= minIdLength)) return;
  for (const field of fields) faults.add("length", field, index);
}

/** Ids that are too short are taken out of their event. */
export function withoutShortIds(event: JsonObject, minIdLength: number): JsonObject {
  const isKept = (name: string, value: unknown): boolean =>
    (name !== "user_id" && name !== "device_id") || (isText(value) && value.length >= minIdLength);
  return Object.fromEntries(Object.entries(event).filter(([name, value]) => isKept(name, value)));
}

function isBadObject(value: unknown): boolean {
  return value !== undefined && value !== null && (!isObject(value) || isDeeper(value, DEPTH_MAX));
}

function isDeeper(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((inner) => isDeeper(inner, left - 1));
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
