/** Pieces of the admin API's schemas, and the registry of those that have a name of their own. */
import { z } from "zod";

/** Schemas with a name: components of the OpenAPI document. */
export const components = z.registry<{ readonly id: string }>();

/** Names a schema: the OpenAPI document refers to it instead of repeating it. */
export function component<S extends z.ZodType>(id: string, schema: S): S {
  components.add(schema, { id });
  return schema;
}

/** What a schema describes, as nobody may change it. */
export type View<S extends z.ZodType> = ReadonlyDeep<z.infer<S>>;

type ReadonlyDeep<T> = T extends readonly (infer E)[]
  ? readonly ReadonlyDeep<E>[]
  : T extends object
    ? { readonly [K in keyof T]: ReadonlyDeep<T[K]> }
    : T;

export const text = (description: string): z.ZodString => z.string().describe(description);
export const flag = (description: string): z.ZodBoolean => z.boolean().describe(description);
/** A number of things, or of milliseconds. */
export const count = (description: string): z.ZodInt => z.int().min(0).describe(description);
/** It may have a fraction. */
export const amount = (description: string): z.ZodNumber => z.number().min(0).describe(description);
/** Differences may be negative. */
export const whole = (description: string): z.ZodInt => z.int().describe(description);
export const counts = (description: string): z.ZodRecord<z.ZodString, z.ZodInt> =>
  z.record(z.string(), z.int().min(0)).describe(description);

export const environmentName = text("Name of the environment.");
export const destinationName = text("Name of the destination.");
export const sourceName = text("Name of the source.");
