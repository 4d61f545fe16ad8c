import { nearest } from "@waybill/core";
import type { EnvironmentView } from "@waybill/relay";
import { listed } from "./listed.ts";

/** What a request named, where it named it. */
export interface GivenNames {
  readonly environment?: string | undefined;
  readonly destination?: string | undefined;
  readonly source?: string | undefined;
}

/** Refusals that are about a name that the relay does not know. */
export const UNKNOWN_NAMES: ReadonlySet<string> = new Set([
  "unknown_environment",
  "unknown_lane",
  "unknown_source",
  "unknown_key_set",
]);

const NAMES_SHOWN = 20;

/** Which names there are in place of those that were given, the nearest first; for a hint. */
export function knownNames(given: GivenNames, environments: readonly EnvironmentView[]): string | undefined {
  const { environment, destination, source } = given;
  const names = environments.map((one) => one.environment);
  if (environment !== undefined && !names.includes(environment)) return among("environment", environment, names);
  const chosen = environments.filter((one) => environment === undefined || one.environment === environment);
  if (source !== undefined)
    return among(
      "source",
      source,
      chosen.flatMap(({ sources }) => sources.map((one) => one.source)),
    );
  if (destination === undefined) return undefined;
  return among(
    "destination",
    destination,
    chosen.flatMap(({ destinations }) => destinations.map((one) => one.destination)),
    environment === undefined ? "" : `${environment}/`,
  );
}

function among(what: string, given: string, names: readonly string[], prefix = ""): string {
  const all = [...new Set(names)];
  // A known name that is refused has another fault.
  const near = all.includes(given) ? undefined : nearest(given, all);
  const mean = near === undefined ? "" : `Did you mean ${prefix}${near}? `;
  if (all.length === 0) return `There are no ${what}s${prefix === "" ? "" : ` in ${prefix.slice(0, -1)}`}.`;
  const shown = all.slice(0, NAMES_SHOWN).map((name) => `${prefix}${name}`);
  const rest = all.length - shown.length;
  return `${mean}The ${what}${all.length === 1 ? " is" : "s are"} ${listed(rest === 0 ? shown : [...shown, `${rest} more`])}.`;
}
