/** GetFluxly: product analytics. */
import type { VendorAdapter } from "../adapter.ts";
import { eventIdsIn } from "../inbound/event-ids.ts";
import { getfluxlyFromCanonical, getfluxlyOrderKey, getfluxlyToCanonical } from "./canonical.ts";
import { getfluxlyConfig } from "./config.ts";
import { getfluxlyInbound } from "./inbound.ts";
import { getfluxlyProtocol } from "./outbound.ts";

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
  orderKey: getfluxlyOrderKey,
  hasContext: true,
};
