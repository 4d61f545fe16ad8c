/** Mixpanel: product analytics. */
import type { VendorAdapter } from "../adapter.ts";
import { eventIdOf } from "../inbound/event-ids.ts";
import type { OrderTable } from "../order/order-table.ts";
import { DEVICE, mixpanelFromCanonical, mixpanelToCanonical } from "./canonical.ts";
import { mixpanelConfig } from "./config.ts";
import { mixpanelInbound } from "./inbound.ts";
import { storedItemIds } from "./items.ts";
import type { MixpanelDestinationOptions, MixpanelSourceOptions } from "./options.ts";
import { mixpanelProtocol } from "./outbound.ts";

/** The user, else the device, as far as they are named; a group for its own updates. */
const MIXPANEL_ORDER: OrderTable = {
  key: ["properties.$user_id", "properties.distinct_id", "$distinct_id", "properties.$device_id", "$group_id"],
  type: "event",
  ties: [
    {
      types: ["$identify"],
      key: ["properties.$identified_id"],
      other: ["properties.$anon_id", "properties.$anon_distinct_id", "properties.$device_id"],
    },
    { types: ["$create_alias"], key: ["properties.alias"], other: ["properties.distinct_id"] },
    { types: ["$merge"], key: ["properties.$distinct_ids.1"], other: ["properties.$distinct_ids.0"] },
  ],
  prefix: DEVICE,
};

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
  order: MIXPANEL_ORDER,
  hasContext: false,
};
