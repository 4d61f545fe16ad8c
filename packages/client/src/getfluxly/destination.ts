import { translating } from "@waybill/core";
import {
  type EventMap,
  type GetFluxlyAlias,
  type GetFluxlyEvent,
  getfluxlyFromCanonical,
  getfluxlyProtocol,
} from "@waybill/vendors";
import { type CommonOptions, type Destination, originOf, resolveDestination } from "../destinations.ts";
import { checkKey } from "../vendor-kit/check-key.ts";
import { VERSION } from "../version.ts";

export interface GetFluxlyOptions extends CommonOptions {
  /** `gflux_secret_…`; a publishable key cannot send `alias`. */
  readonly token: string;
  /** Default `https://api.getfluxly.com`. */
  readonly url?: string;
  /** Other names or translations for events, by name: see docs/guide/vendors.md. */
  readonly events?: EventMap<GetFluxlyEvent | GetFluxlyAlias>;
}

/** GetFluxly: track, page, screen, identify, alias. **Errors**: `WAYBILL_OPTIONS`. */
export function getfluxly(options: GetFluxlyOptions): Destination {
  const specs = { token: "required", url: "string", name: "string", events: "object" } as const;
  const { name = "getfluxly", url, token, events } = resolveDestination("getfluxly", options, specs);
  checkKey("getfluxly", "token", token);
  return {
    name,
    origin: originOf(url),
    protocol: getfluxlyProtocol({ url, token, version: VERSION }),
    translate: translating(getfluxlyFromCanonical(events)),
  };
}
