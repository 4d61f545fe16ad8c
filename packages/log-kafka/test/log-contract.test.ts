import type { Log } from "@waybill/log";
import type { PartitionLog } from "@waybill/log-kafka";
import { testLog } from "@waybill/testing/suites";
import { makeWorld } from "./lib/world.ts";

testLog("companion topic", async ({ segmentMaxBytes, pendingMaxBytes } = {}) => {
  const world = await makeWorld();
  const options = {
    positions: "written",
    from: "first",
    // A part begins once the one before has so many bytes: one or two records, as in a segment.
    ...(segmentMaxBytes === undefined ? {} : { markEveryBytes: segmentMaxBytes / 2 }),
    ...(pendingMaxBytes === undefined ? {} : { pendingMaxBytes }),
  } as const;
  let opened: PartitionLog = await world.open(options);
  const open = async (): Promise<Log> => {
    opened = await world.open({ ...options, checkpoint: opened.checkpoint });
    return opened;
  };
  return { clock: world.clock, log: opened, open };
});
