import { translating } from "@waybill/core";
import { type EventMap, type LetterItem, letterFromCanonical, letterProtocol } from "@waybill/vendors";
import { type CommonOptions, type Destination, originOf, resolveDestination } from "../destinations.ts";
import { checkKey } from "../vendor-kit/check-key.ts";
import { VERSION } from "../version.ts";

export interface LetterOptions extends CommonOptions {
  /** `lt_live_…`. */
  readonly apiKey: string;
  /** Default `https://api.letter.app`. */
  readonly url?: string;
  /** Replaces or leaves out translations of the table in docs/guide/vendors.md, by event name. */
  readonly events?: EventMap<LetterItem>;
}

/** Letter: identify, group, track. **Errors**: `WAYBILL_OPTIONS`. */
export function letter(options: LetterOptions): Destination {
  const specs = { apiKey: "required", url: "string", name: "string", events: "object" } as const;
  const { name = "letter", url, apiKey, events } = resolveDestination("letter", options, specs);
  checkKey("letter", "apiKey", apiKey);
  return {
    name,
    origin: originOf(url),
    protocol: letterProtocol({ url, apiKey, version: VERSION }),
    translate: translating(letterFromCanonical(events)),
  };
}
