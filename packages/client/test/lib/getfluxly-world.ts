import { emulators } from "@waybill/testing";
import { GetFluxlyClientOn } from "../../src/getfluxly/client.ts";
import type { GetFluxlyError } from "../../src/getfluxly/error.ts";
import type { GetFluxlyClientOptions } from "../../src/getfluxly/types.ts";
import { URL_OF_VENDOR, type VendorWorld, vendorWorld } from "./vendor-world.ts";

export interface GetFluxlyWorld extends VendorWorld<emulators.GetFluxlyEmulator> {
  readonly fluxly: GetFluxlyClientOn;
  readonly errors: GetFluxlyError[];
  events(count: number): void;
}

/** GetFluxly's client beside its vendor. */
export function setUp(
  options: Partial<GetFluxlyClientOptions> = {},
  emulatorOptions: emulators.GetFluxlyEmulatorOptions = {},
): GetFluxlyWorld {
  const world = vendorWorld((clock) => new emulators.GetFluxlyEmulator({ clock, ...emulatorOptions }));
  const errors: GetFluxlyError[] = [];
  const fluxly = new GetFluxlyClientOn(world.host, {
    token: "gflux_secret_1",
    apiHost: URL_OF_VENDOR,
    onError: (error) => errors.push(error),
    ...options,
  });
  const events = (count: number): void => {
    for (let index = 0; index < count; index++) fluxly.track({ event: "report_exported", userId: `u-${index}` });
  };
  return { ...world, fluxly, errors, events };
}
