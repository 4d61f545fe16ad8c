/** Checks what callers of Valued's client give. */
import { isHttpUrl, type OptionSpec, resolveOptions, WaybillError } from "@waybill/core";
import { assertExitSignals } from "../vendor-kit/exit-hook.ts";
import type { ConnectionOptions, ValuedClientOptions } from "./types.ts";

const HOUR_MS = 3_600_000;
const OF_CONNECTION: Readonly<Record<keyof ConnectionOptions, OptionSpec>> = {
  maxAttempts: { min: 1, max: 100 },
  timeoutMs: { min: 1, max: HOUR_MS },
  transport: "function",
};
const SPECS: Readonly<Record<keyof ValuedClientOptions, OptionSpec>> = {
  ...OF_CONNECTION,
  executor: "object",
  onError: "function",
  registerAtExit: "boolean",
  exitSignals: "array",
};
const DEFAULTS = {
  maxAttempts: 1,
  // Protocol section 5: that of Net::HTTP.
  timeoutMs: 60_000,
};

type Resolved<T> = T & Required<Pick<ConnectionOptions, keyof typeof DEFAULTS>>;
export type ResolvedClientOptions = Resolved<ValuedClientOptions>;

/** **Errors**: `WAYBILL_OPTIONS` names every option that is unknown or wrong. */
export function resolveClientOptions(options: ValuedClientOptions): ResolvedClientOptions {
  const resolved = resolveOptions<ResolvedClientOptions>("ValuedClient", options, SPECS, DEFAULTS);
  assertExitSignals("ValuedClient", resolved.exitSignals);
  return resolved;
}

/**
 * Those of the connection that a client makes of a token. **Errors**: as
 * {@link resolveClientOptions}.
 */
export function ofConnection(options: ValuedClientOptions): ConnectionOptions {
  const { maxAttempts, timeoutMs, transport } = resolveClientOptions(options);
  return { maxAttempts, timeoutMs, ...(transport === undefined ? {} : { transport }) };
}

/** **Errors**: as {@link resolveClientOptions}. */
export function resolveConnectionOptions(options: ConnectionOptions): Resolved<ConnectionOptions> {
  return resolveOptions<Resolved<ConnectionOptions>>("Connection", options, OF_CONNECTION, DEFAULTS);
}

/** **Errors**: `WAYBILL_OPTIONS`. */
export function checkAddress(token: unknown, endpoint: string): void {
  const refuse = (fault: string): never => {
    throw new WaybillError("WAYBILL_OPTIONS", `Valued: ${fault}`);
  };
  if (typeof token !== "string" || token === "") refuse("token is required: a string that is not empty");
  if (!isHttpUrl(endpoint)) refuse(`endpoint "${endpoint}" is not an http or https URL`);
}
