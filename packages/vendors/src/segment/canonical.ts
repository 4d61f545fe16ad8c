/** Segment's events are the canonical ones. */
import type { Translate } from "@waybill/core";
import { type Canonical, objectOf } from "../canonical/canonical.ts";
import type { ReadCanonical } from "../canonical/mapping.ts";
import { stableUuid } from "../canonical/stable-uuid.ts";
import { textOf } from "../values.ts";

const decoder = new TextDecoder();

export function segmentToCanonical(text: string): Canonical {
  return objectOf(JSON.parse(text)) as Canonical;
}

/** Every canonical event as it is; one without an id gets one that stays over attempts. */
export function segmentFromCanonical(read: ReadCanonical): Translate {
  return (event, metadata, key) => {
    const canonical = read(typeof event === "string" ? event : decoder.decode(event), metadata);
    if (canonical === undefined) return { dropped: "unsupported" };
    const messageId = textOf(canonical["messageId"]) ?? stableUuid(key);
    return { text: JSON.stringify({ ...canonical, messageId }), metadata: "" };
  };
}
