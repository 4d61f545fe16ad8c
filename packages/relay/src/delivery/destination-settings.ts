/** What the parts of a destination make of its configuration. */
import { type BatchLimits, type LaneTrigger, type Limiter, type LimiterOptions } from "@waybill/core";
import type { LogStore, LogStoreDelivery } from "@waybill/log";
import { orderHashesOf } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";
import { memberScanner } from "../intake/segment/batch-scanner.ts";
import { destinationAdapterOf } from "./adapters.ts";
import type { SenderSettings } from "./extension.ts";
import { protocolOf } from "./senders.ts";

export function deliveryOf({ vendor, order, giveUpAfterMs }: DestinationConfig, limiter: Limiter): LogStoreDelivery {
  return {
    // Where duplicates are known by the batch's key the same batch has to be sent again after a
    // power cut.
    durableLease: destinationAdapterOf(vendor).knowsDuplicatesBy === "batch",
    order,
    orderOf: (record) => orderHashesOf(record, memberScanner()),
    maxInFlight: () => limiter.width,
    giveUpAfterMs,
  };
}

export function limiterOptionsOf({
  maxInFlight,
  maxRequestsPerSecond,
  backoffMaxMs,
}: DestinationConfig): LimiterOptions {
  return { maxInFlight, maxPerSecond: maxRequestsPerSecond, backoffMaxMs };
}

/** Events that only wait for parked ones are looked after no more often than this. */
const HELD_INTERVAL_MS = 500;

export function triggerOf(
  { lingerMs }: DestinationConfig,
  { maxEvents, maxBytes }: BatchLimits,
  store: Pick<LogStore, "pending">,
): LaneTrigger {
  return {
    flushAt: maxEvents,
    flushBytes: maxBytes,
    get flushIntervalMs() {
      const { events, held = 0 } = store.pending();
      return held > 0 && held === events ? Math.max(HELD_INTERVAL_MS, lingerMs) : lingerMs;
    },
  };
}

/** The vendor's limits, or less where the configuration says so. */
export function limitsOf(config: DestinationConfig, settings: SenderSettings): BatchLimits {
  const { limits } = protocolOf(config, settings);
  return {
    maxEvents: Math.min(limits.maxEvents, config.batchMaxEvents ?? Number.POSITIVE_INFINITY),
    maxBytes: Math.min(limits.maxBytes, config.batchMaxBytes ?? Number.POSITIVE_INFINITY),
  };
}
