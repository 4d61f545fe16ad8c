import type { Vendor } from "./inbound.ts";

/** What one request of a protocol may bring, unless the configuration says otherwise. */
export interface IntakeLimits {
  /** After decoding. */
  readonly bodyMaxBytes: number;
  readonly maxEvents: number;
}

const KIB = 1_024;
const MIB: number = 1_024 * KIB;

/**
 * As much as real clients send, and no more than is looked through within 25 ms whatever stands in it: one request must not hold up the others.
 * Segment's SDK sends batches of 1.2 MB, PostHog's of 1 MB, LaunchDarkly's 10,000 events in 1.14 MB, Letter's 250 items; the others as they document it.
 */
export const INTAKE_LIMITS: Readonly<Record<Vendor, IntakeLimits>> = {
  segment: { bodyMaxBytes: 1.5 * MIB, maxEvents: 10_000 },
  letter: { bodyMaxBytes: 512 * KIB, maxEvents: 500 },
  getfluxly: { bodyMaxBytes: 256 * KIB, maxEvents: 100 },
  trophy: { bodyMaxBytes: 256 * KIB, maxEvents: 1 },
  valued: { bodyMaxBytes: 256 * KIB, maxEvents: 1 },
  launchdarkly: { bodyMaxBytes: 1.5 * MIB, maxEvents: 20_000 },
  posthog: { bodyMaxBytes: 1.5 * MIB, maxEvents: 5_000 },
};
