/** The real runtime on Node: clock, random, disk and HTTP transport. */
import type { DiskRuntime, Transport } from "@waybill/core";
import { nodeClock } from "./clock.ts";
import { createNodeDisk, type NodeDiskOptions } from "./disk.ts";
import { nodeRandom } from "./random.ts";
import { createNodeTransport } from "./transport.ts";

export { nodeClock } from "./clock.ts";
export type { DirectoryLock } from "./directory-lock.ts";
export { LOCK_NAME, lockDirectory } from "./directory-lock.ts";
export type { NodeDiskOptions } from "./disk.ts";
export { createNodeDisk, DEFAULT_DIRECTORY_MODE, DEFAULT_FILE_MODE, nodeDisk, widerThan } from "./disk.ts";
export type { DiskSpaceView } from "./disk-space.ts";
export { diskSpaceOf, diskUsageOf } from "./disk-space.ts";
export type { EventLoopWatch } from "./event-loop.ts";
export { defer, watchEventLoop } from "./event-loop.ts";
export { publicAgent } from "./guarded-agent.ts";
export type { HttpStream, OpenHttpStream } from "./http-stream.ts";
export { openHttpStream } from "./http-stream.ts";
export type { OutboundOptions, OutboundTransportOptions } from "./outbound/outbound-transport.ts";
export { createOutboundAgent, createOutboundTransport } from "./outbound/outbound-transport.ts";
export type { ProxyRules } from "./outbound/proxy-rules.ts";
export { proxyFault } from "./outbound/proxy-rules.ts";
export { certificatesOf } from "./outbound/trusted-roots.ts";
export type { AddressGuard } from "./public-addresses.ts";
export { isPublicAddress, publicAddresses, publicRoute } from "./public-addresses.ts";
export { nodeRandom } from "./random.ts";
export type { NodeTransport, NodeTransportOptions } from "./transport.ts";
export { createNodeTransport } from "./transport.ts";

/** Everything real; `transport` may be replaced. */
export function nodeRuntime(
  options: { readonly transport?: Transport; readonly permissions?: NodeDiskOptions } = {},
): DiskRuntime {
  return {
    clock: nodeClock,
    random: nodeRandom,
    disk: createNodeDisk(options.permissions),
    transport: options.transport ?? createNodeTransport(),
  };
}
