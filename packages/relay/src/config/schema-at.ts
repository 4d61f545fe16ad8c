/**
 * Finds the schema of a value by the value's path, through optional ones, maps, lists and variants.
 */
import { own } from "@waybill/core";
import type { z } from "zod";
import { z as zod } from "zod";
import type { Path } from "./places.ts";

interface Def {
  readonly type: string;
  readonly innerType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly valueType?: z.core.$ZodType;
  readonly element?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
  readonly discriminator?: string;
}

export interface Found {
  readonly schema: z.core.$ZodType;
  /** The variants it is one of, where its options depend on a name in it. */
  readonly variants?: Variants;
}

export interface Variants {
  readonly discriminator: string;
  /** By that name. */
  readonly shapes: ReadonlyMap<string, Readonly<Record<string, z.core.$ZodType>>>;
}

/** `undefined` where no schema has such a path. */
export function schemaAt(root: z.core.$ZodType, path: Path, value: unknown): Found | undefined {
  let found = resolved(root, value);
  let at = value;
  for (const key of path) {
    const { shape, valueType, element } = defOf(found.schema);
    const next = (shape === undefined ? undefined : own(shape, String(key))) ?? valueType ?? element;
    if (next === undefined) return undefined;
    at = memberOf(at, key);
    found = resolved(next, at);
  }
  return found;
}

/** What a schema is described by, wherever it is in what wraps it. */
export function metaOf(schema: z.core.$ZodType): z.core.GlobalMeta {
  const { innerType, in: input } = defOf(schema);
  const inner = innerType ?? input;
  return { ...(inner === undefined ? {} : metaOf(inner)), ...zod.globalRegistry.get(schema) };
}

/** The schema's members, when it is an object's. */
export function shapeOf(schema: z.core.$ZodType): Readonly<Record<string, z.core.$ZodType>> | undefined {
  return defOf(unwrapped(schema)).shape;
}

function resolved(schema: z.core.$ZodType, value: unknown): Found {
  const inner = unwrapped(schema);
  const { options, discriminator } = defOf(inner);
  if (options === undefined || discriminator === undefined) return { schema: describedBy(schema, inner) };
  const shapes = new Map(
    options.map((option) => {
      const shape = shapeOf(option) ?? {};
      return [String(literalOf(own(shape, discriminator))), shape] as const;
    }),
  );
  const name = memberOf(value, discriminator);
  const variant = options.find((option) => literalOf(own(shapeOf(option) ?? {}, discriminator)) === name);
  return { schema: variant ?? (options[0] as z.core.$ZodType), variants: { discriminator, shapes } };
}

/** Objects are needed unwrapped; of others the wrapped one has the description. */
function describedBy(schema: z.core.$ZodType, inner: z.core.$ZodType): z.core.$ZodType {
  const { shape, valueType, element } = defOf(inner);
  return shape === undefined && valueType === undefined && element === undefined ? schema : inner;
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  const { innerType, in: input } = defOf(schema);
  const inner = innerType ?? input;
  return inner === undefined ? schema : unwrapped(inner);
}

function literalOf(schema: z.core.$ZodType | undefined): unknown {
  if (schema === undefined) return undefined;
  return [...(schema._zod.values ?? [])][0];
}

/** `undefined` where there is none. */
export function memberOf(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}

function defOf(schema: z.core.$ZodType): Def {
  return schema._zod.def as unknown as Def;
}
