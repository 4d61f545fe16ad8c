/** The page of the configuration, from the schemas that check it. */
import { configJsonSchema, ENVIRONMENT_VARIABLES } from "@waybill/relay";

interface Schema {
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly { readonly $ref?: string }[];
  readonly definitions?: Readonly<Record<string, Schema>>;
}

/** Options of sources, or of destinations, by what they are chosen by. */
interface Variants {
  readonly chosenBy: "protocol" | "vendor";
  readonly by: ReadonlyMap<string, Schema>;
}

const HEAD = ["| key | default | meaning |", "|---|---|---|"];

/** The published JSON schema, as its file has it. */
export function configSchemaText(): string {
  return `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`;
}

export function configPage(): string {
  const root = configJsonSchema() as Schema;
  const environments = root.properties?.["environments"];
  const environment = environments?.additionalProperties as Schema;
  const { environments: _, ...relay } = root.properties ?? {};
  const page = new Page(root);
  return [
    "# Configuration of the relay",
    "",
    "YAML, checked against [config.schema.json](../../packages/relay/config.schema.json).",
    "`waybill config check FILE` names every fault at once.",
    "",
    '- `"${NAME}"` and `"${NAME:-default}"` take values from the environment; `$${` is the text `${`.',
    '- `"${file:/run/secrets/key}"` takes the text of a file of at most 64 KiB, without the end of its',
    "  last line. A reload reads it again, and no answer of the admin API shows it.",
    "- `waybill config check --offline FILE` checks without secrets: it names variables and files that",
    "  are missing as not checked.",
    "- Sizes are bytes or texts such as `10MiB`, durations are milliseconds or texts such as `30s`.",
    "- An option of one vendor is a fault at another vendor's source or destination.",
    "",
    "## The relay",
    "",
    ...HEAD,
    ...page.rows({ ...root, properties: relay }, ""),
    "",
    "## Environments",
    "",
    ...HEAD,
    `| \`environments\` | required | ${environments?.description} |`,
    ...["sources", "destinations"].map(
      (kind) => `| \`environments.<name>.${kind}\` | required | ${environment.properties?.[kind]?.description} |`,
    ),
    "",
    "## Sources",
    "",
    "Each in `environments.<name>.sources.<name>`.",
    "",
    ...page.variants(variantsOf(environment, "sources", "protocol")),
    "## Destinations",
    "",
    "Each in `environments.<name>.destinations.<name>`.",
    "",
    ...page.variants(variantsOf(environment, "destinations", "vendor")),
    "## Variables",
    "",
    "These override the file. Any other variable that begins with `WAYBILL_` and is not named in the",
    "file has no effect, and is reported as a warning with the nearest name. What Kubernetes and Docker",
    "make of a Service whose name begins with `waybill` is ignored: `WAYBILL_SERVICE_HOST`,",
    "`WAYBILL_PORT` with a URL, `WAYBILL_PORT_8080_TCP` and so on.",
    "",
    "| variable | key |",
    "|---|---|",
    "| `WAYBILL_CONFIG` | the file itself |",
    ...Object.entries(ENVIRONMENT_VARIABLES).map(([name, path]) => `| \`${name}\` | \`${path.join(".")}\` |`),
    "",
  ].join("\n");
}

function variantsOf(environment: Schema, kind: string, chosenBy: Variants["chosenBy"]): Variants {
  const { oneOf = [] } = (environment.properties?.[kind]?.additionalProperties ?? {}) as Schema;
  return { chosenBy, by: new Map(oneOf.map((one) => [one.properties?.[chosenBy]?.const ?? "", one])) };
}

function listed(names: readonly string[]): string {
  return new Intl.ListFormat("en-GB").format(names);
}

class Page {
  readonly #root: Schema;

  constructor(root: Schema) {
    this.#root = root;
  }

  rows(schema: Schema, path: string): string[] {
    const { properties = schema.anyOf?.find((one) => one.properties)?.properties ?? {} } = schema;
    return Object.entries(properties).flatMap(([key, given]) => {
      const value = this.#resolved(given);
      const at = path === "" ? key : `${path}.${key}`;
      return [row(at, value, schema.required?.includes(key) === true), ...this.rows(value, at)];
    });
  }

  /** What several of them have, then what one alone has or has otherwise. */
  variants({ chosenBy, by }: Variants): string[] {
    const all = [...by.keys()];
    const common = new Map<string, Schema>();
    for (const { properties = {}, required } of by.values())
      for (const key of Object.keys(properties)) {
        const having = all.filter((name) => by.get(name)?.properties?.[key] !== undefined);
        if (key === chosenBy || having.length === 1 || common.has(key)) continue;
        const missing = all.filter((name) => !having.includes(name));
        const few = having.length < missing.length ? ` For ${listed(having)} alone.` : ` Not for ${listed(missing)}.`;
        const note = missing.length === 0 ? "" : few;
        const value = this.#resolved(properties[key] as Schema);
        const isRequired = required?.includes(key) === true;
        common.set(key, {
          properties: { [key]: { ...value, description: `${value.description ?? ""}${note}` } },
          required: isRequired ? [key] : [],
        });
      }
    const chooser = { ...by.get(all[0] ?? "")?.properties?.[chosenBy], enum: all };
    return [
      ...HEAD,
      row(chosenBy, chooser, true),
      ...[...common.values()].flatMap((one) => this.rows(one, "")),
      "",
      ...all.flatMap((name) => this.#own(name, by.get(name) ?? {}, { chosenBy, common })),
    ];
  }

  #own(
    name: string,
    { properties = {}, required = [] }: Schema,
    { chosenBy, common }: { readonly chosenBy: string; readonly common: ReadonlyMap<string, Schema> },
  ): string[] {
    const own = Object.entries(properties).filter(([key, value]) => {
      const shared = common.get(key)?.properties?.[key]?.description;
      const description = this.#resolved(value).description ?? "";
      return key !== chosenBy && shared?.startsWith(description) !== true;
    });
    if (own.length === 0) return [];
    return [
      `### ${chosenBy}: ${name}`,
      "",
      ...HEAD,
      ...this.rows({ properties: Object.fromEntries(own), required }, ""),
      "",
    ];
  }

  #resolved(schema: Schema): Schema {
    const name = schema.allOf?.[0]?.$ref?.split("/").at(-1);
    return name === undefined ? schema : { ...this.#root.definitions?.[name], ...schema };
  }
}

function row(key: string, value: Schema, isRequired: boolean): string {
  const fallback = value.default === undefined ? "" : `\`${String(value.default as string | number | boolean)}\``;
  const choices = value.enum === undefined ? "" : ` One of ${value.enum.map((one) => `\`${one}\``).join(", ")}.`;
  return `| \`${key}\` | ${isRequired ? "required" : fallback} | ${shown(value.description ?? "")}${choices} |`;
}

/** `<token>` would be a tag of HTML, which nobody sees. */
function shown(description: string): string {
  return description.replaceAll("<", "&lt;");
}
