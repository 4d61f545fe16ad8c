/** What a vendor's client needs of Node beside what every client needs. */
import type { Host, VendorHost } from "../options.ts";
import { ProcessExits } from "./process-exits.ts";

/** One for the process, however many clients there are. */
let exits: ProcessExits | undefined;

export function nodeVendorHost(host: Host): VendorHost {
  return {
    ...host,
    platform: `Node/${process.versions.node}`,
    environment: (name) => process.env[name],
    isBrowser: false,
    onExit(hook) {
      exits ??= new ProcessExits(process, host.runtime.clock);
      return exits.add(hook);
    },
  };
}
