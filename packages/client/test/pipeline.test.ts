/** The contract of pipelines, over the one in memory and the spool. */
import { SimDisk } from "@waybill/testing";
import { createMemoryPipeline } from "../src/pipeline.ts";
import { createSpool } from "../src/spool/spool-pipeline.ts";
import { testClientPipeline } from "./lib/pipeline-under-test.ts";

const LIMITS = { directory: "/spool", maxBytes: 64 * 1024 * 1024 };
const lock = async () => ({ release: async () => undefined });

testClientPipeline("pipeline in memory", createMemoryPipeline);

testClientPipeline("spool", (options) => createSpool({ disk: new SimDisk(), lock }, LIMITS).createPipeline(options));

testClientPipeline("spool that cannot be opened", (options) => {
  const disk = new SimDisk();
  disk.failNext("makeDirectory", "EIO", Number.POSITIVE_INFINITY);
  return createSpool({ disk, lock }, LIMITS).createPipeline(options);
});
