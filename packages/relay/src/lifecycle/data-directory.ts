import type { Disk } from "@waybill/core";
import { type DirectoryLock, lockDirectory, widerThan } from "@waybill/node";
import type { RelayConfig } from "../config/types.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { dataFormatOf, refuseNewer } from "./data-format.ts";

type Settings = Pick<RelayConfig, "dataDirectory" | "permissions">;

/**
 * Makes the data directory and locks it for this process. **Errors**: `WAYBILL_DATA_FORMAT`, before
 * anything has changed; `WAYBILL_LOG_LOCKED`, `WAYBILL_DISK`.
 */
export async function lockDataDirectory(
  { dataDirectory, environments }: Settings & Pick<RelayConfig, "environments">,
  disk: Disk,
): Promise<DirectoryLock> {
  const names = environments.map(({ name }) => name);
  refuseNewer(await dataFormatOf(dataDirectory, names, disk));
  await disk.makeDirectory(dataDirectory);
  return lockDirectory(dataDirectory);
}

/**
 * Warns when others may read the data directory. It is left as it is: it may be of an operator's
 * making.
 */
export async function warnOfReaders({ dataDirectory, permissions }: Settings, write: WriteLine): Promise<void> {
  const mode = await widerThan(dataDirectory, permissions.directoryMode);
  if (mode === undefined) return;
  const [is, wanted] = [octal(mode), octal(permissions.directoryMode)];
  const text = `others on this machine may look into the data directory: its mode is ${is}, wider than ${wanted} (permissions.directories); chmod -R go-rwx ${dataDirectory} closes it`;
  write("data_directory_readable", { dataDirectory, mode: is, wanted, text });
}

function octal(mode: number): string {
  return `0${mode.toString(8)}`;
}
