/** Letter: lifecycle mail. */
import type { VendorAdapter } from "../adapter.ts";
import { eventIdsIn } from "../inbound/event-ids.ts";
import { letterFromCanonical, letterToCanonical } from "./canonical.ts";
import { letterConfig } from "./config.ts";
import { letterInbound } from "./inbound.ts";
import { letterProtocol } from "./outbound.ts";

const ID_MEMBER = "messageId";

export const letter: VendorAdapter<"letter"> = {
  name: "letter",
  title: "Letter",
  config: letterConfig,
  inbound: letterInbound,
  outbound: ({ url, writeKey }, { library }) => letterProtocol({ url, apiKey: writeKey, version: library.version }),
  knowsDuplicatesBy: "event",
  toCanonical: letterToCanonical,
  fromCanonical: letterFromCanonical,
  idMember: ID_MEMBER,
  eventIds: (body) => eventIdsIn(body, ID_MEMBER),
  // Letter's events are the user's.
  order: {
    key: ["userId", "anonymousId"],
    type: "type",
    ties: [{ types: ["identify"], other: ["anonymousId"] }],
  },
  hasContext: true,
};
