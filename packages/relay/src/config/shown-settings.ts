/** The options of destinations and sources as they may be shown: every value, no secret. */
import type { z } from "zod";
import { destinationSchema } from "./destination-schema.ts";
import type { Path } from "./places.ts";
import { metaOf, schemaAt } from "./schema-at.ts";
import { sourceSchema } from "./source-schema.ts";
import type { DestinationConfig, SourceConfig } from "./types.ts";

const DESTINATION = destinationSchema as z.core.$ZodType;
const SOURCE = sourceSchema as z.core.$ZodType;

export const SECRET = "(secret)";
/** They are shown beside the settings. */
const NOT_SETTINGS: readonly string[] = ["name", "vendor", "sources"];
const NOT_SOURCE_SETTINGS: readonly string[] = ["name", "protocol", "keys"];

/**
 * What the schema marks as `writeOnly` is not shown. Of an address only its origin is: a path or a
 * query may have a key in it.
 */
export function settingsOf(config: DestinationConfig): Readonly<Record<string, unknown>> {
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined || NOT_SETTINGS.includes(name)) continue;
    // A proxy's address may have a password in it, and certificates are long.
    settings[name] =
      name === "outbound" ? "(set by proxy or ca)" : replaced(DESTINATION, { config, replace: masked }, [name], value);
  }
  return settings;
}

export function sourceSettingsOf(config: SourceConfig): Readonly<Record<string, unknown>> {
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config))
    if (value !== undefined && !NOT_SOURCE_SETTINGS.includes(name))
      settings[name] = replaced(SOURCE, { config, replace: masked }, [name], value);
  return settings;
}

/** The same destination with a word in place of each secret. Addresses stay; it has no proxy. */
export function withoutSecrets(config: DestinationConfig): DestinationConfig {
  const replace: Replace = (value) => (isAddress(value) || value === "" ? value : NOT_SHOWN);
  const entries = Object.entries(config).map(([name, value]) => [
    name,
    replaced(DESTINATION, { config, replace }, [name], value),
  ]);
  return { ...(Object.fromEntries(entries) as unknown as DestinationConfig), outbound: undefined } as DestinationConfig;
}

/** It may be a part of a header, a path or an address. */
const NOT_SHOWN = "not-shown";

type Replace = (value: unknown) => unknown;

interface Replacement {
  readonly config: DestinationConfig | SourceConfig;
  readonly replace: Replace;
}

function replaced(root: z.core.$ZodType, how: Replacement, path: Path, value: unknown): unknown {
  const { config, replace } = how;
  const found = schemaAt(root, path, config);
  const meta = found === undefined ? {} : metaOf(found.schema);
  if (value === undefined) return undefined;
  if (meta["writeOnly"] === true) return replace(value);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { additionalProperties } = meta;
  const hidesAll = (additionalProperties as { readonly writeOnly?: boolean } | undefined)?.writeOnly === true;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      hidesAll ? replace(one) : replaced(root, how, [...path, name], one),
    ]),
  );
}

function masked(value: unknown): unknown {
  if (value === "") return "";
  if (!isAddress(value)) return SECRET;
  const { origin, pathname, search } = new URL(value);
  return pathname === "/" && search === "" ? origin : `${origin}/…`;
}

function isAddress(value: unknown): value is string {
  return typeof value === "string" && /^https?:\/\//i.test(value) && URL.canParse(value);
}
