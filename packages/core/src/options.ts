import { WaybillError } from "./errors.ts";
import { nearest } from "./nearest.ts";
import { isHttpUrl } from "./requests.ts";

/** What one option may be. */
export type OptionSpec =
  | "string"
  | "boolean"
  | "function"
  | "object"
  | "array"
  /** A string that must be given and is not empty. */
  | "required"
  /** A string that is an http or https URL. */
  | "url"
  /** A whole number; or `max` itself, which may be `Infinity`. */
  | { readonly min: number; readonly max: number }
  /** One of these. */
  | readonly string[];

/**
 * Checks `given` against `specs` and fills in `defaults`.
 *
 * **Errors**: one `WAYBILL_OPTIONS` that names every fault at once; an unknown key is refused with
 * the nearest known one.
 */
export function resolveOptions<T extends object>(
  owner: string,
  given: object,
  specs: Readonly<Record<keyof T & string, OptionSpec>>,
  defaults: Partial<T>,
): T {
  if (kindOf(given) !== "object")
    throw new WaybillError("WAYBILL_OPTIONS", `${owner}: the options are ${show(given)}; they must be an object`);
  const faults: string[] = [];
  const known = Object.keys(specs);
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue;
    const hint = nearest(key, known);
    faults.push(`unknown option "${key}"${hint === undefined ? "" : `; did you mean "${hint}"?`}`);
  }
  const resolved: Record<string, unknown> = { ...defaults };
  for (const [key, spec] of Object.entries<OptionSpec>(specs)) {
    const value = (given as Record<string, unknown>)[key];
    const [fits, expected] = check(value, spec);
    if (value === undefined) {
      if (spec === "required") faults.push(`option "${key}" is required: ${expected}`);
    } else if (fits) resolved[key] = value;
    else faults.push(`option "${key}" is ${show(value)}; it must be ${expected}`);
  }
  if (faults.length > 0) throw new WaybillError("WAYBILL_OPTIONS", `${owner}: ${faults.join("; ")}`);
  return resolved as T;
}

/** Whether the value meets the spec, and what the spec expects. */
function check(value: unknown, spec: OptionSpec): readonly [fits: boolean, expected: string] {
  const kind = kindOf(value);
  if (spec === "required") return [kind === "string" && value !== "", "a string that is not empty"];
  if (spec === "url") return [isHttpUrl(value), "an http or https URL"];
  if (typeof spec === "string") return [kind === spec, withArticle(spec)];
  if (!("min" in spec)) return [spec.includes(value as string), `one of ${spec.map((word) => `"${word}"`).join(", ")}`];
  const { min, max } = spec;
  const fits = value === max || (Number.isInteger(value) && (value as number) >= min && (value as number) <= max);
  return [fits, `a whole number from ${min} to ${max}`];
}

function show(value: unknown): string {
  if (typeof value === "string") return `"${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`;
  return typeof value === "object" && value !== null ? withArticle(kindOf(value)) : String(value);
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
}

function withArticle(kind: string): string {
  return `${/^[ao]/.test(kind) ? "an" : "a"} ${kind}`;
}
