/** Amplitude: product analytics. */
import type { VendorAdapter } from "../adapter.ts";
import type { NoOptions } from "../config.ts";
import { amplitudeFromCanonical, amplitudeToCanonical, IDENTIFY } from "./canonical.ts";
import { type AmplitudeDestinationOptions, amplitudeConfig } from "./config.ts";
import { amplitudeInbound } from "./inbound.ts";
import { encodeAmplitude } from "./metadata.ts";
import { amplitudeProtocol } from "./outbound.ts";
import { storedIds } from "./stored-event.ts";

export const amplitude: VendorAdapter<"amplitude", NoOptions, AmplitudeDestinationOptions> = {
  name: "amplitude",
  title: "Amplitude",
  config: amplitudeConfig,
  inbound: amplitudeInbound,
  outbound: ({ url, writeKey, api }, { library }) =>
    amplitudeProtocol({ url, apiKey: writeKey, api, version: library.version }),
  knowsDuplicatesBy: "event",
  toCanonical: amplitudeToCanonical,
  fromCanonical: (events, read, { groupType, minIdLength }) =>
    amplitudeFromCanonical({ events, read, groupType, minIdLength }),
  idMember: "insert_id",
  eventIds: storedIds,
  // An element of `/groupidentify` is nobody's.
  order: {
    key: ["user_id", "device_id"],
    type: "event_type",
    ties: [
      { metadata: encodeAmplitude({ kind: "identify" }), other: ["device_id"] },
      { types: [IDENTIFY], other: ["device_id"] },
    ],
  },
  // The vendor's events have no such member.
  hasContext: false,
};
