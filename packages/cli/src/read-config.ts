import { open } from "node:fs/promises";
import { messageOf, WaybillError } from "@waybill/core";
import { CONFIG_MAX_BYTES, checkConfigOffline, loadConfig, type OfflineCheck, type RelayConfig } from "@waybill/relay";

/**
 * Reads and checks a configuration file. **Errors**: `WAYBILL_INPUT` when it cannot be read,
 * `WAYBILL_CONFIG` when it is wrong.
 */
export async function readConfig(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<RelayConfig> {
  return loadConfig({ file, text: await readText(file), env });
}

/** The same where secrets are not: what is missing is not a fault. **Errors**: the same. */
export async function readConfigOffline(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<OfflineCheck> {
  return checkConfigOffline({ file, text: await readText(file), env });
}

async function readText(file: string): Promise<string> {
  try {
    return await textOf(file);
  } catch (error) {
    throw new WaybillError("WAYBILL_INPUT", `Cannot read ${file}: ${messageOf(error)}`, {
      hint: "Give the path of a YAML file.",
    });
  }
}

/**
 * No more than one byte beyond what is allowed, whatever the file is; that much is refused with its
 * reason.
 */
async function textOf(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of handle.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > CONFIG_MAX_BYTES) break;
    }
    return Buffer.concat(chunks).toString();
  } finally {
    await handle.close();
  }
}
