import type { Environment } from "@waybill/relay/headless";
import { VENDORS } from "./sim-relay.ts";

/** What is planted in a lane's settings holds from its start on. */
export function reconfigured(environment: Environment): void {
  for (const index of VENDORS.keys()) {
    const destination = environment.destination(`emulator${index}`);
    destination?.prepare(destination.config).commit();
  }
}
