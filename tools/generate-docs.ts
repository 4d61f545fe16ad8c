/** Writes the pages that follow from the code: `npm run docs`. A test fails when one of them is not current. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ERROR_CODES } from "@waybill/core";
import { CONFIG_SCHEMA, ENVIRONMENT_VARIABLES } from "@waybill/relay";

interface Schema {
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly type?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
}

export const PAGES: Readonly<Record<string, () => string>> = {
  "docs/errors.md": errorsPage,
  "docs/operating/config.md": configPage,
};

export function pathOf(page: string): string {
  return fileURLToPath(new URL(`../${page}`, import.meta.url));
}

function errorsPage(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`);
  return [
    "# Error codes",
    "",
    "Every error of Waybill is a `WaybillError` with one of these in `code`, and `retryable`, `retryAfterMs`, `reason`, `hint` and `cause` where they apply.",
    "",
    "| code | meaning |",
    "|---|---|",
    ...rows,
    "",
  ].join("\n");
}

function configPage(): string {
  const variables = Object.entries(ENVIRONMENT_VARIABLES).map(
    ([name, path]) => `| \`${name}\` | \`${path.join(".")}\` |`,
  );
  return [
    "# Configuration of the relay",
    "",
    'YAML, checked against [config.schema.json](../../packages/relay/config.schema.json). `"${NAME}"` and `"${NAME:-default}"` take values from the environment; `$${` stands for itself. Sizes are bytes or',
    "texts such as `10MiB`, durations milliseconds or texts such as `30s`. `waybill config check FILE` names every fault at once.",
    "",
    "| key | default | meaning |",
    "|---|---|---|",
    ...rows(CONFIG_SCHEMA as Schema, ""),
    "",
    "These variables stand above the file. Any other variable that begins with `WAYBILL_` and is not named in the file is refused.",
    "",
    "| variable | key |",
    "|---|---|",
    "| `WAYBILL_CONFIG` | the file itself |",
    ...variables,
    "",
  ].join("\n");
}

function rows(schema: Schema, path: string): string[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const at = path === "" ? key : `${path}.${key}`;
    const isGroup = value.properties !== undefined || typeof value.additionalProperties === "object";
    const fallback =
      schema.required?.includes(key) === true
        ? "required"
        : value.default === undefined
          ? ""
          : `\`${String(value.default)}\``;
    const choices = value.enum === undefined ? "" : ` One of ${value.enum.map((one) => `\`${one}\``).join(", ")}.`;
    return [`| \`${at}\` | ${fallback} | ${value.description ?? ""}${choices} |`, ...(isGroup ? rows(value, at) : [])];
  });
  const named =
    typeof schema.additionalProperties === "object" ? rows(schema.additionalProperties, `${path}.<name>`) : [];
  return [...own, ...named];
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [page, make] of Object.entries(PAGES)) if (read(page) !== make()) writeFileSync(pathOf(page), make());

function read(page: string): string {
  try {
    return readFileSync(pathOf(page), "utf8");
  } catch {
    return "";
  }
}
