/**
 * Reads the configuration: YAML, `${NAME}` from the environment, the JSON schema (config.schema.json), then what a schema cannot say. All
 * faults are reported at once, each with its place and a hint.
 */
import { readFileSync } from "node:fs";
import { messageOf, nearest } from "@waybill/core";
import { Ajv, type ValidateFunction } from "ajv";
import { type Document, type LineCounter, type Node, visit } from "yaml";
import { applyEnvironment, environmentFaults } from "./environment-variables.ts";
import { ConfigError, type ConfigFault, lineOf } from "./faults.ts";
import { Places } from "./places.ts";
import { quantityFaults } from "./quantities.ts";
import { type RawConfig, resolveConfig } from "./resolve.ts";
import { schemaFaults } from "./schema-faults.ts";
import { semanticFaults } from "./semantics.ts";
import { type ConfigText, parseText } from "./syntax.ts";
import type { RelayConfig } from "./types.ts";
import { configWarnings } from "./warnings.ts";

export interface ConfigSource extends ConfigText {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The published JSON schema of the configuration file. */
export const CONFIG_SCHEMA: Readonly<Record<string, unknown>> = JSON.parse(
  readFileSync(new URL("../../config.schema.json", import.meta.url), "utf8"),
) as Record<string, unknown>;

/** Compiled at the first use: it takes longer than everything else here. */
let compiled: ValidateFunction | undefined;

/** **Errors**: one {@link ConfigError} with every fault. */
export function loadConfig({ file, text, env }: ConfigSource): RelayConfig {
  const { document, lines } = parseText({ file, text });
  const substituted = new Set<Node>();
  const places = new Places({ document, lines, file, substituted });
  const used = new Set<string>();
  const faults = [
    ...substitute(document, env, { used, substituted }, { file, lines }),
    ...environmentFaults(env, used),
  ];
  const raw: unknown = applyEnvironment(valueOf(document, places), env);
  compiled ??= new Ajv({ allErrors: true, strict: false, verbose: true }).compile(CONFIG_SCHEMA);
  const validate = compiled;
  if (!validate(raw)) faults.push(...schemaFaults(validate.errors ?? [], places));
  // The rest relies on the shape.
  if (faults.length === 0) faults.push(...quantityFaults(raw, CONFIG_SCHEMA, places));
  if (faults.length === 0) faults.push(...semanticFaults(raw as RawConfig, places));
  if (faults.length > 0) throw new ConfigError(faults);
  const warnings = configWarnings(raw as RawConfig, places).map(lineOf);
  return { ...resolveConfig(raw as RawConfig), ...(warnings.length === 0 ? {} : { warnings }) };
}

/** **Errors**: an alias without its anchor, or aliases that would make the document enormous, are faults like others. */
function valueOf(document: Document, places: Places): unknown {
  try {
    return document.toJS() ?? {};
  } catch (error) {
    // What follows is quoted from the file.
    throw new ConfigError([{ ...places.of([]), message: messageOf(error).replace(/ \(.*$|:.*$/s, "") }]);
  }
}

/** `${NAME}` and `${NAME:-default}` in text values; `$${` stands for itself. */
function substitute(
  document: Document,
  env: ConfigSource["env"],
  noted: { readonly used: Set<string>; readonly substituted: Set<Node> },
  { file, lines }: { readonly file: string; readonly lines: LineCounter },
): ConfigFault[] {
  const faults: ConfigFault[] = [];
  visit(document, {
    Scalar(key, node) {
      if (key === "key" || typeof node.value !== "string") return;
      node.value = node.value.replaceAll(/\$?\$\{([^}]*)\}/g, (whole, inside: string) => {
        if (whole.startsWith("$$")) return whole.slice(1);
        const [, name = "", fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inside) ?? [];
        noted.used.add(name);
        noted.substituted.add(node);
        const value = (Object.hasOwn(env, name) ? env[name] : undefined) ?? fallback;
        if (value !== undefined && name !== "") return value;
        const { line, col } = lines.linePos(node.range?.[0] ?? 0);
        const message =
          name === "" ? "a reference has not the form ${NAME} or ${NAME:-default}" : `the environment has no ${name}`;
        const near = name === "" ? undefined : nearest(name, Object.keys(env));
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
