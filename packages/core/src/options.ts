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
 * **Errors**: one `WAYBILL_OPTIONS` that names every fault at once; an unknown key is refused with
 * the nearest known one.
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
    const expected = unmet(value, spec.rule);
    if (value === undefined) {
      if (spec.required) faults.push(`option "${key}" is required: ${expected}`);
    } else if (expected === undefined) resolved[key] = value;
    else faults.push(`option "${key}" is ${show(value)}; it must be ${expected}`);
  }
  if (faults.length > 0) throw new WaybillError("WAYBILL_OPTIONS", `${owner}: ${faults.join("; ")}`);
  return resolved as T;
}

/** What the rule expects; `undefined` when the value meets it. */
function unmet(value: unknown, rule: OptionRule): string | undefined {
  const { kind } = rule;
  if (kind === "number") {
    const { min, max, integer = true } = rule;
    const fits = typeof value === "number" && value >= min && value <= max && (!integer || Number.isInteger(value));
    return fits ? undefined : `a ${integer ? "whole " : ""}number from ${min} to ${max}`;
  }
  if (kind === "choice")
    return rule.of.includes(value as string) ? undefined : `one of ${rule.of.map((word) => `"${word}"`).join(", ")}`;
  return kindOf(value) === kind ? undefined : withArticle(kind);
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
