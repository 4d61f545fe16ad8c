import { resolveOptions, WaybillError } from "@waybill/core";
import { segmentProtocol } from "@waybill/vendors";
import type { Destination } from "./options.ts";
import { LIBRARY } from "./version.ts";

export interface SegmentOptions {
  readonly writeKey: string;
  /** Default `https://api.segment.io`; Europe: `https://events.eu1.segmentapis.com`. */
  readonly url?: string;
  /** Default `segment`. */
  readonly name?: string;
}

/** Segment's HTTP tracking API as a destination. **Errors**: `WAYBILL_OPTIONS`. */
export function segment(options: SegmentOptions): Destination {
  const text = { rule: { kind: "string" } } as const;
  const {
    name = "segment",
    url,
    writeKey,
  } = resolveOptions<SegmentOptions>(
    "segment",
    options,
    { writeKey: { ...text, required: true }, url: text, name: text },
    {},
  );
  return { name, protocol: protocolOf("segment", writeKey, url) };
}

/** A relay speaks Segment's protocol. */
export function relayDestination(options: { readonly url: string; readonly writeKey: string }): Destination {
  const text = { rule: { kind: "string" }, required: true } as const;
  const { url, writeKey } = resolveOptions<{ url: string; writeKey: string }>(
    "relay",
    options,
    { url: text, writeKey: text },
    {},
  );
  return { name: "relay", protocol: protocolOf("relay", writeKey, url) };
}

function protocolOf(owner: string, writeKey: string, url: string | undefined): Destination["protocol"] {
  if (writeKey === "") throw new WaybillError("WAYBILL_OPTIONS", `${owner}: writeKey is empty`);
  if (url !== undefined && !(URL.canParse(url) && /^https?:/.test(url)))
    throw new WaybillError("WAYBILL_OPTIONS", `${owner}: url "${url}" is no http or https URL`);
  return segmentProtocol({ writeKey, library: LIBRARY, ...(url === undefined ? {} : { url }) });
}
