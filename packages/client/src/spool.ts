/**
 * Events on disk until they are delivered. From the moment the spool has an event (a few
 * milliseconds after the call, with the next fsync) it outlives SIGKILL and a power cut; the next
 * process that opens the directory delivers it.
 */
import { resolveOptions } from "@waybill/core";
import { lockDirectory, nodeDisk } from "@waybill/node";
import type { Spool } from "./options.ts";
import { createSpool } from "./spool/spool-pipeline.ts";

export interface SpoolOptions {
  /** One process at a time may use it. */
  readonly directory: string;
  /**
   * Most bytes on disk. Beyond them the oldest events are given up, as `expired`. Default 1 GiB.
   */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 1024 ** 3;
const MIN_BYTES = 8 * 1024 * 1024;

/**
 * **Errors**: `WAYBILL_OPTIONS`. A directory that cannot be used (another process has it, it is
 * full, it cannot be written) is reported to `onError`; events are then kept in memory only, as
 * without a spool, until it can.
 */
export function spool(options: SpoolOptions): Spool {
  const resolved = resolveOptions<Required<SpoolOptions>>(
    "spool",
    options,
    {
      directory: "required",
      maxBytes: { min: MIN_BYTES, max: Number.MAX_SAFE_INTEGER },
    },
    { maxBytes: DEFAULT_MAX_BYTES },
  );
  return createSpool({ disk: nodeDisk, lock: (directory) => lockDirectory(directory) }, resolved);
}
