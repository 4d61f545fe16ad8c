/** What an environment keeps on the disk. */
import { type Log, makeDirectoryInPlace, openLog } from "@waybill/log";
import { vendorOf } from "@waybill/vendors";
import { adapterOf } from "@waybill/vendors/registry";
import type { EnvironmentOptions } from "./environment-options.ts";
import type { Histogram } from "./histogram.ts";
import { scopeOf } from "./intake/scope.ts";
import { batchScanner } from "./intake/segment/batch-scanner.ts";
import { StoredIds } from "./intake/stored-ids.ts";
import { safeError } from "./log-lines/safe-text.ts";

/** What an environment keeps, each in a directory of its own. */
export const DIRECTORIES: readonly string[] = ["log", "ids", "lanes", "dead", "fates", "attempts", "replays", "paused"];
const MS_PER_SECOND = 1_000;

/** A file in the place of a directory is set aside: the start does not fail for it. */
export async function makeDirectories({ directory, runtime, report }: EnvironmentOptions): Promise<void> {
  await runtime.disk.makeDirectory(directory);
  for (const name of DIRECTORIES) {
    const aside = await makeDirectoryInPlace(runtime.disk, `${directory}/${name}`);
    if (aside !== undefined) report?.("directory_set_aside", { directory: `${directory}/${name}`, aside });
  }
}

/** The log's files. */
export function openSegments(options: EnvironmentOptions, syncSeconds: Histogram): Promise<Log> {
  const { segmentMaxBytes, directory, report, config, runtime } = options;
  return openLog(
    {
      directory: `${directory}/log`,
      ...(segmentMaxBytes === undefined ? {} : { segmentMaxBytes }),
      onSynced: (ms) => syncSeconds.observe(ms / MS_PER_SECOND),
      onDefect: (error) => report?.("defect", { environment: config.name, error: safeError(error) }),
    },
    runtime,
  );
}

export function openIds({ directory, runtime, dedupe, config }: EnvironmentOptions, log: Log): Promise<StoredIds> {
  return StoredIds.open({
    directory: `${directory}/ids`,
    runtime,
    log,
    ...dedupe,
    idsOf: ({ source, body, metadata }) => ({
      scope: scopeOf(config.name, source),
      ids: adapterOf(vendorOf(metadata))?.eventIds?.(body, batchScanner()) ?? [],
    }),
  });
}
