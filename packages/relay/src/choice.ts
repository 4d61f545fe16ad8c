/** Which events a destination gets, and what of them: its filter, its sample, its redaction. */
import { createHash } from "node:crypto";
import type { Translate } from "@waybill/core";
import { toCanonical } from "@waybill/vendors";
import type { DestinationConfig, EventFilter } from "./config/types.ts";

type Json = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder();

/** `undefined` when every event passes as it is. What passes unchanged keeps its bytes. */
export function createChoice({ filter, sampleRate, redact }: DestinationConfig): Translate | undefined {
  if (filter === undefined && sampleRate === undefined && redact.length === 0) return undefined;
  const paths = redact.map((path) => path.split("."));
  const passes = filter === undefined ? (): boolean => true : matcherOf(filter);
  return (event, metadata) => {
    const text = typeof event === "string" ? event : decoder.decode(event);
    const canonical = canonicalOf(text, metadata);
    if (!passes(canonical)) return { dropped: "filtered" };
    if (sampleRate !== undefined && !isSampled(canonical, sampleRate)) return { dropped: "sampled" };
    if (sampleRate === undefined && paths.length === 0) return { text, metadata };
    let value = JSON.parse(text) as Json;
    for (const path of paths) value = without(value, path);
    if (sampleRate !== undefined && sampleRate < 1)
      value = { ...value, context: { ...(value["context"] as Json | undefined), sample_rate: sampleRate } };
    return { text: JSON.stringify(value), metadata };
  };
}

function canonicalOf(text: string, metadata: string): Json {
  try {
    return toCanonical(text, metadata) ?? {};
  } catch {
    return {};
  }
}

function matcherOf({ types, include, exclude }: EventFilter): (event: Json) => boolean {
  const patterns = (names: readonly string[] = []): readonly RegExp[] =>
    names.map((name) => new RegExp(`^${name.split("*").map(escaped).join(".*")}$`, "s"));
  const included = patterns(include);
  const excluded = patterns(exclude);
  return ({ type, event }) => {
    if (types !== undefined && !types.includes(String(type))) return false;
    if (type !== "track") return true;
    const name = String(event);
    return (included.length === 0 || included.some((one) => one.test(name))) && !excluded.some((one) => one.test(name));
  };
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

const SPAN = 2 ** 32;

/** Sticky: the same user is always in or always out, at every relay. An event of nobody is decided by its id. */
function isSampled(event: Json, rate: number): boolean {
  const who = event["userId"] ?? event["anonymousId"] ?? event["messageId"] ?? "";
  return createHash("sha256").update(String(who)).digest().readUInt32BE(0) < rate * SPAN;
}

/** A copy without the member at a path; the same object when there is none. */
function without(value: Json, [key, ...rest]: readonly string[]): Json {
  if (key === undefined || !(key in value)) return value;
  if (rest.length === 0) return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
  const inner = value[key];
  if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return value;
  return { ...value, [key]: without(inner as Json, rest) };
}
