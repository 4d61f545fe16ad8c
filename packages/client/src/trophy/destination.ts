import { translating } from "@waybill/core";
import {
  type EventMap,
  type TrophyEvent,
  type TrophyIdentify,
  type TrophyMetric,
  trophyFromCanonical,
  trophyProtocol,
} from "@waybill/vendors";
import { type CommonOptions, type Destination, originOf, resolveDestination } from "../destinations.ts";
import { checkKey } from "../vendor-kit/check-key.ts";
import { VERSION } from "../version.ts";

export interface TrophyOptions extends CommonOptions {
  /** Of the application. */
  readonly apiKey: string;
  /** With its version. Default `https://api.trophy.so/v1`. */
  readonly url?: string;
  /** Sent as `Tenant-ID`. */
  readonly tenantId?: string;
  /**
   * The metric of each track event; others are not sent. Default: every track event, its name in
   * kebab case.
   */
  readonly metrics?: Readonly<Record<string, string | TrophyMetric>>;
  /** The metric of each event, by name: see docs/guide/vendors.md. */
  readonly events?: EventMap<TrophyEvent | TrophyIdentify>;
}

/** Trophy: metric events of track, users of identify. **Errors**: `WAYBILL_OPTIONS`. */
export function trophy(options: TrophyOptions): Destination {
  const specs = {
    apiKey: "required",
    url: "string",
    tenantId: "string",
    metrics: "object",
    name: "string",
    events: "object",
  } as const;
  const { name = "trophy", url, apiKey, tenantId, metrics, events } = resolveDestination("trophy", options, specs);
  checkKey("trophy", "apiKey", apiKey);
  checkKey("trophy", "tenantId", tenantId);
  return {
    name,
    origin: originOf(url),
    protocol: trophyProtocol({ url, apiKey, tenantId, version: VERSION }),
    translate: translating(trophyFromCanonical(metrics, events)),
  };
}
