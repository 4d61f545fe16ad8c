/** What the JSON schema says against a configuration, in words. A value whose schema is `writeOnly` is a secret, or may carry one: it is never shown. */
import { nearest } from "@waybill/core";
import type { ErrorObject } from "ajv";
import type { ConfigFault } from "./faults.ts";
import type { Path, Places } from "./places.ts";

export function schemaFaults(errors: readonly ErrorObject[], places: Places): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const seen = new Set<string>();
  for (const error of errors) {
    // The branches of "a number or a text with a unit" are reported by their parent.
    if (error.schemaPath.includes("/anyOf/")) continue;
    const fault = schemaFault(error, places);
    const text = `${fault.path} ${fault.message}`;
    if (!seen.has(text)) faults.push(fault);
    seen.add(text);
  }
  return faults;
}

function schemaFault(error: ErrorObject, places: Places): ConfigFault {
  const path = error.instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const params = error.params as Readonly<Record<string, unknown>>;
  switch (error.keyword) {
    case "additionalProperties": {
      const key = String(params["additionalProperty"]);
      const known = Object.keys((error.parentSchema?.["properties"] as object | undefined) ?? {});
      const near = nearest(key, known);
      const hint = near === undefined ? `known keys: ${known.join(", ")}` : `did you mean "${near}"?`;
      return { ...places.of([...path, key], { key: true }), message: "unknown key", hint };
    }
    case "required":
      return requiredFault(error, path, places);
    case "propertyNames":
      return { ...places.of([...path, String(params["propertyName"])], { key: true }), ...INVALID_NAME };
    case "pattern":
      if (error.schemaPath.includes("propertyNames"))
        return { ...places.of([...path, String(error.data)], { key: true }), ...INVALID_NAME };
      return {
        ...places.of(path),
        message: `is ${shown(error, path, places)}, which has not the right form`,
        ...exampleHint(error),
      };
    case "enum": {
      const allowed = params["allowedValues"] as readonly string[];
      const near = typeof error.data === "string" ? nearest(error.data, allowed) : undefined;
      return {
        ...places.of(path),
        message: `is ${shown(error, path, places)}; it must be one of ${allowed.join(", ")}`,
        ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
      };
    }
    case "anyOf":
      return {
        ...places.of(path),
        message: `is ${shown(error, path, places)}; it must be ${alternatives(error)}`,
        ...exampleHint(error),
      };
    default:
      return { ...places.of(path), message: error.message ?? error.keyword, ...exampleHint(error) };
  }
}

const INVALID_NAME = {
  message: "is no valid name",
  hint: "1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit",
};

function requiredFault(error: ErrorObject, path: Path, places: Places): ConfigFault {
  const key = String((error.params as Readonly<Record<string, unknown>>)["missingProperty"]);
  const properties = new Map(
    Object.entries((error.parentSchema?.["properties"] ?? {}) as Readonly<Record<string, { description?: string }>>),
  );
  const hint = properties.get(key)?.description;
  return { ...places.of([...path, key]), message: "is required", ...(hint === undefined ? {} : { hint }) };
}

function shown({ data, parentSchema }: ErrorObject, path: Path, places: Places): string {
  return parentSchema?.["writeOnly"] === true ? "a value that is not shown" : places.shown(path, data);
}

/** What the branches allow. */
function alternatives({ parentSchema, data }: ErrorObject): string {
  const branches = (parentSchema?.["anyOf"] ?? []) as readonly {
    readonly type?: string;
    readonly minimum?: number;
    readonly maximum?: number;
  }[];
  if (branches.some(({ type }) => type === "object"))
    return "a text of 1 to 256 characters, or { key, expires } with an ISO time such as 2027-01-01T00:00:00Z";
  const whole = branches.find(({ type }) => type === "integer");
  if (whole === undefined) return "a text, or false";
  if (typeof data !== "number" || !Number.isInteger(data)) return "a whole number or a text with a unit";
  return `from ${whole.minimum ?? 0} to ${whole.maximum ?? "any number"}`;
}

function exampleHint(error: ErrorObject): { readonly hint?: string } {
  const examples = error.parentSchema?.["examples"] as readonly unknown[] | undefined;
  return examples?.[0] === undefined ? {} : { hint: `for example ${String(examples[0])}` };
}
