/** Copies the logs of a relay that is stopped from its disk to Kafka, or back. */
import { type DiskRuntime, WaybillError } from "@waybill/core";
import type { Broker } from "@waybill/log-kafka";
import { clearly } from "../cluster/clearly.ts";
import { connectKafka } from "../cluster/connect-kafka.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";
import type { RelayConfig } from "../config/types.ts";
import { lockDataDirectory } from "../lifecycle/data-directory.ts";
import { type CopiedEnvironment, type CopyProgress, copyEnvironment } from "./copy-environment.ts";

export interface CopyOptions {
  /** With `engine: kafka`; its `dataDirectory` is the disk. */
  readonly config: RelayConfig;
  readonly to: "kafka" | "disk";
  readonly runtime: DiskRuntime;
  /** Default: by `@platformatic/kafka`. */
  readonly connectKafka?: (config: KafkaConfig) => Promise<Broker>;
  /** Whether batches without a known answer may go again under other keys. Default: refused. */
  readonly resend?: boolean;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/**
 * **Errors**: `WAYBILL_LOG_LOCKED` while a relay uses the directory, `WAYBILL_LOG_COPY` with the
 * reason, those of the disk and of the cluster. After an error call it again.
 */
export async function copyLog(options: CopyOptions): Promise<readonly CopiedEnvironment[]> {
  const { config, runtime } = options;
  const { connectKafka: connectTo = (wanted) => connectKafka(wanted, runtime.clock) } = options;
  const { kafka } = config;
  if (kafka === undefined)
    throw new WaybillError("WAYBILL_LOG_COPY", "The configuration has no Kafka", {
      hint: "Give one with engine: kafka, and with the dataDirectory of the disk.",
    });
  const lock = await lockDataDirectory(config, runtime.disk);
  try {
    const broker = await connectTo(kafka);
    try {
      const copied: CopiedEnvironment[] = [];
      for (const environment of config.environments)
        copied.push(await clearly(() => copyEnvironment({ ...options, kafka, broker }, environment)));
      return copied;
    } finally {
      await broker.close();
    }
  } finally {
    await lock.release();
  }
}
