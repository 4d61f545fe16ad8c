/** Where the files of a destination are, and what they tell of it. */
import type { DiskRuntime } from "@waybill/core";
import type { LogStore } from "@waybill/log";
import type { DestinationConfig } from "../config/types.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";

/** Whose files they are. */
interface Owner {
  readonly config: DestinationConfig;
  readonly runtime: DiskRuntime;
  /** The environment's directory. */
  readonly directory: string;
}

/**
 * Whether a destination of this name has been here: it has sent something, or keeps dead letters or
 * fates. Its lane had a state then.
 */
export async function hasTraces({ directory, config, runtime }: Owner): Promise<boolean> {
  for (const kind of ["attempts", "dead", "fates"]) {
    const names = await runtime.disk.list(`${directory}/${kind}/${config.name}`).catch((): readonly string[] => []);
    if (names.length > 0) return true;
  }
  return false;
}

export function attemptsDirectory({ directory, config }: Pick<Owner, "directory" | "config">): string {
  return `${directory}/attempts/${config.name}`;
}

/** A ledger that goes on under another vendor must not pass for that vendor's alone. */
export function tellVendor(
  store: LogStore,
  { environment, report }: { readonly environment: string; readonly report: WriteLine },
  { name, vendor }: DestinationConfig,
): void {
  const before = store.deliversTo(vendor);
  if (before === undefined) return;
  const position = store.neededFrom;
  report("destination_changed_vendor", { environment, destination: name, before, vendor, position });
}
