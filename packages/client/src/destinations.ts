import { type OptionSpec, type Protocol, resolveOptions, type Stage, WaybillError } from "@waybill/core";
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
  readonly origin?: string;
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

export const TEXT: OptionSpec = { rule: { kind: "string" } };
export const SECRET: OptionSpec = { rule: { kind: "string" }, required: true };
export const OBJECT: OptionSpec = { rule: { kind: "object" } };

/** Segment's HTTP tracking API as a destination. **Errors**: `WAYBILL_OPTIONS`. */
export function segment(options: SegmentOptions): Destination {
  const resolved = resolveDestination("segment", options, { writeKey: SECRET, url: TEXT, name: TEXT });
  return destinationOf(resolved.name ?? "segment", resolved);
}

/** A relay speaks Segment's protocol. */
export function relayDestination(options: { readonly url: string; readonly writeKey: string }): Destination {
  return destinationOf("relay", resolveDestination("relay", options, { url: SECRET, writeKey: SECRET }));
}

function destinationOf(name: string, options: SegmentOptions): Destination {
  return { name, ...originOf(options), key: "write key", protocol: segmentProtocol({ ...options, library: LIBRARY }) };
}

/** For errors: without path, query or credentials. */
export function originOf({ url }: { readonly url?: string | undefined }): Pick<Destination, "origin"> {
  return url === undefined ? {} : { origin: new URL(url).origin };
}

/** Checks a destination's options: texts that are required are not empty, `url` is one. */
export function resolveDestination<T extends object>(
  owner: string,
  options: T,
  specs: Readonly<Record<keyof T & string, OptionSpec>>,
): T {
  const resolved = resolveOptions<T>(owner, options, specs, {});
  for (const [key, value] of Object.entries(resolved)) {
    if (specs[key as keyof T & string].required === true && value === "")
      throw new WaybillError("WAYBILL_OPTIONS", `${owner}: ${key} is empty`);
    if (key === "url" && !(URL.canParse(value) && /^https?:/.test(value)))
      throw new WaybillError("WAYBILL_OPTIONS", `${owner}: url "${value}" is not an http or https URL`);
  }
  return resolved;
}
