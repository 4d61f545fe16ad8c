import type { ReloadResult } from "../admin/views.ts";
import { loadConfig } from "../config/load.ts";
import type { RelayConfig } from "../config/types.ts";
import type { Logger } from "../logger.ts";
import type { Plan } from "../plan.ts";
import type { Servers } from "./servers.ts";

/** A configuration, or what reads it. */
export type ConfigInput = RelayConfig | (() => Promise<RelayConfig>);

/** Takes a new configuration over as a whole, or not at all. Never rejects. */
export function reload(plan: Plan, config: ConfigInput): Promise<ReloadResult> {
  return plan.reload(typeof config === "function" ? config : () => config);
}

/** The same for the admin API, which has no configuration of its own to give. */
export async function reloadFromFile(
  plan: Plan,
  readConfig: (() => Promise<RelayConfig>) | undefined,
): Promise<ReloadResult> {
  if (readConfig !== undefined) return reload(plan, readConfig);
  return { ok: false, changed: [], errors: ["The relay was started without a configuration file."] };
}

/** As the options of the relay. */
export interface ConfigReaders {
  readonly reloadConfig?: () => Promise<RelayConfig>;
  readonly checkConfig?: (text: string) => RelayConfig | Promise<RelayConfig>;
}

/** Reads a text, or of `undefined` what a reload would read. Absent: there is nothing to read. */
export function readConfigOf({
  reloadConfig,
  checkConfig,
}: ConfigReaders): ((text: string | undefined) => Promise<RelayConfig>) | undefined {
  if (reloadConfig === undefined) return undefined;
  const check = checkConfig ?? ((text: string) => loadConfig({ file: "configuration", text, env: {} }));
  return async (text) => (text === undefined ? reloadConfig() : check(text));
}

export interface Switch {
  readonly next: RelayConfig;
  readonly before: RelayConfig;
  readonly servers: Servers;
  readonly logger: Logger;
}

/** Another configuration holds from now on: what belongs to the relay as a whole follows it. */
export function follow({ next, before, servers, logger }: Switch): void {
  const { headersTimeoutMs, requestTimeoutMs, logLevel } = next;
  servers.setTimeouts({ headersTimeoutMs, requestTimeoutMs });
  if (logLevel !== before.logLevel) logger.level = logLevel;
}
