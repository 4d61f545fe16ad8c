/** Virtual clock, seeded chance, simulated disk and network, vendor emulators, contract suites. */

export type { EmulatorEvent, EmulatorFailure, SegmentEmulatorOptions } from "./emulators/index.ts";
export * as emulators from "./emulators/index.ts";
export { SegmentEmulator } from "./emulators/index.ts";
export { freePort } from "./http/free-port.ts";
export type { ListenOptions, StartedServer } from "./http/start-server.ts";
export { startServer } from "./http/start-server.ts";
export { SeededRandom } from "./seeded-random.ts";
export type { ServerHandler, ServerRequest, ServerResponse } from "./server.ts";
export type { DiskFaults, DiskOperation } from "./sim-disk.ts";
export { SimDisk } from "./sim-disk.ts";
export type { NetworkFaults, SimNetworkOptions } from "./sim-network.ts";
export { SimNetwork } from "./sim-network.ts";
export type { Identity, TestCa } from "./test-ca.ts";
export { createTestCa } from "./test-ca.ts";
export { settle, VirtualClock } from "./virtual-clock.ts";
