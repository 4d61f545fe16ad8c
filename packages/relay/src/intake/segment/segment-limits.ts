/** How far Segment's bodies are looked into: by the vendor's documents where it has to be exact. */
import { isUtf8 } from "node:buffer";
import { DEFAULT_LIMITS, type SegmentLimits, STRICT_LIMITS, segmentInbound } from "@waybill/vendors";
import type { RelayConfig } from "../../config/types.ts";
import { batchScanner } from "./batch-scanner.ts";

export type { SegmentLimits } from "@waybill/vendors";

export function segmentLimitsOf({ strict, maxEvents }: Pick<RelayConfig, "maxEvents" | "strict">): SegmentLimits {
  return {
    ...(strict ? STRICT_LIMITS : { ...DEFAULT_LIMITS, maxEvents: segmentInbound.limits.maxEvents }),
    ...(maxEvents === undefined ? {} : { maxEvents }),
    isUtf8,
    scanBatch: batchScanner(),
  };
}
