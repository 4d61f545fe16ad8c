import type { Transport } from "@waybill/core";
import type { OutboundAdapter } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";
import type { FileWriter } from "./file-writer.ts";

/** A vendor's way out, or one of the relay's own. */
export interface DestinationAdapter<Config extends DestinationConfig = DestinationConfig>
  extends OutboundAdapter<Config> {
  /** Where its requests go instead of the network. */
  transport?(config: Config, writer: Pick<FileWriter, "transport">): Transport;
}
