/** What a relay reports of its configuration. */
import { createHash } from "node:crypto";
import { shownConfig } from "../config/shown-config.ts";
import type { RelayConfig } from "../config/types.ts";

export interface ReportedConfig {
  /** The first hexadecimal characters of its SHA-256, without what each relay has of its own. */
  readonly configDigest: string;
  /** A {@link destinationKey} each; absent: there are more than {@link DESTINATIONS_MAX}. */
  readonly destinations?: string[];
}

/** Of one record. */
export const DESTINATIONS_MAX = 1_000;
const DIGITS = 12;
/** Addresses and places of a machine: each relay has its own. */
const OF_MACHINE = { host: "", port: 0 };

export function reportedConfigOf(config: RelayConfig): ReportedConfig {
  const destinations = config.environments.flatMap(({ name: environment, destinations: all }) =>
    all.map(({ name: destination }) => destinationKey({ environment, destination })),
  );
  return {
    configDigest: digestOf(config),
    ...(destinations.length > DESTINATIONS_MAX ? {} : { destinations }),
  };
}

export function destinationKey({ environment, destination }: { environment: string; destination: string }): string {
  return `${environment}/${destination}`;
}

/** Tells configurations apart, but for their secrets. */
function digestOf({ kafka, admin, ...config }: RelayConfig): string {
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
