/** Contract suites for vitest: a new implementation passes by calling its suite. */
export { testOlderGroups } from "./broker/test-older-groups.ts";
export type { BrokerUnderTest, MakeBroker } from "./broker/world.ts";
export { testBroker } from "./test-broker.ts";
export type { DiskUnderTest } from "./test-disk.ts";
export { testDisk } from "./test-disk.ts";
export type { InboundCase, InboundEvent, InboundUnderTest } from "./test-inbound.ts";
export { testInbound } from "./test-inbound.ts";
export type { LogUnderTest, LogUnderTestOptions, MakeLog } from "./test-log.ts";
export { testLog } from "./test-log.ts";
export type { OpenLog } from "./test-log-on-disk.ts";
export { testLogOnDisk } from "./test-log-on-disk.ts";
export type {
  LostEvent,
  MakePipeline,
  PipelineUnderTest,
  PipelineWorld,
  QueueOverflow,
} from "./test-pipeline.ts";
export { testPipeline } from "./test-pipeline.ts";
export type { MakeStore, StoreKind, StoreUnderTest } from "./test-store.ts";
export { testStore } from "./test-store.ts";
export type { TransportImplementation, TransportUnderTest } from "./test-transport.ts";
export { testTransport } from "./test-transport.ts";
export type { EmulatorUnderTest, VendorUnderTest } from "./test-vendor.ts";
export { testVendor } from "./test-vendor.ts";
