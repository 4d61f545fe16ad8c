/** Sizes and durations, wherever the schema has them: a text with a unit must stay within the limits that its number has. */
import { bytesOf, millisecondsOf } from "@waybill/vendors/config";
import type { ConfigFault } from "./faults.ts";
import type { Path, Places } from "./places.ts";

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly {
    readonly type?: string;
    readonly pattern?: string;
    readonly minimum?: number;
    readonly maximum?: number;
  }[];
}

export function quantityFaults(value: unknown, schema: Schema, places: Places, path: Path = []): ConfigFault[] {
  if (schema.anyOf !== undefined) return faultsOf(value, schema.anyOf, places, path);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  const properties = new Map(Object.entries(schema.properties ?? {}));
  return Object.entries(value).flatMap(([key, member]) => {
    const rest = typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
    const own = properties.get(key) ?? rest;
    return own === undefined ? [] : quantityFaults(member, own, places, [...path, key]);
  });
}

function faultsOf(value: unknown, anyOf: NonNullable<Schema["anyOf"]>, places: Places, path: Path): ConfigFault[] {
  const whole = anyOf.find(({ type }) => type === "integer");
  if (typeof value !== "string" || whole === undefined) return [];
  const isDuration = anyOf.some(({ pattern }) => pattern?.includes("ms|") === true);
  const amount = isDuration ? millisecondsOf(value) : bytesOf(value);
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = whole;
  if (amount >= minimum && amount <= maximum) return [];
  const unit = isDuration ? "ms" : "bytes";
  return [
    {
      ...places.of(path),
      message: `is ${places.shown(path, value)}; it must be from ${minimum} to ${maximum} ${unit}`,
    },
  ];
}
