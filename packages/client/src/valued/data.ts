/**
 * From anything to plain data: dotted keys become nested objects, registered classes and
 * `toValuedData` methods define how they look, times become ISO text with whole seconds. Whatever
 * else there is looks as JSON has it: by its `toJSON`, else by its members.
 */
import { own } from "@waybill/core";
import { wholeSeconds } from "@waybill/vendors";

/** What JSON can express. */
export type PlainData = null | boolean | number | string | readonly PlainData[] | PlainObject;
export interface PlainObject {
  readonly [key: string]: PlainData;
}

/** An object that converts itself. What it returns is converted again. */
export interface ValuedData {
  toValuedData(): unknown;
}

type Constructor<T> = abstract new (...args: never[]) => T;

const converters = new Map<unknown, (value: never) => unknown>();

export const Data = {
  /**
   * How objects of a class, and of classes derived from it, look. The nearest class counts; what
   * `convert` gives back is converted again.
   */
  register<T>(constructor: Constructor<T>, convert: (value: T) => unknown): void {
    converters.set(constructor, convert as (value: never) => unknown);
  },

  /** Forgets what was registered. */
  unregister(constructor: Constructor<unknown>): void {
    converters.delete(constructor);
  },

  /**
   * `{ "user.id": 1, "user.name": "A" }` is `{ user: { id: 1, name: "A" } }`, at every depth.
   * Undefined members are left out, NaN and infinities are null. An object's `toJSON` counts as
   * with `JSON.stringify`, after `toValuedData` and what is registered.
   * **Errors**: throws a `TypeError` for a function, or for data that contains itself.
   */
  normalize(value: unknown): PlainData {
    return normalize(value, "", new Set()) ?? null;
  },

  /** `b` into `a`, objects member by member; arrays and everything else are replaced. */
  merge(a: PlainObject, b: PlainObject): PlainObject {
    const merged: Growing = { ...a };
    for (const [key, value] of Object.entries(b)) {
      const before = own(merged, key);
      put(merged, key, isPlainObject(before) && isPlainObject(value) ? Data.merge(before, value) : value);
    }
    return merged;
  },
};

/** An object of data, from an object with dotted keys. */
export function objectOf(value: unknown): PlainObject {
  const data = Data.normalize(value ?? {});
  if (!isPlainObject(data)) throw new TypeError("Missing data hash");
  return data;
}

export function isPlainObject(value: unknown): value is PlainObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `key`: what it is called, for `toJSON`. `around`: the objects that it is in. */
function normalize(value: unknown, key: unknown, around: Set<object>): PlainData | undefined {
  switch (typeof value) {
    case "undefined":
      return undefined;
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : null;
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case "symbol":
      return value.description ?? "";
    case "function":
      throw new TypeError(`A function cannot be sent to Valued${value.name === "" ? "" : `: ${value.name}`}`);
    default:
      return value === null ? null : normalizeObject(value as object, key, around);
  }
}

function normalizeObject(value: object, key: unknown, around: Set<object>): PlainData | undefined {
  if (around.has(value)) throw new TypeError("Data that contains itself cannot be sent to Valued");
  around.add(value);
  const data = converted(value, key, around);
  around.delete(value);
  return data;
}

function converted(value: object, key: unknown, around: Set<object>): PlainData | undefined {
  const { toValuedData, toJSON } = value as Partial<ValuedData> & { readonly toJSON?: unknown };
  if (typeof toValuedData === "function") return normalize(toValuedData.call(value), key, around);
  const convert = converterOf(value);
  if (convert !== undefined) return normalize(convert(value as never), key, around);
  if (typeof toJSON !== "function" || isDate(value)) return written(value, key, around);
  const json: unknown = toJSON.call(value, String(key));
  // Once, as the JSON serialiser does: it may be the object itself, or a copy that has `toJSON`
  // too.
  return typeof json === "object" && json !== null ? written(json, key, around) : normalize(json, key, around);
}

/** An object that converts itself no further. */
function written(value: object, key: unknown, around: Set<object>): PlainData | undefined {
  if (isDate(value)) return Number.isNaN(Number(value)) ? null : (wholeSeconds(new Date(value).toISOString()) ?? null);
  if (BOXED.has(tagOf(value))) return normalize(value.valueOf(), key, around);
  if (Array.isArray(value) || value instanceof Set)
    return [...value].map((element: unknown, index) => normalize(element, index, around) ?? null);
  const entries = value instanceof Map ? [...(value as Map<unknown, unknown>)] : Object.entries(value);
  const data: Growing = {};
  for (const [name, member] of entries) {
    // It was called already.
    if (name === "toJSON" && typeof member === "function") continue;
    const normalized = normalize(member, name, around);
    if (normalized !== undefined) graft(data, pathOf(name), normalized);
  }
  return data;
}

/** `new String("a")` and the like. */
const BOXED: ReadonlySet<string> = new Set(["String", "Number", "Boolean", "BigInt", "Symbol"]);

/** Also of another realm, such as a frame or a context of `node:vm`. */
function isDate(value: object): value is Date {
  return tagOf(value) === "Date";
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** Data that nobody else has yet. */
type Growing = Record<string, PlainData>;

/** As {@link Data.merge} of what is nested at the path, into `data` itself: no key is copied. */
function graft(data: Growing, path: readonly string[], value: PlainData): void {
  let at = data;
  for (const part of path.slice(0, -1)) {
    const inner = own(at, part);
    const next: Growing = isPlainObject(inner) ? (inner as Growing) : {};
    if (next !== inner) put(at, part, next);
    at = next;
  }
  const last = path.at(-1) ?? "";
  const before = own(at, last);
  if (!isPlainObject(before) || !isPlainObject(value)) return put(at, last, value);
  for (const [key, member] of Object.entries(value)) graft(before as Growing, [key], member);
}

/** `__proto__` is a key like any other: an assignment would set the prototype. */
function put(data: Growing, key: string, value: PlainData): void {
  if (key !== "__proto__") data[key] = value;
  else Object.defineProperty(data, key, { value, configurable: true, enumerable: true, writable: true });
}

/** The nearest registered class of an object. */
function converterOf(value: object): ((value: never) => unknown) | undefined {
  if (converters.size === 0) return undefined;
  for (
    let prototype = Object.getPrototypeOf(value) as object | null;
    prototype !== null;
    prototype = Object.getPrototypeOf(prototype) as object | null
  ) {
    const convert = converters.get((prototype as { constructor?: unknown }).constructor);
    if (convert !== undefined) return convert;
  }
  return undefined;
}

/** `"user.id"`, `["user", "id"]` and `["user.id"]` are the same path. */
export function pathOf(key: unknown): readonly string[] {
  const parts = Array.isArray(key) ? key : [key];
  return parts.flatMap((part: unknown) =>
    (typeof part === "symbol" ? (part.description ?? "") : String(part)).split("."),
  );
}

/** `value` at a path. */
export function nested(path: readonly string[], value: PlainData): PlainObject {
  const data = path.reduceRight<PlainData>((inner, key) => ({ [key]: inner }), value);
  return data as PlainObject;
}
