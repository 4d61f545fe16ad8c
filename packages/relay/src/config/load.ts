/**
 * Reads the configuration: YAML, `${NAME}` from the environment, the schema (schema.ts), then what
 * must hold between its parts. All faults are reported at once, each with its place and a hint.
 */
import { messageOf, nearest } from "@waybill/core";
import { type Document, type LineCounter, type Node, visit } from "yaml";
import { applyEnvironment, environmentFaults } from "./environment-variables.ts";
import { ConfigError, type ConfigFault, lineOf } from "./faults.ts";
import { CaFiles, caFaults, proxyVariableFaults } from "./outbound.ts";
import { Places } from "./places.ts";
import { resolveConfig, resolveParsedEnvironment } from "./resolve.ts";
import { configSchema, environmentSchema } from "./schema.ts";
import { nameFaults, schemaFaults } from "./schema-faults.ts";
import { semanticFaults } from "./semantics.ts";
import { type ConfigText, parseText } from "./syntax.ts";
import type { EnvironmentConfig, ParsedConfig, RawEnvironment, RelayConfig } from "./types.ts";
import { configWarnings } from "./warnings.ts";

export interface ConfigSource extends ConfigText {
  readonly env: Readonly<Record<string, string | undefined>>;
}

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
  const caFiles = new CaFiles();
  const checked = checkConfig(raw, places, caFiles);
  faults.push(...checked.faults);
  if (checked.config?.network.proxy === undefined) faults.push(...proxyVariableFaults(env));
  if (checked.config === undefined || faults.length > 0) throw new ConfigError(faults);
  const warnings = configWarnings(checked.config, places).map(lineOf);
  return { ...resolveConfig(checked.config, { env, caFiles }), ...(warnings.length === 0 ? {} : { warnings }) };
}

/** Each value by its schema; where all are right, what must hold between them. */
function checkConfig(
  raw: unknown,
  places: Places,
  caFiles: CaFiles,
): { readonly config?: ParsedConfig; readonly faults: readonly ConfigFault[] } {
  const names = nameFaults(raw, places);
  const { success, data: config, error } = configSchema.safeParse(raw);
  if (!success) return { faults: [...schemaFaults(error.issues, { schema: configSchema, raw, places }), ...names] };
  return { config, faults: names.length > 0 ? names : semanticFaults(config, places, caFiles) };
}

/**
 * An environment without a file, with every default filled in.
 *
 * **Errors**: a {@link ConfigError} with every fault.
 */
export function resolveEnvironment(name: string, raw: RawEnvironment): EnvironmentConfig {
  const { success, data, error } = environmentSchema.safeParse(raw);
  const faults: ConfigFault[] = [];
  const fault = (path: readonly unknown[], message: string): void =>
    void faults.push({ file: name, line: 0, column: 0, path: path.map(String).join("."), message });
  const caFiles = new CaFiles();
  if (success) caFaults({ environments: { [name]: data } }, caFiles, (path, message) => fault(path.slice(2), message));
  else for (const { path, message } of error.issues) fault(path, message);
  if (!success || faults.length > 0) throw new ConfigError(faults);
  return resolveParsedEnvironment(name, data, { caFiles });
}

/**
 * **Errors**: an alias without its anchor, or aliases that would make the document enormous, are
 * faults like others.
 */
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
          name === "" ? "a reference must be ${NAME} or ${NAME:-default}" : `the environment has no ${name}`;
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
