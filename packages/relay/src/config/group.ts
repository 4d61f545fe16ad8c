import type { z } from "zod";

/** A map that may be left out: its members have their defaults then. */
export function group<Schema extends z.ZodObject>(schema: Schema, description: string): z.ZodType<z.output<Schema>> {
  return schema.prefault({} as never).meta({ description }) as z.ZodType<z.output<Schema>>;
}
