/**
 * Mixpanel's profiles of users and groups: every operation is really applied, so that one that
 * comes twice is seen.
 */
import { isObject, type JsonObject } from "./emulator.ts";

type Apply = (profile: JsonObject, values: unknown) => JsonObject;

const OPERATIONS: Readonly<Record<string, Apply>> = {
  $set: (profile, values) => ({ ...profile, ...objectOf(values) }),
  $set_once: (profile, values) => ({ ...objectOf(values), ...profile }),
  $add: (profile, values) => changed(profile, values, (before, value) => Number(before ?? 0) + Number(value)),
  $append: (profile, values) => changed(profile, values, (before, value) => [...listOf(before), value]),
  $union: (profile, values) =>
    changed(profile, values, (before, value) => [...new Set([...listOf(before), ...listOf(value)])]),
  $remove: (profile, values) =>
    changed(profile, values, (before, value) => listOf(before).filter((one) => one !== value)),
  $unset: (profile, values) => {
    const names = listOf(values).map(String);
    return Object.fromEntries(Object.entries(profile).filter(([name]) => !names.includes(name)));
  },
};

export class MixpanelProfiles {
  /** By `$distinct_id`. */
  readonly users: Map<string, JsonObject> = new Map();
  /** By `$group_key`, a colon and `$group_id`. */
  readonly groups: Map<string, JsonObject> = new Map();
  /** Updates that were applied, oldest first. */
  readonly updates: JsonObject[] = [];

  /** Whether it is a valid update of a user; one with an unknown token is, and does nothing. */
  update(item: unknown, isToken: (token: unknown) => boolean): boolean {
    if (!isObject(item) || !isId(item["$distinct_id"])) return false;
    return this.#apply(this.users, String(item["$distinct_id"]), item, isToken);
  }

  updateGroup(item: unknown, isToken: (token: unknown) => boolean): boolean {
    if (!isObject(item) || !isId(item["$group_key"]) || !isId(item["$group_id"])) return false;
    return this.#apply(this.groups, `${String(item["$group_key"])}:${String(item["$group_id"])}`, item, isToken);
  }

  #apply(
    profiles: Map<string, JsonObject>,
    key: string,
    item: JsonObject,
    isToken: (token: unknown) => boolean,
  ): boolean {
    const names = Object.keys(item).filter((name) => name === "$delete" || Object.hasOwn(OPERATIONS, name));
    if (typeof item["$token"] !== "string" || names.length === 0) return false;
    if (!isToken(item["$token"])) return true;
    this.updates.push(item);
    for (const name of names) {
      if (name === "$delete") profiles.delete(key);
      else profiles.set(key, (OPERATIONS[name] as Apply)(profiles.get(key) ?? {}, item[name]));
    }
    return true;
  }
}

function changed(
  profile: JsonObject,
  values: unknown,
  change: (before: unknown, value: unknown) => unknown,
): JsonObject {
  const changes = Object.entries(objectOf(values)).map(([name, value]) => [name, change(profile[name], value)]);
  return { ...profile, ...Object.fromEntries(changes) };
}

function isId(value: unknown): boolean {
  return (typeof value === "string" && value !== "") || typeof value === "number";
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}
