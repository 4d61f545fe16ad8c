/**
 * What Amplitude keeps of a user or a group: its properties, changed by the operations of
 * `$identify`.
 */
import { isObject, type JsonObject } from "./emulator.ts";

const OPERATIONS: ReadonlySet<string> = new Set([
  "$set",
  "$setOnce",
  "$add",
  "$append",
  "$prepend",
  "$unset",
  "$preInsert",
  "$postInsert",
  "$remove",
  "$clearAll",
]);

/** Whether operations are beside plain names, which the vendor refuses. */
export function isMixed(properties: JsonObject): boolean {
  const names = Object.keys(properties);
  const operations = names.filter((name) => OPERATIONS.has(name)).length;
  return operations > 0 && operations < names.length;
}

/** `before` after the operations of `change`, in the vendor's order; plain names are a `$set`. */
export function changed(before: JsonObject, change: JsonObject): JsonObject {
  const names = Object.keys(change);
  if (!names.some((name) => OPERATIONS.has(name))) return { ...before, ...change };
  const after = new Map(Object.entries("$clearAll" in change ? {} : before));
  for (const operation of OPERATIONS) {
    const values = change[operation];
    if (isObject(values)) for (const [name, value] of Object.entries(values)) apply(after, operation, name, value);
  }
  return Object.fromEntries(after);
}

function apply(properties: Map<string, unknown>, operation: string, name: string, value: unknown): void {
  const before = properties.get(name);
  const list = listOf(before);
  switch (operation) {
    case "$setOnce":
      if (before === undefined) properties.set(name, value);
      return;
    case "$add":
      properties.set(name, Number(before ?? 0) + Number(value));
      return;
    case "$append":
      properties.set(name, [...list, ...listOf(value)]);
      return;
    case "$prepend":
      properties.set(name, [...listOf(value), ...list]);
      return;
    case "$postInsert":
      properties.set(name, [...list, ...listOf(value).filter((one) => !list.includes(one))]);
      return;
    case "$preInsert":
      properties.set(name, [...listOf(value).filter((one) => !list.includes(one)), ...list]);
      return;
    case "$remove":
      properties.set(
        name,
        list.filter((one) => !listOf(value).includes(one)),
      );
      return;
    case "$unset":
      properties.delete(name);
      return;
    default:
      properties.set(name, value);
  }
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}
