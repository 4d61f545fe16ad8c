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
/** Read by the command line: the file, a source's key, where the admin API is, CAs it trusts. */
const COMMAND_VARIABLES = ["WAYBILL_CONFIG", "WAYBILL_WRITE_KEY", "WAYBILL_ADMIN_URL", "WAYBILL_CA"];
const PREFIX = "WAYBILL_";

/**
 * What Kubernetes puts into every container for a Service whose name begins with `waybill`, and
 * Docker for a link: `WAYBILL_SERVICE_HOST`, `WAYBILL_SERVICE_PORT_HTTP`, `WAYBILL_PORT` (a URL),
 * `WAYBILL_ADMIN_PORT_8081_TCP_ADDR`.
 */
const OF_SERVICES =
  /^WAYBILL_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;
const PORT_OF_SERVICES = /^WAYBILL_(?:\w+_)?PORT$/;
const URL_OF_SERVICES = /^(?:tcp|udp|sctp):\/\//;

/**
 * A `WAYBILL_` variable that nobody reads may be a typing error. It is a warning: who runs the
 * relay does not choose every variable of its environment. `used` are those the file refers to.
 */
export function environmentWarnings(env: Env, used: ReadonlySet<string>): ConfigFault[] {
  const known = [...Object.keys(ENVIRONMENT_VARIABLES), ...COMMAND_VARIABLES];
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith(PREFIX) && value !== undefined && !isOfService(name, value))
    .filter(([name]) => !known.includes(name) && !used.has(name))
    .map(([name]) => {
      const near = nearest(name, known);
      return {
        file: "environment",
        line: 0,
        column: 0,
        path: name,
        message: "unknown variable, which has no effect",
        hint: near === undefined ? `known variables: ${known.join(", ")}` : `did you mean ${near}?`,
      };
    });
}

function isOfService(name: string, value: string): boolean {
  return OF_SERVICES.test(name) || (PORT_OF_SERVICES.test(name) && URL_OF_SERVICES.test(value));
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
