/** The page of the admin API, made of the document that the relay serves. */
import { type OpenApiDocument, openApiDocument } from "@waybill/relay";

type Operation = OpenApiDocument["paths"][string][string];
type Schema = Readonly<Record<string, unknown>>;

const COMMON: ReadonlySet<string> = new Set(["400", "401", "403", "413", "415", "default"]);

/** In plain text, for one cell of a table. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

const COLUMNS = 100;

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-");
}

function wrapped(text: string): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

export function adminPage(): string {
  const { paths, components } = JSON.parse(JSON.stringify(openApiDocument())) as OpenApiDocument;
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ title: `${method.toUpperCase()} ${path}`, operation })),
  );
  return [
    "# The admin API",
    "",
    "The relay serves it on a port of its own (`admin.listen`, by default `127.0.0.1:8081`), and describes",
    "it as an OpenAPI 3.1 document at `GET /openapi.json`. Who is answered: [relay.md](relay.md).",
    "This page is made of the same table as the server, the document and the command line.",
    "",
    "| request | what it does |",
    "|---|---|",
    ...routes.map(({ title, operation }) => `| [\`${title}\`](#${anchorOf(title)}) | ${operation.summary} |`),
    "",
    "Besides its own answers, a route may give these. Each is a [Problem](#problem) whose `code` does not",
    "change between versions.",
    "",
    "| status | meaning |",
    "|---|---|",
    ...commonRows(routes.map(({ operation }) => operation)),
    "",
    "## Requests",
    "",
    ...routes.flatMap(({ title, operation }) => section(title, operation)),
    "## Schemas",
    "",
    ...Object.entries(components.schemas).flatMap(([name, schema]) => schemaSection(name, schema)),
  ].join("\n");
}

function commonRows(operations: readonly Operation[]): readonly string[] {
  const responses = operations.flatMap(({ responses: all }) => Object.entries(all));
  return [...COMMON].map((status) => {
    const [, response] = responses.find(([one]) => one === status) ?? [];
    return `| ${status === "default" ? "500, 503" : status} | ${cell(response?.description ?? "")} |`;
  });
}

function section(title: string, operation: Operation): readonly string[] {
  const { summary, security, parameters, requestBody, responses } = operation;
  const body = requestBody?.content["application/json"]?.schema;
  const own = Object.entries(responses).filter(([status]) => !COMMON.has(status));
  return [
    `### ${title}`,
    "",
    ...wrapped(security === undefined ? summary : `${summary} It is answered without a token.`),
    "",
    ...(parameters.length === 0
      ? []
      : [
          "| parameter | in | value | meaning |",
          "|---|---|---|---|",
          ...parameters.map(
            ({ name, in: place, description, schema }) =>
              `| \`${name}\` | ${place} | ${typeOf(schema)} | ${cell(description)} |`,
          ),
          "",
        ]),
    ...(body === undefined ? [] : [`Body: ${typeOf(body)}.`, ""]),
    "| status | answer | meaning |",
    "|---|---|---|",
    ...own.map(([status, { description, content = {} }]) => {
      const [[type, answer] = []] = Object.entries(content);
      const what = answer === undefined ? "" : isJson(type) ? typeOf(answer.schema) : `\`${type}\``;
      return `| ${status} | ${what} | ${cell(description)} |`;
    }),
    "",
  ];
}

function isJson(type: string | undefined): boolean {
  return type?.includes("json") === true && !type.includes("ndjson");
}

function schemaSection(name: string, schema: Schema): readonly string[] {
  const {
    description,
    properties = {},
    required = [],
  } = schema as {
    readonly description?: string;
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly required?: readonly string[];
  };
  return [
    `### ${name}`,
    "",
    ...(description === undefined ? [] : [...wrapped(description), ""]),
    "| field | value | meaning |",
    "|---|---|---|",
    ...fieldRows(properties, required, ""),
    "",
  ];
}

function fieldRows(properties: Readonly<Record<string, Schema>>, required: readonly string[], path: string): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const {
      description = "",
      items,
      properties: inner,
      required: innerRequired = [],
    } = schema as {
      readonly description?: string;
      readonly items?: {
        readonly properties?: Readonly<Record<string, Schema>>;
        readonly required?: readonly string[];
      };
      readonly properties?: Readonly<Record<string, Schema>>;
      readonly required?: readonly string[];
    };
    const at = `${path}${name}`;
    const isOptional = required.includes(name) ? "" : ", optional";
    return [
      `| \`${at}\` | ${typeOf(schema)}${isOptional} | ${cell(description)} |`,
      ...(inner === undefined ? [] : fieldRows(inner, innerRequired, `${at}.`)),
      ...(items?.properties === undefined ? [] : fieldRows(items.properties, items.required ?? [], `${at}[].`)),
    ];
  });
}

/** A schema in a word or two. */
function typeOf(schema: Schema): string {
  const {
    $ref,
    anyOf,
    const: constant,
    enum: choices,
    items,
    type,
    minimum,
    maximum,
    additionalProperties,
    format,
  } = schema;
  if (typeof $ref === "string") {
    const name = $ref.split("/").at(-1) ?? "";
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (Array.isArray(anyOf)) return (anyOf as Schema[]).map(typeOf).join(" or ");
  if (constant !== undefined) return `\`${JSON.stringify(constant)}\``;
  if (Array.isArray(choices)) return choices.map((choice) => `\`${String(choice)}\``).join(", ");
  if (type === "array") return `list of ${typeOf(items as Schema)}`;
  if (type === "object") {
    const isMap = typeof additionalProperties === "object" && additionalProperties !== null;
    return isMap ? `object of ${typeOf(additionalProperties as Schema)}` : "object";
  }
  if (type === "integer" || type === "number") return `${type}${rangeOf(minimum, maximum)}`;
  if (format === "uuid") return "UUID";
  return type === undefined ? "any JSON" : [type].flat().join(" or ");
}

function rangeOf(minimum: unknown, maximum: unknown): string {
  const isBounded = typeof maximum === "number" && maximum < Number.MAX_SAFE_INTEGER - 1;
  return isBounded && minimum !== undefined ? ` from ${String(minimum)} to ${maximum}` : "";
}
