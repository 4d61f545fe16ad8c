/** The admin API as an OpenAPI 3.1 document, made of the route table. */
import { own } from "@waybill/core";
import { z } from "zod";
import { VERSION } from "../version.ts";
import { answersOf, PROBLEM_TYPE, type RouteAnswer, type RouteDefinition, TROUBLE } from "./routes/route.ts";
import { ADMIN_ROUTES } from "./routes/table.ts";
import { components } from "./schemas/common.ts";

type Schema = Readonly<Record<string, unknown>>;

const REFERENCE = "#/components/schemas/";
const JSON_TYPE = "application/json";

/** What of the document its readers here use; the rest is as OpenAPI 3.1 has it. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface OpenApiOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly security?: readonly unknown[];
  readonly parameters: readonly ParameterDescription[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>;

/** The document, as `GET /openapi.json` answers it. */
export function openApiDocument(): OpenApiDocument {
  const paths: Record<string, Record<string, OpenApiOperation>> = {};
  for (const [operationId, route] of Object.entries<RouteDefinition>(ADMIN_ROUTES))
    paths[route.path] = {
      ...own(paths, route.path),
      [route.method.toLowerCase()]: operationOf(operationId, route),
    };
  const document = {
    openapi: "3.1.0",
    info: {
      title: "Waybill relay admin API",
      version: VERSION,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    components: { schemas: componentSchemas(), securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    security: [{ token: [] }],
  };
  return document;
}

function componentSchemas(): Readonly<Record<string, Schema>> {
  const { schemas } = z.toJSONSchema(components, { uri: (id) => `${REFERENCE}${id}`, io: "input" });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, plain(schema)]));
}

function operationOf(operationId: string, route: RouteDefinition): OpenApiOperation {
  const { summary, access = "guarded", body } = route;
  const isOpen = access === "open" || access === "probe";
  return {
    operationId,
    summary,
    ...(isOpen ? { security: [] } : {}),
    parameters: [...parametersOf(route.params, "path"), ...parametersOf(route.query, "query")],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { [JSON_TYPE]: { schema: schemaOf(body) } } } }),
    responses: {
      ...Object.fromEntries(Object.entries(answersOf(route)).map(([status, answer]) => [status, responseOf(answer)])),
      default: responseOf(TROUBLE),
    },
  };
}

interface ParameterDescription {
  readonly name: string;
  readonly in: "path" | "query";
  readonly required: boolean;
  readonly description: string;
  readonly schema: Schema;
}

function parametersOf(schema: z.ZodObject | undefined, place: "path" | "query"): readonly ParameterDescription[] {
  if (schema === undefined) return [];
  const { properties = {} } = z.toJSONSchema(schema, { io: "input" });
  return Object.entries(properties).map(([name, property]) => {
    const { description = "", ...rest } = property as Schema & { readonly description?: string };
    return { name, in: place, required: place === "path", description, schema: rest };
  });
}

function responseOf({
  description,
  schema,
  type = JSON_TYPE,
  codes,
}: RouteAnswer): OpenApiOperation["responses"][string] {
  const text = codes === undefined ? description : `${description} Codes: ${codes.join(", ")}.`;
  if (schema === undefined && type === JSON_TYPE) return { description: text };
  const isJson = type === JSON_TYPE || type === PROBLEM_TYPE;
  return { description: text, content: { [type]: { schema: isJson ? schemaOf(schema) : { type: "string" } } } };
}

/** A reference to a component, or what the schema says itself. */
function schemaOf(schema: z.ZodType | undefined): Schema {
  if (schema === undefined) return {};
  const id = components.get(schema)?.id;
  if (id !== undefined) return { $ref: `${REFERENCE}${id}` };
  if (schema instanceof z.ZodArray) return { type: "array", items: schemaOf(schema.element as z.ZodType) };
  if (schema instanceof z.ZodUnion) return { anyOf: schema.options.map((option) => schemaOf(option as z.ZodType)) };
  return plain(z.toJSONSchema(schema, { io: "input" }));
}

/** Without what only a document of its own needs. */
function plain(schema: Schema): Schema {
  const { $schema: _dialect, $id: _id, ...rest } = schema;
  return rest;
}
