/** How a destination's requests leave: by the relay's transport, or by one of its own. */
import type { Runtime, Transport } from "@waybill/core";
import type { NodeTransport, OutboundOptions } from "@waybill/node";
import type { DestinationConfig } from "../config/types.ts";

export interface ConnectionSettings {
  /**
   * Makes the transport of a destination that has a proxy or CAs. Default: all use the runtime's.
   */
  readonly connect?: (outbound: OutboundOptions) => NodeTransport;
}

export interface Connection {
  readonly transport: Transport;
  /** Requests in flight end by themselves. */
  close(): void;
}

export function connectionOf(
  { outbound }: Pick<DestinationConfig, "outbound">,
  runtime: Pick<Runtime, "transport">,
  { connect }: ConnectionSettings,
): Connection {
  const own = outbound === undefined ? undefined : connect?.(outbound);
  return { transport: own ?? runtime.transport, close: () => own?.close() };
}
