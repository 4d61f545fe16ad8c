/**
 * Maps whose keys are names that anybody may choose, `__proto__` among them: zod's own records
 * leave that one out.
 */
import { issueOf, type ValueFault } from "@waybill/vendors/config";
import { z } from "zod";

interface NameMapOptions<Value> {
  readonly description: string;
  /** What is wrong with a name or its value; `seen` has the names before it. */
  readonly faultOf: (name: string, value: unknown, seen: readonly string[]) => ValueFault | undefined;
  readonly is: (value: unknown) => value is Value;
  /** The JSON schema of a value. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** A map from any names. Its default is an empty one. */
export function nameMap<Value>({
  description,
  faultOf,
  is,
  json,
}: NameMapOptions<Value>): z.ZodType<Readonly<Record<string, Value>>> {
  return z
    .unknown()
    .transform((given, context): Readonly<Record<string, Value>> => {
      if (typeof given !== "object" || given === null || Array.isArray(given)) {
        context.issues.push({ code: "invalid_type", expected: "record", input: given });
        return z.NEVER;
      }
      const names: string[] = [];
      const entries: [string, Value][] = [];
      for (const [name, value] of Object.entries(given)) {
        const fault = faultOf(name, value, names);
        if (fault !== undefined) context.issues.push({ ...issueOf(fault, value), path: [name] });
        if (is(value)) entries.push([name, value]);
        names.push(name);
      }
      return Object.fromEntries(entries);
    })
    .meta({ description, type: "object", additionalProperties: json })
    .prefault({});
}
