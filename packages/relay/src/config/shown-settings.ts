/** The options of a destination as they may be shown: every value in force, no secret. */
import type { z } from "zod";
import { destinationSchema } from "./destination-schema.ts";
import type { Path } from "./places.ts";
import { metaOf, schemaAt } from "./schema-at.ts";
import type { DestinationConfig } from "./types.ts";

export const SECRET = "(secret)";
/** They are shown beside the settings. */
const NOT_SETTINGS: readonly string[] = ["name", "vendor", "sources"];

/**
 * What the schema marks as `writeOnly` is not shown. Of an address only its origin is: a path or a
 * query may have a key in it.
 */
export function settingsOf(config: DestinationConfig): Readonly<Record<string, unknown>> {
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined || NOT_SETTINGS.includes(name)) continue;
    // A proxy's address may have a password in it, and certificates are long.
    settings[name] = name === "outbound" ? "(set by proxy or ca)" : shown(config, [name], value);
  }
  return settings;
}

function shown(config: DestinationConfig, path: Path, value: unknown): unknown {
  const found = schemaAt(destinationSchema as z.core.$ZodType, path, config);
  const meta = found === undefined ? {} : metaOf(found.schema);
  if (meta["writeOnly"] === true) return masked(value);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { additionalProperties } = meta;
  const hidesAll = (additionalProperties as { readonly writeOnly?: boolean } | undefined)?.writeOnly === true;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, hidesAll ? masked(one) : shown(config, [...path, name], one)]),
  );
}

function masked(value: unknown): unknown {
  if (value === "") return "";
  if (typeof value !== "string" || !/^https?:\/\//i.test(value) || !URL.canParse(value)) return SECRET;
  const { origin, pathname, search } = new URL(value);
  return pathname === "/" && search === "" ? origin : `${origin}/…`;
}
