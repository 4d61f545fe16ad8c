/** The published JSON schema of the configuration file, made from the schemas that check it. */
import { z } from "zod";
import { configSchema } from "./schema.ts";

const ID = "https://waybill.dev/schemas/relay-config.json";

/** For editors, and for the documentation: what may be written in the file. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  const schema = z.toJSONSchema(configSchema, {
    io: "input",
    target: "draft-7",
    override({ zodSchema, jsonSchema }) {
      const examples = z.globalRegistry.get(zodSchema)?.examples;
      // Left out of what is transformed; ours are examples of the file.
      if (Array.isArray(examples)) jsonSchema.examples = [...(examples as unknown[])] as never;
      // A map whose members have defaults needs none itself.
      if (typeof jsonSchema.default === "object") delete jsonSchema.default;
      delete jsonSchema["id"];
    },
  });
  const { $schema, ...rest } = schema;
  return { $schema, $id: ID, ...rest };
}
