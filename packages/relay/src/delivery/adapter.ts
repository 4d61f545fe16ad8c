import type { Transport } from "@waybill/core";
import type { OutboundAdapter } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";
import type { FileWriter } from "./file-writer.ts";

/** A vendor's way out, or one of the relay's own. */
export interface DestinationAdapter extends OutboundAdapter<DestinationConfig> {
  /** Where its requests go instead of the network. */
  transport?(config: DestinationConfig, writer: FileWriter): Transport;
}
