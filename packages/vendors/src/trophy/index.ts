/** Trophy: gamification. */
import type { VendorAdapter } from "../adapter.ts";
import { objectOf } from "../canonical/canonical.ts";
import type { NoOptions } from "../config.ts";
import { trophyFromCanonical, trophyToCanonical } from "./canonical.ts";
import { type TrophyDestinationOptions, trophyConfig } from "./config.ts";
import { trophyInbound } from "./inbound.ts";
import { readTrophyText, trophyPassthrough, trophyProtocol, writeTrophy } from "./outbound.ts";

export const trophy: VendorAdapter<"trophy", NoOptions, TrophyDestinationOptions> = {
  name: "trophy",
  title: "Trophy",
  config: trophyConfig,
  inbound: trophyInbound,
  outbound: ({ url, writeKey, tenantId }, { library }) =>
    trophyProtocol({ url, apiKey: writeKey, tenantId, version: library.version }),
  passthrough: (request, { url, writeKey, tenantId }) =>
    trophyPassthrough(request, { url, apiKey: writeKey, tenantId }),
  knowsDuplicatesBy: "event",
  toCanonical: trophyToCanonical,
  fromCanonical: (events, read) => trophyFromCanonical(undefined, events, read),
  idMember: "key",
  // Of a user that is updated, and of a metric event.
  order: { key: ["user", "body.user.id"] },
  // Trophy refuses members that it does not know.
  hasContext: false,
  // The event is the body within; what is around it says where it goes.
  changeEvent(text, change) {
    const { body, ...head } = readTrophyText(text);
    const event: unknown = JSON.parse(body);
    return typeof event !== "object" || event === null || Array.isArray(event)
      ? text
      : writeTrophy(head, JSON.stringify(change(objectOf(event))));
  },
};
