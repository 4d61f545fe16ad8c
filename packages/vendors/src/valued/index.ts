/** Valued: customer success. */
import type { VendorAdapter } from "../adapter.ts";
import { valuedFromCanonical, valuedToCanonical } from "./canonical.ts";
import { valuedConfig } from "./config.ts";
import { valuedInbound } from "./inbound.ts";
import { valuedProtocol } from "./outbound.ts";

export const valued: VendorAdapter<"valued"> = {
  name: "valued",
  title: "Valued",
  config: valuedConfig,
  inbound: valuedInbound,
  outbound: ({ url, writeKey }, { library }) =>
    valuedProtocol({ endpoint: url, token: writeKey, platform: "Waybill", version: library.version }),
  knowsDuplicatesBy: "nothing",
  toCanonical: valuedToCanonical,
  fromCanonical: valuedFromCanonical,
  order: { key: ["user.id"] },
  hasContext: true,
};
