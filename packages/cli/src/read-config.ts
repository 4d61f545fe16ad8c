import { readFile } from "node:fs/promises";
import { messageOf, WaybillError } from "@waybill/core";
import { loadConfig, type RelayConfig } from "@waybill/relay";

/** Reads and checks a configuration file. **Errors**: `WAYBILL_INPUT` when it cannot be read, `WAYBILL_CONFIG` when it is wrong. */
export async function readConfig(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<RelayConfig> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new WaybillError("WAYBILL_INPUT", `Cannot read ${file}: ${messageOf(error)}`, {
      hint: "Give the path of a YAML file.",
    });
  }
  return loadConfig({ file, text, env });
}
