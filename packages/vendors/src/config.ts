/**
 * What the options of vendors are made of: zod schemas that check a value as it is in the
 * configuration file and give the relay what it works with.
 *
 * Options keep the names of the file. Durations become milliseconds, sizes become bytes. A schema
 * whose value is a secret, or may carry one, has `writeOnly` in its metadata: no message quotes it.
 * Nothing that the published client imports may import this file: it would bring zod along.
 */
import { z } from "zod";
import { headerNameFault, headerValueFault, keyFault } from "./config-texts.ts";
import { bytesOf, isBytes, isDuration, millisecondsOf } from "./config-units.ts";

/** The schema of a vendor's own options: an object that has no other keys. */
export type OptionsSchema<Options> = z.ZodObject<
  { readonly [Key in keyof Options]-?: z.ZodType<Options[Key]> },
  z.core.$strict
>;

/** A vendor that has no options of its own on this side. */
export type NoOptions = Readonly<Record<never, never>>;

export const noOptions: OptionsSchema<NoOptions> = z.strictObject({});

/** What the configuration knows of a vendor. */
export interface VendorConfig<Source, Destination> {
  /** Options that its sources have beside those of every source. */
  readonly source: OptionsSchema<Source>;
  /** Options that its destinations have beside those of every destination. */
  readonly destination: OptionsSchema<Destination>;
  /** Further keys of its sources, by the name of the option. */
  readonly sourceKeys?: Readonly<Record<string, SourceKeyOption>>;
  /**
   * Whether each of its requests has a key, so that a source cannot be `keyless`. Default: false.
   */
  readonly hasKeyAlways?: boolean;
  /** Whether `url` is the whole address and not the part before the API's paths. Default: false. */
  readonly urlIsWhole?: boolean;
  /** What its events have at their top: what `redact` can take out. */
  readonly fields: EventFields;
}

export interface SourceKeyOption {
  /** The kind of key that it holds. */
  readonly kind: "mobile" | "js";
  /** Of one key, or of a list of them. */
  readonly schema: z.ZodType<InboundKey | readonly InboundKey[] | undefined>;
}

export interface EventFields {
  /** Names of fields that hold others. */
  readonly holding: readonly string[];
  /** Names of fields that are one value. */
  readonly single: readonly string[];
}

/** A key that clients may send, and until when. */
export type InboundKey = string | { readonly key: string; readonly expires?: string | undefined };

/** What is wrong with a value. `message` never has the value; `quotes` puts it in front. */
export interface ValueFault {
  readonly message: string;
  readonly hint?: string;
  readonly quotes?: boolean;
}

interface FieldOptions {
  readonly description: string;
  readonly example?: string | number;
}

interface UrlOptions extends FieldOptions {
  /** Default: false. */
  readonly mayHaveQuery?: boolean;
  /** Whether requests go to this address itself: then its last slash counts. Default: false. */
  readonly isWhole?: boolean;
}

interface QuantityOptions extends FieldOptions {
  /** In milliseconds or bytes. Default: 0 for durations, 1 for sizes. */
  readonly min?: number;
  /** In milliseconds or bytes. Default: ten years, 1 PiB. */
  readonly max?: number;
  /** As in the file: "5s". */
  readonly default?: string;
}

/** Ten years: beyond it is a typing error, and timers overflow. */
const DURATION_MAX_MS = 315_360_000_000;
/** 1 PiB. */
const BYTES_MAX = 1_125_899_906_842_624;
const INBOUND_KEY_MAX_CHARACTERS = 256;

/** A schema with a check of its own, which returns `undefined` for a value that is right. */
export function checked<Schema extends z.ZodType>(
  schema: Schema,
  faultOf: (value: z.output<Schema>) => ValueFault | undefined,
): Schema {
  return schema.check((context) => {
    const fault = faultOf(context.value as z.output<Schema>);
    if (fault !== undefined) context.issues.push(issueOf(fault, context.value));
  }) as Schema;
}

/** Milliseconds, from a number or a text such as `5s`. */
export function duration(options: QuantityOptions): z.ZodType<number> {
  const { min = 0, max = DURATION_MAX_MS } = options;
  return quantity(options, {
    min,
    max,
    unit: "ms",
    units: "ms|s|m|h|d",
    is: isDuration,
    of: millisecondsOf,
  });
}

/** Bytes, from a number or a text such as `10MiB`. */
export function bytes(options: QuantityOptions): z.ZodType<number> {
  const { min = 1, max = BYTES_MAX } = options;
  return quantity(options, {
    min,
    max,
    unit: "bytes",
    units: "B|KB|MB|GB|KiB|MiB|GiB",
    is: isBytes,
    of: bytesOf,
  });
}

interface Measure {
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  readonly units: string;
  readonly is: (text: string) => boolean;
  readonly of: (value: string | number) => number;
}

/** Checked as a whole, so that a wrong value has one message; the JSON schema says the same. */
function quantity(options: QuantityOptions, { min, max, unit, units, is, of }: Measure): z.ZodType<number> {
  const { description, example, default: fallback } = options;
  const hint = `for example ${example ?? fallback}`;
  const faultOf = (value: unknown): ValueFault | undefined => {
    const isKnown = typeof value === "string" ? is(value) : Number.isInteger(value);
    if (!isKnown) return { message: `it must be a whole number of ${unit} or a text with a unit`, hint, quotes: true };
    const amount = of(value as string | number);
    if (amount >= min && amount <= max) return undefined;
    return { message: `it must be from ${min} to ${max} ${unit}`, hint, quotes: true };
  };
  const schema = z.unknown().transform((value, context): number => {
    const fault = faultOf(value);
    if (fault === undefined) return of(value as string | number);
    context.issues.push(issueOf(fault, value));
    return z.NEVER;
  });
  const described = schema.meta({
    description,
    examples: [example ?? fallback],
    anyOf: [
      { type: "integer", minimum: min, maximum: max },
      { type: "string", pattern: `^\\d+(\\.\\d+)?(${units})$` },
    ],
  });
  return fallback === undefined ? described : described.prefault(fallback);
}

