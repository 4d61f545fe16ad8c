import type { Door, Vendor } from "./door.ts";
import { getfluxlyDoor } from "./getfluxly.ts";
import { launchdarklyDoor } from "./launchdarkly.ts";
import { letterDoor } from "./letter.ts";
import { posthogDoor } from "./posthog.ts";
import { trophyDoor } from "./trophy.ts";
import { valuedDoor } from "./valued.ts";

/** The doors of every vendor but Segment, whose door is part of the intake itself: it is the one made for speed. */
export const DOORS: Readonly<Record<Exclude<Vendor, "segment">, Door>> = {
  letter: letterDoor,
  getfluxly: getfluxlyDoor,
  trophy: trophyDoor,
  valued: valuedDoor,
  launchdarkly: launchdarklyDoor,
  posthog: posthogDoor,
};
