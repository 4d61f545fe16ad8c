import { open } from "node:fs/promises";
import { messageOf, WaybillError } from "@waybill/core";
import type { ReloadResult } from "../admin/views.ts";
import { CONFIG_MAX_BYTES } from "../config/config-text.ts";
import { loadConfigAside } from "../config/load-aside.ts";
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
  readonly configFile?: string;
}

/** Reads a text, or of `undefined` what a reload would read. Absent: there is nothing to read. */
export function readConfigOf({
  reloadConfig,
  checkConfig,
  configFile,
}: ConfigReaders): ((text: string | undefined) => Promise<RelayConfig>) | undefined {
  if (reloadConfig === undefined) return undefined;
  const check = checkConfig ?? ((text: string) => loadConfigAside({ file: "configuration", text, env: {} }));
  return async (text) => {
    if (text !== undefined) return check(text);
    // Where the text of the file is known, it is read beside ingest as well.
    if (checkConfig === undefined || configFile === undefined) return reloadConfig();
    return check(await textOfFile(configFile));
  };
}

/** One byte more than it may have is enough to refuse it. */
async function textOfFile(file: string): Promise<string> {
  try {
    const handle = await open(file);
    try {
      const bytes = Buffer.allocUnsafe(CONFIG_MAX_BYTES + 1);
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
      return bytes.toString("utf8", 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new WaybillError("WAYBILL_INPUT", `Cannot read ${file}: ${messageOf(error)}`);
  }
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
  void servers.useCertificates(next);
  if (logLevel !== before.logLevel) logger.level = logLevel;
}