/** A text that is not empty. */
export function text({ description, example }: FieldOptions): z.ZodString {
  return z.string().min(1).meta(metaOf(description, example));
}

/** A key, token or id that becomes a part of HTTP: printable ASCII without white space. */
export function key(description: string): z.ZodString {
  return checked(z.string(), (value) => messageFault(keyFault(value))).meta({
    description,
    minLength: 1,
    writeOnly: true,
  });
}

/** A text that becomes the value of a header. Never quoted. */
export function headerValue(description: string): z.ZodString {
  return checked(z.string().min(1), (value) => messageFault(headerValueFault(value))).meta({
    description,
    writeOnly: true,
  });
}

/** A list of header names. */
export function headerNames(description: string): z.ZodType<readonly string[]> {
  const name = checked(z.string(), (value) =>
    headerNameFault(value) === undefined
      ? undefined
      : { message: "it must be the name of a header", hint: "for example x-request-id", quotes: true },
  );
  return z.array(name).default([]).meta({ description });
}

/** A list of texts of printable ASCII: origins of pages. */
export function origins(description: string): z.ZodType<readonly string[]> {
  const origin = z.string().regex(/^[\x21-\x7e]+$/, "it must be an origin of printable ASCII characters");
  return z.array(origin).default([]).meta({ description });
}

export function flag(description: string, fallback: boolean): z.ZodType<boolean> {
  return z.boolean().default(fallback).meta({ description });
}

/** The path of a file. */
export function filePath({ description, example }: FieldOptions): z.ZodString {
  return checked(z.string().min(1), (value) =>
    value.includes("\0") ? { message: "has a zero byte in it" } : undefined,
  ).meta(metaOf(description, example));
}

/** A whole number. */
export function count(options: FieldOptions & { readonly min: number; readonly max: number }): z.ZodNumber {
  const { description, example, min, max } = options;
  return z.int().min(min).max(max).meta(metaOf(description, example));
}

/**
 * An address of http or https. It may carry a credential, and a key may have been put there by
 * mistake.
 */
export function url(options: UrlOptions): z.ZodString {
  const { description, example = "https://api.segment.io", mayHaveQuery = false, isWhole = false } = options;
  const schema = checked(z.string(), (value) => urlFault(value, mayHaveQuery));
  return (isWhole ? schema : schema.overwrite((value) => value.replace(/\/+$/, ""))).meta({
    ...metaOf(description, example),
    writeOnly: true,
  });
}

/** A key that clients may send: a text, or one with an end. */
export function inboundKey(): z.ZodType<InboundKey> {
  const own = checked(z.string().max(INBOUND_KEY_MAX_CHARACTERS), (value) => messageFault(keyFault(value)));
  const expires = checked(
    z.string().meta({ pattern: "^\\d{4}-\\d{2}-\\d{2}T[\\d:.]+(Z|[+-]\\d{2}:\\d{2})$" }),
    (value) =>
      isTime(value) ? undefined : { message: "is not an ISO time", hint: "for example 2027-01-01T00:00:00Z" },
  );
  return z.union([own, z.strictObject({ key: own, expires: expires.optional() })]).meta({
    description: "A text, or { key, expires } for a key that ends: from that ISO time on it is no longer valid.",
    writeOnly: true,
  });
}

/** A list of them, each once. `min`: how many there must be. Default: 0. */
export function inboundKeys(description: string, min = 0): z.ZodType<readonly InboundKey[]> {
  return checked(z.array(inboundKey()).min(min), (keys) =>
    new Set(keys.map((one) => JSON.stringify(one))).size < keys.length
      ? { message: "has a key twice", hint: "leave one of them out" }
      : undefined,
  ).meta({ description, uniqueItems: true });
}

function isTime(value: string): boolean {
  return /^\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|[+-]\d{2}:\d{2})$/.test(value) && !Number.isNaN(Date.parse(value));
}

/** Quoted only where it looks like an address without credentials: it may be a misplaced key. */
function urlFault(value: string, mayHaveQuery: boolean): ValueFault | undefined {
  const parsed = URL.canParse(value) ? new URL(value) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    const hint = "for example https://api.segment.io";
    if (!/^[a-z][a-z0-9+.-]*:\/\/[^@?#\s]*$/i.test(value)) return { message: "is not an http or https URL", hint };
    return { message: "it must be an http or https URL", hint, quotes: true };
  }
  if (/\s/.test(value))
    return { message: "has white space in it", hint: "the file or variable it comes from may end in a line break" };
  if (parsed.username !== "" || parsed.password !== "")
    return { message: "carries credentials", hint: "the key belongs in writeKey" };
  if (!mayHaveQuery && parsed.search !== "")
    return { message: "has a query", hint: "give the part before it; a key belongs in writeKey" };
  return value.includes("#") ? { message: "has a fragment (#), which is never sent", hint: "leave it out" } : undefined;
}

function metaOf(description: string, example: string | number | undefined): z.GlobalMeta {
  return { description, ...(example === undefined ? {} : { examples: [example] }) };
}

function messageFault(message: string | undefined): ValueFault | undefined {
  return message === undefined ? undefined : { message };
}

/** As zod keeps it. The value is not a part of it. */
export function issueOf({ message, hint, quotes = false }: ValueFault, input: unknown): z.core.$ZodRawIssue {
  return { code: "custom", input, message, params: { hint, quotes }, continue: true };
}
