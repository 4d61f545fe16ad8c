/**
 * Reads the configuration: YAML, its references (references.ts), the schema (schema.ts), then what
 * must hold between its parts. All faults are reported at once, each with its place and a hint.
 */
import { messageOf } from "@waybill/core";
import type { Document } from "yaml";
import type { ConfigText } from "./config-text.ts";
import { applyEnvironment, environmentWarnings } from "./environment-variables.ts";
import { ConfigError, type ConfigFault, lineOf } from "./faults.ts";
import { type Checked, fitted } from "./fitted-values.ts";
import { caFaults, proxyVariableFaults } from "./outbound.ts";
import { OutsideFiles } from "./outside-files.ts";
import { Places } from "./places.ts";
import { scrubbed, substitute } from "./references.ts";
import { resolveConfig, resolveParsedEnvironment } from "./resolve.ts";
import { configSchema, environmentSchema } from "./schema.ts";
import { nameFaults, schemaFaults } from "./schema-faults.ts";
import { semanticFaults } from "./semantics.ts";
import { parseText } from "./syntax.ts";
import type { EnvironmentConfig, RawEnvironment, RelayConfig } from "./types.ts";
import { configWarnings } from "./warnings.ts";

export interface ConfigSource extends ConfigText {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** **Errors**: one {@link ConfigError} with every fault. */
export function loadConfig(source: ConfigSource): RelayConfig {
  const { config, faults } = read(source, false);
  if (config === undefined || faults.length > 0) throw new ConfigError(faults);
  return config;
}

/** What holds of a configuration without what it refers to. */
export interface OfflineCheck {
  /** With placeholders. `undefined`: it depends on what is missing. */
  readonly config: RelayConfig | undefined;
  /** Variables and files that are missing, a line each. */
  readonly notChecked: readonly string[];
}

/**
 * Checks a configuration where its secrets are not: that variables or files are missing is not a
 * fault. **Errors**: one {@link ConfigError} with every fault.
 */
export function checkConfigOffline(source: ConfigSource): OfflineCheck {
  const { config, faults, notChecked } = read(source, true);
  if (faults.length > 0) throw new ConfigError(faults);
  return { config, notChecked };
}

interface ReadConfig {
  readonly config: RelayConfig | undefined;
  readonly faults: readonly ConfigFault[];
  readonly notChecked: readonly string[];
}

function read({ file, text, env }: ConfigSource, offline: boolean): ReadConfig {
  const { document, lines } = parseText({ file, text });
  const references = substitute({ document, lines, file, env, offline });
  const places = new Places({ document, lines, file, origins: references.origins });
  const notChecked = [...references.notChecked];
  const files = new OutsideFiles(
    offline ? (path) => notChecked.push(`${file}: the file ${path} does not exist`) : undefined,
  );
  const rawOf = (): unknown => applyEnvironment(valueOf(document, places), env);
  const checked = fitted(references.open, () => checkConfig(rawOf(), places, files));
  const faults = [...references.faults, ...checked.faults];
  if (checked.config?.network.proxy === undefined) faults.push(...proxyVariableFaults(env));
  const shown = (fault: ConfigFault): ConfigFault => scrubbed(fault, references);
  const result = { faults: faults.map(shown), notChecked };
  if (checked.config === undefined || faults.length > 0) return { ...result, config: undefined };
  const warnings = [...environmentWarnings(env, references.used), ...configWarnings(checked.config, places)];
  const hidden = [...references.fileValues];
  const config = {
    ...resolveConfig(checked.config, { env, files }),
    ...(warnings.length === 0 ? {} : { warnings: warnings.map((warning) => lineOf(shown(warning))) }),
    ...(hidden.length === 0 ? {} : { hidden }),
  };
  return { ...result, config };
}

/** Code that is generated for a schema pays only for what is parsed again and again. */
const PARSED_ONCE = { jitless: true };

/** Each value by its schema; where all are right, what must hold between them. */
function checkConfig(raw: unknown, places: Places, files: OutsideFiles): Checked {
  const names = nameFaults(raw, places);
  const { success, data: config, error } = configSchema.safeParse(raw, PARSED_ONCE);
  if (!success) return { faults: [...schemaFaults(error.issues, { schema: configSchema, raw, places }), ...names] };
  return { config, faults: names.length > 0 ? names : semanticFaults(config, places, files) };
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
  const files = new OutsideFiles();
  if (success) caFaults({ environments: { [name]: data } }, files, (path, message) => fault(path.slice(2), message));
  else for (const { path, message } of error.issues) fault(path, message);
  if (!success || faults.length > 0) throw new ConfigError(faults);
  return resolveParsedEnvironment(name, data, { files });
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
