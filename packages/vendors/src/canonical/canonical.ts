/** From a vendor's own events to canonical ones: what every vendor's `toCanonical` shares. */
import type { EventType } from "./events.ts";

export type Json = Readonly<Record<string, unknown>>;

/** A canonical event, not yet as text. Its fields are as they came, whatever their type. */
export interface Canonical {
  readonly type: EventType;
  readonly [field: string]: unknown;
}

/** A copy without members that are undefined. */
export function present<T extends Canonical | Json>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}

/** The value, if it is an object; else an empty one. */
export function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

/** The JSON object that a text is; an empty one for anything else. Never throws. */
export function parsedObject(text: string): Json {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return {};
  }
}
