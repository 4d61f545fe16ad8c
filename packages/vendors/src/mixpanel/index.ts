/** Mixpanel: product analytics. */
import type { VendorAdapter } from "../adapter.ts";
import { eventIdOf } from "../inbound/event-ids.ts";
import { mixpanelFromCanonical, mixpanelOrderKey, mixpanelToCanonical } from "./canonical.ts";
import { type MixpanelDestinationOptions, type MixpanelSourceOptions, mixpanelConfig } from "./config.ts";
import { mixpanelInbound } from "./inbound.ts";
import { storedItemIds } from "./items.ts";
import { mixpanelProtocol } from "./outbound.ts";

export const mixpanel: VendorAdapter<"mixpanel", MixpanelSourceOptions, MixpanelDestinationOptions> = {
  name: "mixpanel",
  title: "Mixpanel",
  config: mixpanelConfig,
  inbound: mixpanelInbound,
  outbound: ({ url, writeKey, serviceAccount }, { library }) =>
    mixpanelProtocol({ url, token: writeKey, serviceAccount, version: library.version }),
  knowsDuplicatesBy: "event",
  toCanonical: mixpanelToCanonical,
  fromCanonical: mixpanelFromCanonical,
  idMember: "properties.$insert_id",
  eventIds: (body) => storedItemIds(body).map(eventIdOf),
  orderKey: mixpanelOrderKey,
  hasContext: false,
};
