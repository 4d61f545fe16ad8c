import { createHash } from "node:crypto";
import { shownConfig } from "../config/shown-config.ts";
import type { RelayConfig } from "../config/types.ts";

const DIGITS = 12;

/** Tells configurations apart, but for their secrets. */
export function configDigestOf(config: RelayConfig): string {
  return createHash("sha256")
    .update(JSON.stringify(shownConfig(config)))
    .digest("hex")
    .slice(0, DIGITS);
}
