/** What the parts of a destination make of its configuration. */
import { type BatchLimits, type LaneTrigger, type Limiter, type LimiterOptions } from "@waybill/core";
import type { LogStoreDelivery } from "@waybill/log";
import { orderHashesOf } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";
import { destinationAdapterOf } from "./adapters.ts";
import type { SenderSettings } from "./extension.ts";
import { protocolOf } from "./senders.ts";

export function deliveryOf({ vendor, order, giveUpAfterMs }: DestinationConfig, limiter: Limiter): LogStoreDelivery {
  return {
    // Where duplicates are known by the batch's key the same batch has to be sent again after a
    // power cut.
    durableLease: destinationAdapterOf(vendor).knowsDuplicatesBy === "batch",
    order,
    orderOf: orderHashesOf,
    maxInFlight: () => limiter.window,
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

export function triggerOf({ lingerMs }: DestinationConfig, { maxEvents, maxBytes }: BatchLimits): LaneTrigger {
  return { flushAt: maxEvents, flushBytes: maxBytes, flushIntervalMs: lingerMs };
}

/** The vendor's limits, or less where the configuration says so. */
export function limitsOf(config: DestinationConfig, settings: SenderSettings): BatchLimits {
  const { limits } = protocolOf(config, settings);
  return {
    maxEvents: Math.min(limits.maxEvents, config.batchMaxEvents ?? Number.POSITIVE_INFINITY),
    maxBytes: Math.min(limits.maxBytes, config.batchMaxBytes ?? Number.POSITIVE_INFINITY),
  };
}
