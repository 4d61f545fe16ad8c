/**
 * From anything to plain data: dotted keys become nested objects, registered classes and
 * `toValuedData` methods define how they look, times become ISO text with whole seconds.
 */
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
   * Undefined members are left out, NaN and infinities are null.
   * **Errors**: throws a `TypeError` for a function, or for data that contains itself.
   */
  normalize(value: unknown): PlainData {
    return normalize(value, []) ?? null;
  },

  /** `b` into `a`, objects member by member; arrays and everything else are replaced. */
  merge(a: PlainObject, b: PlainObject): PlainObject {
    const merged: Record<string, PlainData> = { ...a };
    for (const [key, value] of Object.entries(b)) {
      const before = merged[key];
      merged[key] = isPlainObject(before) && isPlainObject(value) ? Data.merge(before, value) : value;
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

function normalize(value: unknown, around: readonly unknown[]): PlainData | undefined {
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
      return value === null ? null : normalizeObject(value as object, around);
  }
}

function normalizeObject(value: object, around: readonly unknown[]): PlainData | undefined {
  if (around.includes(value)) throw new TypeError("Data that contains itself cannot be sent to Valued");
  const inside = [...around, value];
  const { toValuedData } = value as Partial<ValuedData>;
  if (typeof toValuedData === "function") return normalize(toValuedData.call(value), inside);
  const convert = converterOf(value);
  if (convert !== undefined) return normalize(convert(value as never), inside);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : (wholeSeconds(value.toISOString()) ?? null);
  if (Array.isArray(value) || value instanceof Set)
    return [...value].map((element: unknown) => normalize(element, inside) ?? null);
  const entries = value instanceof Map ? [...(value as Map<unknown, unknown>)] : Object.entries(value);
  let data: PlainObject = {};
  for (const [key, member] of entries) {
    const normalized = normalize(member, inside);
    if (normalized !== undefined) data = Data.merge(data, nested(pathOf(key), normalized));
  }
  return data;
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
