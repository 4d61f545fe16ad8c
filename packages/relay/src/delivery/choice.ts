/**
 * Which events a destination gets, and what of them: its filter, its sample, its redaction.
 *
 * What is stored is anything that is JSON. An event that is no object has no name, no user and no fields: a filter of types leaves it out, and there is nothing to
 * take out of it. What cannot be read at all throws, which rejects that event.
 */
import { createHash } from "node:crypto";
import { own, type Translate } from "@waybill/core";
import { formOf, readTrophyText, redactShared, textOf, toCanonical, type Vendor, writeTrophy } from "@waybill/vendors";
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
    const form = formOf(metadata);
    const stamps = sampleRate !== undefined && sampleRate < 1 && HAS_CONTEXT.includes(form);
    if (!stamps && paths.length === 0) return { text, metadata };
    const change = (value: Json): Json => {
      const left = paths.reduce(without, value);
      return stamps ? stamped(left, sampleRate) : left;
    };
    return { text: changed(text, form, change), metadata: paths.length === 0 ? metadata : sharedOf(metadata) };
  };
}

/** Vendors whose events have a context of their own, where the rate may stand: LaunchDarkly's is the user, and Trophy refuses what it does not know. */
const HAS_CONTEXT: readonly Vendor[] = ["segment", "letter", "getfluxly", "valued", "posthog"];

function stamped(event: Json, sampleRate: number): Json {
  return { ...event, context: { ...objectOf(event["context"]), sample_rate: sampleRate } };
}

/** An event's text with its own object changed. A Trophy event's is the body within; its head says where it goes. */
function changed(text: string, form: Vendor, change: (event: Json) => Json): string {
  if (form === "trophy") {
    const { body, ...head } = readTrophyText(text);
    const event = objectOf(JSON.parse(body));
    return event === undefined ? text : writeTrophy(head, JSON.stringify(change(event)));
  }
  const event = objectOf(JSON.parse(text));
  return event === undefined ? text : JSON.stringify(change(event));
}

/** What stands beside the events of a request is redacted as they are. Events of one request come one after another: equal texts stay one text. */
function createShared(paths: readonly (readonly string[])[]): (metadata: string) => string {
  let last = "";
  let lastRedacted = "";
  return (metadata) => {
    if (metadata === last) return lastRedacted;
    lastRedacted = redactShared(metadata, (shared) => paths.reduce(without, shared));
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

/** Sticky: the same user is always in or always out, at every relay. An event of nobody is decided by its id. */
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
