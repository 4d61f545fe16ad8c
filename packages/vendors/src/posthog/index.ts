/** PostHog: product analytics. */
import type { VendorAdapter } from "../adapter.ts";
import { eventIdsIn } from "../inbound/event-ids.ts";
import { posthogFromCanonical, posthogToCanonical } from "./canonical.ts";
import { posthogConfig } from "./config.ts";
import { posthogInbound } from "./inbound.ts";
import { posthogProtocol } from "./outbound.ts";

const ID_MEMBER = "uuid";

export const posthog: VendorAdapter<"posthog"> = {
  name: "posthog",
  title: "PostHog",
  config: posthogConfig,
  inbound: posthogInbound,
  outbound: ({ url, writeKey }, { library }) => posthogProtocol({ url, apiKey: writeKey, version: library.version }),
  knowsDuplicatesBy: "event",
  toCanonical: posthogToCanonical,
  fromCanonical: posthogFromCanonical,
  idMember: ID_MEMBER,
  eventIds: (body) => eventIdsIn(body, ID_MEMBER),
  order: {
    key: ["distinct_id", "properties.distinct_id"],
    type: "event",
    ties: [
      { types: ["$identify"], other: ["properties.$anon_distinct_id"] },
      { types: ["$create_alias", "$merge_dangerously"], other: ["properties.alias"] },
    ],
  },
  hasContext: true,
};
