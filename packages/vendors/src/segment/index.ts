/** Segment: events in, and out to Segment or to another Waybill relay. */
import type { VendorAdapter } from "../adapter.ts";
import { segmentFromCanonical, segmentToCanonical } from "./canonical.ts";
import { segmentConfig } from "./config.ts";
import { segmentInbound } from "./inbound.ts";
import { redactShared } from "./metadata.ts";
import { SEGMENT_ORDER } from "./order.ts";
import { segmentProtocol } from "./outbound.ts";
import { storedIds } from "./stored-ids.ts";

/**
 * Of a body: with more beside the events none of them fits a request, and halves would carry it
 * again and again.
 */
const SHARED_MAX_CHARACTERS = 500_000;

export const segment: VendorAdapter<"segment"> = {
  name: "segment",
  title: "Segment",
  config: segmentConfig,
  inbound: segmentInbound,
  outbound: ({ url, writeKey }, { library }) =>
    segmentProtocol({ ...(url === undefined ? {} : { url }), writeKey, library }),
  knowsDuplicatesBy: "event",
  toCanonical: segmentToCanonical,
  fromCanonical: (_events, read) => segmentFromCanonical(read),
  unsendable: (metadata) =>
    metadata.length <= SHARED_MAX_CHARACTERS
      ? undefined
      : { rejected: `what its request carries for all has ${metadata.length} characters` },
  idMember: "messageId",
  eventIds: storedIds,
  order: SEGMENT_ORDER,
  hasContext: true,
  changeMetadata: redactShared,
};
