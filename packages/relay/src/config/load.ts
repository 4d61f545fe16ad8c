/**
 * Reads the configuration: YAML, `${NAME}` from the environment, the JSON schema (config.schema.json), then what a schema cannot say. All
 * faults are reported at once, each with its place and a hint.
 */
import { readFileSync } from "node:fs";
import { messageOf, nearest } from "@waybill/core";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { type Document, isMap, isNode, isScalar, LineCounter, type Node, parseDocument, visit } from "yaml";
import { applyEnvironment, environmentFaults } from "./environment-variables.ts";
import { ConfigError, type ConfigFault } from "./faults.ts";
import { type RawConfig, resolveConfig } from "./resolve.ts";
import { semanticFaults } from "./semantics.ts";
import type { RelayConfig } from "./types.ts";

export interface ConfigSource {
  /** Its name, for error messages. */
  readonly file: string;
  readonly text: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The published JSON schema of the configuration file. */
export const CONFIG_SCHEMA: Readonly<Record<string, unknown>> = JSON.parse(
  readFileSync(new URL("../../config.schema.json", import.meta.url), "utf8"),
) as Record<string, unknown>;

export type Path = readonly (string | number)[];

/** A place in the file for a path into it. */
export type Locate = (
  path: Path,
  options?: { readonly key?: boolean },
) => Pick<ConfigFault, "file" | "line" | "column" | "path">;

/** Compiled at the first use: it takes longer than everything else here. */
let compiled: ValidateFunction | undefined;

/** **Errors**: one {@link ConfigError} with every fault. */
export function loadConfig({ file, text, env }: ConfigSource): RelayConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const syntax = syntaxFaults(document, lines, { file, text });
  if (syntax.length > 0) throw new ConfigError(syntax);
  const locate = locator(document, lines, file);
  const used = new Set<string>();
  const faults = [...substitute(document, env, used, file, lines), ...environmentFaults(env, used)];
  const raw: unknown = applyEnvironment(valueOf(document, locate), env);
  compiled ??= new Ajv({ allErrors: true, strict: false, verbose: true }).compile(CONFIG_SCHEMA);
  const validate = compiled;
  if (!validate(raw)) faults.push(...schemaFaults(validate.errors ?? [], locate));
  // The rest relies on the shape.
  if (faults.length === 0) faults.push(...semanticFaults(raw as RawConfig, locate));
  if (faults.length > 0) throw new ConfigError(faults);
  return resolveConfig(raw as RawConfig);
}

/** **Errors**: an alias without its anchor, or aliases that would make the document enormous, are faults like others. */
function valueOf(document: Document, locate: Locate): unknown {
  try {
    return document.toJS() ?? {};
  } catch (error) {
    throw new ConfigError([{ ...locate([]), message: messageOf(error) }]);
  }
}

/** What is no YAML. One fault a line: those behind the first are mostly its consequences. */
function syntaxFaults(
  document: Document,
  lines: LineCounter,
  { file, text }: Pick<ConfigSource, "file" | "text">,
): ConfigFault[] {
  const faults = new Map<number, ConfigFault>();
  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    if (faults.has(line)) continue;
    const message = `${(error.message.split("\n")[0] as string).replace(/ at line \d.*$/, "")}`;
    const unquoted = /[^"']\$\{/.test(text.split("\n")[line - 1] ?? "");
    faults.set(line, {
      file,
      line,
      column: col,
      path: "",
      message,
      ...(unquoted ? { hint: 'put quotes around a reference: "${NAME}"' } : {}),
    });
  }
  return [...faults.values()];
}

