import { createHash } from "node:crypto";
import { shownConfig } from "../config/shown-config.ts";
import type { RelayConfig } from "../config/types.ts";

const DIGITS = 12;

/** Addresses and places of a machine: each relay has its own. */
const OF_MACHINE = { host: "", port: 0 };

/** Tells configurations apart, but for their secrets and what each relay has of its own. */
export function configDigestOf({ kafka, admin, ...config }: RelayConfig): string {
  const shared = {
    ...config,
    listen: OF_MACHINE,
    admin: { ...admin, ...OF_MACHINE },
    dataDirectory: "",
    ...(kafka === undefined ? {} : { kafka: { ...kafka, advertise: "", clientId: "" } }),
  };
  return createHash("sha256")
    .update(JSON.stringify(shownConfig(shared)))
    .digest("hex")
    .slice(0, DIGITS);
}
