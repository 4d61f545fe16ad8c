import { type OptionSpec, type Protocol, resolveOptions, type Stage } from "@waybill/core";
import { segmentProtocol } from "@waybill/vendors";
import { LIBRARY } from "./version.ts";

/**
 * A place to deliver to; made by `segment({...})`, `letter({...})` and the other vendors'
 * functions.
 */
export interface Destination {
  /** Names it in counters and callbacks; unique within a client. */
  readonly name: string;
  /** How it makes the vendor's requests and reads their answers. */
  readonly protocol: Protocol;
  /** Where it is, for errors: `http://127.0.0.1:8080`. Default: its name. */
  readonly origin?: string | undefined;
  /** What its credential is called, for errors. Default "key". */
  readonly key?: string;
  /** Translates canonical events into the vendor's wire format, where that differs. */
  readonly translate?: Stage;
}

/** The options that every destination has. */
export interface CommonOptions {
  /** Names it in counters and callbacks. Default: the vendor. */
  readonly name?: string;
}

export interface SegmentOptions extends CommonOptions {
  /** Of the source, as Segment shows it. */
  readonly writeKey: string;
  /** Default `https://api.segment.io`; Europe: `https://events.eu1.segmentapis.com`. */
  readonly url?: string;
}

/** Segment's HTTP tracking API as a destination. **Errors**: `WAYBILL_OPTIONS`. */
export function segment(options: SegmentOptions): Destination {
  const resolved = resolveDestination("segment", options, { writeKey: "required", url: "url", name: "string" });
  return destinationOf(resolved.name ?? "segment", resolved);
}

/** A relay speaks Segment's protocol. Without a URL it would be Segment. */
export function relayDestination(options: { readonly url?: string; readonly writeKey: string }): Destination {
  const given = { ...options, url: options.url ?? "" };
  return destinationOf("relay", resolveDestination("relay", given, { url: "url", writeKey: "required" }));
}

function destinationOf(name: string, options: SegmentOptions): Destination {
  return {
    name,
    origin: originOf(options.url),
    key: "write key",
    protocol: segmentProtocol({ ...options, library: LIBRARY }),
  };
}

/** For errors: without path, query or credentials. */
export function originOf(url: string | undefined): string | undefined {
  return url && new URL(url).origin;
}

/** Checks a destination's options: `url` is one. */
export function resolveDestination<T extends object>(
  owner: string,
  options: T,
  specs: Readonly<Record<keyof T & string, OptionSpec>>,
): T {
  return resolveOptions<T>(owner, options, "url" in specs ? { ...specs, url: "url" } : specs, {});
}
