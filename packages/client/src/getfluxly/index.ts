/**
 * GetFluxly's own client: track, identify, alias. Source: the vendor's Ruby and Python clients,
 * read November 2026.
 */
import { createVendorHost } from "#host";
import { GetFluxlyClientOn } from "./client.ts";
import type { GetFluxlyClientOptions } from "./types.ts";

export type { CanonicalEvent, EventMap, GetFluxlyAlias, GetFluxlyEvent } from "@waybill/vendors";
export type { ExitSignal } from "../vendor-kit/exit-hook.ts";
export type { FlushResult, GetFluxlyAliased } from "./answers.ts";
export type { GetFluxlyOptions } from "./destination.ts";
export { getfluxly } from "./destination.ts";
export type { GetFluxlyErrorCode } from "./error.ts";
export { GetFluxlyError } from "./error.ts";
export type { GetFluxlyAliasCall, GetFluxlyClientOptions, GetFluxlyIdentify, GetFluxlyTrack } from "./types.ts";

/**
 * @example
 * const fluxly = new GetFluxlyClient({ token: "gflux_secret_…" });
 * fluxly.track({ event: "report_exported", userId: "u-9", properties: { rows: 12 } });
 * const { accepted } = await fluxly.close();
 */
export class GetFluxlyClient extends GetFluxlyClientOn {
  constructor(options: GetFluxlyClientOptions) {
    super(createVendorHost(), options);
  }
}
