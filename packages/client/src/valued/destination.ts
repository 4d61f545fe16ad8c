import { translating } from "@waybill/core";
import { type EventMap, type ValuedEvent, valuedFromCanonical, valuedProtocol } from "@waybill/vendors";
import { type CommonOptions, type Destination, originOf, resolveDestination } from "../destinations.ts";
import { VERSION } from "../version.ts";

export interface ValuedOptions extends CommonOptions {
  /** Of the project. */
  readonly token: string;
  /** Used as it is. Default `https://ingest.valued.app/events`. */
  readonly url?: string;
  /** Other names or translations for events, by name: see docs/guide/vendors.md. */
  readonly events?: EventMap<ValuedEvent>;
}

/**
 * Valued: actions, page views, syncs. Its events carry no id: one whose answer was lost may be
 * counted twice. **Errors**: `WAYBILL_OPTIONS`.
 */
export function valued(options: ValuedOptions): Destination {
  const specs = { token: "required", url: "string", name: "string", events: "object" } as const;
  const { name = "valued", url, token, events } = resolveDestination("valued", options, specs);
  return {
    name,
    origin: originOf(url),
    protocol: valuedProtocol({ endpoint: url, token, platform: "Waybill", version: VERSION }),
    translate: translating(valuedFromCanonical(events)),
  };
}
