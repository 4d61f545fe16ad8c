/**
 * Which events a destination gets, and what of them: its filter, its sample, its redaction.
 *
 * What is stored is anything that is JSON. An event that is not an object has no name, no user and
 * no fields: a filter of types leaves it out, and there is nothing to take out of it. What cannot
 * be read at all throws, which rejects that event.
 */
import { createHash } from "node:crypto";
import { own, type Translate } from "@waybill/core";
import { textOf, vendorOf } from "@waybill/vendors";
import { adapterOf, toCanonical, type VendorAdapter } from "@waybill/vendors/registry";
import type { DestinationConfig, EventFilter } from "../config/types.ts";
import { globMatcher } from "./glob.ts";

type Json = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder();

/** `undefined` when every event passes as it is. What passes unchanged keeps its bytes. */
export function createChoice({ filter, sampleRate, redact }: DestinationConfig): Translate | undefined {
  if (filter === undefined && sampleRate === undefined && redact.length === 0) return undefined;
  const paths = redact.map((path) => path.split("."));
  const passes = filter === undefined ? (): boolean => true : matcherOf(filter);
  const sharedOf = createShared(paths);
  return (event, metadata) => {
    const text = typeof event === "string" ? event : decoder.decode(event);
    const canonical = objectOf(toCanonical(text, metadata)) ?? {};
    if (!passes(canonical)) return { dropped: "filtered" };
    if (sampleRate !== undefined && !isSampled(canonical, sampleRate)) return { dropped: "sampled" };
    const vendor = adapterOf(vendorOf(metadata));
    const stamps = sampleRate !== undefined && sampleRate < 1 && vendor?.hasContext === true;
    if (!stamps && paths.length === 0) return { text, metadata };
    const change = (value: Json): Json => {
      const left = paths.reduce(without, value);
      return stamps ? stamped(left, sampleRate) : left;
    };
    return {
      text: changed(text, vendor, change),
      metadata: paths.length === 0 ? metadata : sharedOf(metadata, vendor),
    };
  };
}

function stamped(event: Json, sampleRate: number): Json {
  return { ...event, context: { ...objectOf(event["context"]), sample_rate: sampleRate } };
}

/** An event's text with its own object changed, where the vendor has it. */
function changed(text: string, vendor: VendorAdapter | undefined, change: (event: Json) => Json): string {
  if (vendor?.changeEvent !== undefined) return vendor.changeEvent(text, change);
  const event = objectOf(JSON.parse(text));
  return event === undefined ? text : JSON.stringify(change(event));
}

/**
 * What the events of a request share is redacted as they are. Events of one request come one after
 * another: equal texts stay one text.
 */
function createShared(
  paths: readonly (readonly string[])[],
): (metadata: string, vendor: VendorAdapter | undefined) => string {
  let last = "";
  let lastRedacted = "";
  return (metadata, vendor) => {
    if (metadata === last) return lastRedacted;
    lastRedacted = vendor?.changeMetadata?.(metadata, (shared) => paths.reduce(without, shared)) ?? metadata;
    last = metadata;
    return lastRedacted;
  };
}

function matcherOf({ types, include, exclude }: EventFilter): (event: Json) => boolean {
  const included = (include ?? []).map(globMatcher);
  const excluded = (exclude ?? []).map(globMatcher);
  return ({ type, event }) => {
    if (types !== undefined && !(types as readonly unknown[]).includes(type)) return false;
    if (type !== "track") return true;
    const name = textOf(event) ?? "";
    return (
      (included.length === 0 || included.some((matches) => matches(name))) && !excluded.some((matches) => matches(name))
    );
  };
}

const SPAN = 2 ** 32;

/**
 * Sticky: the same user is always in or always out, at every relay. An event of nobody is decided
 * by its id.
 */
function isSampled(event: Json, rate: number): boolean {
  const who = event["userId"] ?? event["anonymousId"] ?? event["messageId"] ?? "";
  return (
    createHash("sha256")
      .update(textOf(who) ?? JSON.stringify(who))
      .digest()
      .readUInt32BE(0) <
    rate * SPAN
  );
}

/** A copy without the member at a path; the same object when there is none. */
function without(value: Json, path: readonly string[]): Json {
  const [key, ...rest] = path;
  if (key === undefined || !Object.hasOwn(value, key)) return value;
  if (rest.length === 0) return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
  const inner = objectOf(own(value, key));
  return inner === undefined ? value : { ...value, [key]: without(inner, rest) };
}

function objectOf(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}
