import { nearest, own } from "@waybill/core";
import type { ConfigFault } from "./faults.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** Variables that override the file, and the key each one sets. */
export const ENVIRONMENT_VARIABLES: Readonly<Record<string, readonly string[]>> = {
  WAYBILL_LISTEN: ["listen"],
  WAYBILL_ADMIN_LISTEN: ["admin", "listen"],
  WAYBILL_ADMIN_TOKEN: ["admin", "token"],
  WAYBILL_DATA_DIRECTORY: ["dataDirectory"],
  WAYBILL_LOG_LEVEL: ["log", "level"],
};
/** Names the file; read by the command line. */
const CONFIG_VARIABLE = "WAYBILL_CONFIG";
const PREFIX = "WAYBILL_";

/**
 * A `WAYBILL_` variable that nobody reads is a typing error that would go unnoticed. `used` are
 * those the file refers to.
 */
export function environmentFaults(env: Env, used: ReadonlySet<string>): ConfigFault[] {
  const known = [...Object.keys(ENVIRONMENT_VARIABLES), CONFIG_VARIABLE];
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && !known.includes(name) && !used.has(name))
    .map((name) => {
      const near = nearest(name, known);
      return {
        file: "environment",
        line: 0,
        column: 0,
        path: name,
        message: "unknown variable",
        hint: near === undefined ? `known variables: ${known.join(", ")}` : `did you mean ${near}?`,
      };
    });
}

/** The configuration with the variables' values in their places. */
export function applyEnvironment(raw: unknown, env: Env): unknown {
  if (!isMap(raw)) return raw;
  const config = structuredClone(raw) as Record<string, unknown>;
  for (const [name, path] of Object.entries(ENVIRONMENT_VARIABLES)) {
    const value = own(env, name);
    if (value === undefined || value === "") continue;
    const [first = "", second] = path;
    if (second === undefined) config[first] = value;
    else if (isMap(config[first] ?? {})) config[first] = { ...(config[first] as object | undefined), [second]: value };
  }
  return config;
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
