import { getfluxlyInbound } from "../getfluxly/inbound.ts";
import { launchdarklyInbound } from "../launchdarkly/inbound.ts";
import { letterInbound } from "../letter/inbound.ts";
import { posthogInbound } from "../posthog/inbound.ts";
import { trophyInbound } from "../trophy/inbound.ts";
import { valuedInbound } from "../valued/inbound.ts";
import type { Inbound, Vendor } from "./inbound.ts";

/** The doors of every vendor but Segment, whose door is part of the intake itself: it is the one made for speed. */
export const INBOUND_ADAPTERS: Readonly<Record<Exclude<Vendor, "segment">, Inbound>> = {
  letter: letterInbound,
  getfluxly: getfluxlyInbound,
  trophy: trophyInbound,
  valued: valuedInbound,
  launchdarkly: launchdarklyInbound,
  posthog: posthogInbound,
};
