/** GetFluxly: product analytics. */
import type { VendorAdapter } from "../adapter.ts";
import { eventIdsIn } from "../inbound/event-ids.ts";
import { getfluxlyFromCanonical, getfluxlyToCanonical } from "./canonical.ts";
import { getfluxlyConfig } from "./config.ts";
import { getfluxlyInbound } from "./inbound.ts";
import { ALIAS, getfluxlyProtocol } from "./outbound.ts";

const ID_MEMBER = "message_id";

export const getfluxly: VendorAdapter<"getfluxly"> = {
  name: "getfluxly",
  title: "GetFluxly",
  config: getfluxlyConfig,
  inbound: getfluxlyInbound,
  outbound: ({ url, writeKey }, { library }) => getfluxlyProtocol({ url, token: writeKey, version: library.version }),
  knowsDuplicatesBy: "batch",
  toCanonical: getfluxlyToCanonical,
  fromCanonical: getfluxlyFromCanonical,
  idMember: ID_MEMBER,
  eventIds: (body) => eventIdsIn(body, ID_MEMBER),
  order: {
    // The id that the user has outside is there for a missing one.
    key: ["user_id", "external_id", "anonymous_id"],
    type: "event",
    ties: [
      { metadata: ALIAS, other: ["previous_id", "anonymous_id"] },
      { types: ["$identify", "identify"], other: ["anonymous_id"] },
    ],
  },
  hasContext: true,
};