/** `${NAME}` and `${NAME:-default}` in text values; `$${` stands for itself. */
function substitute(
  document: Document,
  env: ConfigSource["env"],
  used: Set<string>,
  file: string,
  lines: LineCounter,
): ConfigFault[] {
  const faults: ConfigFault[] = [];
  visit(document, {
    Scalar(key, node) {
      if (key === "key" || typeof node.value !== "string") return;
      node.value = node.value.replaceAll(/\$?\$\{([^}]*)\}/g, (whole, inside: string) => {
        if (whole.startsWith("$$")) return whole.slice(1);
        const [, name = "", fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inside) ?? [];
        used.add(name);
        const value = env[name] ?? fallback;
        if (value !== undefined && name !== "") return value;
        const { line, col } = lines.linePos(node.range?.[0] ?? 0);
        const message =
          name === ""
            ? `${whole} is no reference; write \${NAME} or \${NAME:-default}`
            : `the environment has no ${name}`;
        const near = nearest(name, Object.keys(env));
        faults.push({
          file,
          line,
          column: col,
          path: "",
          message,
          ...(near === undefined ? {} : { hint: `did you mean \${${near}}?` }),
        });
        return whole;
      });
    },
  });
  return faults;
}

function locator(document: Document, lines: LineCounter, file: string): Locate {
  return (path, options) => {
    const place = { file, line: 0, column: 0, path: path.join(".") };
    // The deepest node that exists: a missing key is shown at its parent.
    for (let depth = path.length; depth >= 0; depth--) {
      const node =
        depth === 0
          ? document.contents
          : options?.key === true
            ? keyNode(document, path.slice(0, depth))
            : document.getIn(path.slice(0, depth), true);
      if (!isNode(node) || node.range === null || node.range === undefined) continue;
      const { line, col } = lines.linePos(node.range[0]);
      return { ...place, line, column: col };
    }
    return place;
  };
}

function keyNode(document: Document, path: Path): Node | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1));
  return isNode(pair?.key) ? pair.key : undefined;
}

function schemaFaults(errors: readonly ErrorObject[], locate: Locate): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const seen = new Set<string>();
  for (const error of errors) {
    // The branches of "a number or a text with a unit" are reported by their parent.
    if (error.schemaPath.includes("/anyOf/")) continue;
    const fault = schemaFault(error, locate);
    const text = `${fault.path} ${fault.message}`;
    if (!seen.has(text)) faults.push(fault);
    seen.add(text);
  }
  return faults;
}

function schemaFault(error: ErrorObject, locate: Locate): ConfigFault {
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
      return { ...locate([...path, key], { key: true }), message: "unknown key", hint };
    }
    case "required": {
      const key = String(params["missingProperty"]);
      const schema = (error.parentSchema?.["properties"] as Record<string, { description?: string }> | undefined)?.[
        key
      ];
      return {
        ...locate([...path, key]),
        message: "is required",
        ...(schema?.description === undefined ? {} : { hint: schema.description }),
      };
    }
    case "propertyNames":
      return {
        ...locate([...path, String(params["propertyName"])], { key: true }),
        message: "is no valid name",
        hint: "1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit",
      };
    case "pattern":
      if (error.schemaPath.includes("propertyNames"))
        return {
          ...locate([...path, String(error.data)], { key: true }),
          message: "is no valid name",
          hint: "1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit",
        };
      return {
        ...locate(path),
        message: `is "${String(error.data)}", which has not the right form`,
        ...exampleHint(error),
      };
    case "enum": {
      const allowed = params["allowedValues"] as readonly string[];
      const near = nearest(String(error.data), allowed);
      return {
        ...locate(path),
        message: `is "${String(error.data)}"; it must be one of ${allowed.join(", ")}`,
        ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
      };
    }
    case "anyOf":
      return {
        ...locate(path),
        message: `is ${JSON.stringify(error.data)}; it must be a whole number or a text with a unit`,
        ...exampleHint(error),
      };
    default:
      return { ...locate(path), message: error.message ?? error.keyword, ...exampleHint(error) };
  }
}

function exampleHint(error: ErrorObject): { readonly hint?: string } {
  const examples = error.parentSchema?.["examples"] as readonly unknown[] | undefined;
  return examples?.[0] === undefined ? {} : { hint: `for example ${String(examples[0])}` };
}
