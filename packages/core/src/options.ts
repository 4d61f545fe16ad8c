import { WaybillError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** What one option may be. */
export type OptionRule =
  | { readonly kind: "number"; readonly min: number; readonly max: number; readonly integer?: boolean }
  | { readonly kind: "string" | "boolean" | "function" | "object" | "array" }
  | { readonly kind: "choice"; readonly of: readonly string[] };

export interface OptionSpec {
  readonly rule: OptionRule;
  readonly required?: boolean;
}

/**
 * Checks `given` against `specs` and fills in `defaults`.
 *
 * **Errors**: one `WAYBILL_OPTIONS` that names every fault at once; an unknown key is refused with the nearest known one.
 */
export function resolveOptions<T extends object>(
  owner: string,
  given: object,
  specs: Readonly<Record<keyof T & string, OptionSpec>>,
  defaults: Partial<T>,
): T {
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
    if (value === undefined) {
      if (spec.required) faults.push(`option "${key}" is required: ${expectation(spec.rule)}`);
      continue;
    }
    if (fits(value, spec.rule)) resolved[key] = value;
    else faults.push(`option "${key}" is ${show(value)}; it must be ${expectation(spec.rule)}`);
  }
  if (faults.length > 0) throw new WaybillError("WAYBILL_OPTIONS", `${owner}: ${faults.join("; ")}`);
  return resolved as T;
}

function fits(value: unknown, rule: OptionRule): boolean {
  switch (rule.kind) {
    case "number":
      return (
        typeof value === "number" &&
        value >= rule.min &&
        value <= rule.max &&
        (rule.integer === false || Number.isInteger(value))
      );
    case "choice":
      return typeof value === "string" && rule.of.includes(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    default:
      return typeof value === rule.kind;
  }
}

function expectation(rule: OptionRule): string {
  switch (rule.kind) {
    case "number":
      return `${rule.integer === false ? "a number" : "a whole number"} from ${rule.min} to ${rule.max}`;
    case "choice":
      return `one of ${rule.of.map((word) => `"${word}"`).join(", ")}`;
    case "array":
    case "object":
      return `an ${rule.kind}`;
    default:
      return `a ${rule.kind}`;
  }
}

function show(value: unknown): string {
  if (typeof value === "string") return `"${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`;
  return typeof value === "object" && value !== null
    ? Array.isArray(value)
      ? "an array"
      : "an object"
    : String(value);
}
