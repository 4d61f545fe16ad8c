/** What a configuration says about the size of requests, for those who keep to it. */
import type { Clock } from "@waybill/core";
import type { IntakeLimits } from "@waybill/vendors";
import { ADAPTERS } from "@waybill/vendors/registry";
import type { RelayConfig } from "../config/types.ts";
import { BodyReader } from "./body.ts";
import type { ReadGate } from "./read-gate.ts";

type Limits = Pick<RelayConfig, "bodyMaxBytes" | "maxEvents">;

/** Bodies in memory, together. */
const BODIES_MAX_TOTAL_BYTES = 96 * 1024 * 1024;
/** The largest body that any protocol takes by itself. */
const BODY_MAX_BYTES: number = Math.max(...ADAPTERS.map(({ inbound }) => inbound.limits.bodyMaxBytes));

export function bodyReaderOf({ bodyMaxBytes = BODY_MAX_BYTES }: Limits, clock: Clock, gate: ReadGate): BodyReader {
  return new BodyReader({ maxBytes: bodyMaxBytes, maxTotalBytes: BODIES_MAX_TOTAL_BYTES, clock, gate });
}

/** In place of what each protocol has by itself. */
export function intakeLimitsOf({ bodyMaxBytes, maxEvents }: Limits): Partial<IntakeLimits> {
  return {
    ...(bodyMaxBytes === undefined ? {} : { bodyMaxBytes }),
    ...(maxEvents === undefined ? {} : { maxEvents }),
  };
}
