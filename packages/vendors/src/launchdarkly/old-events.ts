/**
 * Events of schema 1 and 2 as they come, checked field by field: one of a wrong type makes its
 * event, and only it, worthless. Source: protocol section 6.1.
 */

import { own } from "@waybill/core";

type Json = Readonly<Record<string, unknown>>;

/** In the order in which it is written; only what was there. */
export interface OldUser {
  readonly key: string;
  readonly [attribute: string]: unknown;
}

export type OldEvent =
  | {
      readonly kind: "feature";
      readonly creationDate: number;
      readonly key: string;
      readonly user: OldUser;
      readonly version: number | undefined;
      readonly variation: number | undefined;
      readonly value: unknown;
      readonly default: unknown;
      readonly trackEvents: boolean;
      readonly debugEventsUntilDate: number;
      readonly reason: unknown;
    }
  | {
      readonly kind: "custom";
      readonly creationDate: number;
      readonly key: string;
      readonly user: OldUser;
      readonly data: unknown;
      readonly metricValue: number | undefined;
    }
  | { readonly kind: "identify"; readonly creationDate: number; readonly user: OldUser }
  | {
      readonly kind: "alias";
      readonly creationDate: number;
      readonly key: string;
      readonly contextKind: string;
      readonly previousKey: string;
      readonly previousContextKind: string;
    };

const TEXT_ATTRIBUTES = ["secondary", "ip", "country", "email", "lastName", "firstName", "avatar", "name"] as const;

/** **Errors**: throws with the reason when the event is worthless. */
export function readOldEvent(value: unknown): OldEvent {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("not an object");
  const event = value as Json;
  const creationDate = dateOf(event["creationDate"], "creationDate") ?? 0;
  switch (event["kind"]) {
    case "feature":
      return {
        kind: "feature",
        creationDate,
        key: textOf(event["key"], "key"),
        user: userOf(event["user"]),
        version: integerOf(event["version"], "version"),
        variation: integerOf(event["variation"], "variation"),
        value: event["value"] ?? null,
        default: event["default"] ?? null,
        trackEvents: booleanOf(event["trackEvents"], "trackEvents"),
        debugEventsUntilDate: dateOf(event["debugEventsUntilDate"], "debugEventsUntilDate") ?? 0,
        reason: objectOf(event["reason"], "reason"),
      };
    case "custom":
      return {
        kind: "custom",
        creationDate,
        key: textOf(event["key"], "key"),
        user: userOf(event["user"]),
        data: event["data"] ?? undefined,
        metricValue: numberOf(event["metricValue"], "metricValue"),
      };
    case "identify":
      return { kind: "identify", creationDate, user: userOf(event["user"]) };
    case "alias":
      return {
        kind: "alias",
        creationDate,
        key: textOf(event["key"], "key"),
        contextKind: textOf(event["contextKind"], "contextKind"),
        previousKey: textOf(event["previousKey"], "previousKey"),
        previousContextKind: textOf(event["previousContextKind"], "previousContextKind"),
      };
    default:
      throw new Error(`unknown kind ${JSON.stringify(event["kind"])}`);
  }
}

/** Absent: nobody, with an empty key. Attributes that are not known at the top are left out. */
function userOf(value: unknown): OldUser {
  if (value === undefined) return { key: "" };
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("user is not an object");
  const user = value as Json;
  if (user["key"] === undefined || user["key"] === null) throw new Error("user has no key");
  const read: Record<string, unknown> = { key: textOf(user["key"], "user.key") };
  for (const name of TEXT_ATTRIBUTES) {
    const attribute = own(user, name);
    if (attribute === undefined || attribute === null) continue;
    read[name] = textOf(attribute, `user.${name}`);
  }
  const anonymous = user["anonymous"];
  if (anonymous !== undefined && anonymous !== null) read["anonymous"] = booleanOf(anonymous, "user.anonymous");
  const custom = user["custom"];
  if (custom !== undefined && custom !== null) read["custom"] = objectOf(custom, "user.custom");
  const privateAttrs = user["privateAttrs"];
  if (privateAttrs !== undefined && privateAttrs !== null) {
    if (!Array.isArray(privateAttrs) || privateAttrs.some((one) => typeof one !== "string"))
      throw new Error("user.privateAttrs is not a list of texts");
    read["privateAttrs"] = privateAttrs;
  }
  return read as OldUser;
}

function textOf(value: unknown, name: string): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw new Error(`${name} is not text`);
  return value;
}

function dateOf(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new Error(`${name} is not a date`);
  return value;
}

function integerOf(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Number.isSafeInteger(value)) throw new Error(`${name} is not a whole number`);
  return value as number;
}

function numberOf(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number") throw new Error(`${name} is not a number`);
  return value;
}

function objectOf(value: unknown, name: string): Json | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) throw new Error(`${name} is not an object`);
  return value as Json;
}

function booleanOf(value: unknown, name: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== "boolean") throw new Error(`${name} is neither true nor false`);
  return value;
}
