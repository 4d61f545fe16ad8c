/** Works on the logs of a relay without the relay: copies them, finds and reads them. */
export type { CopiedDestination, CopiedEnvironment, CopyProgress } from "./copy/copy-environment.ts";
export type { CopyOptions } from "./copy/copy-log.ts";
export { copyLog } from "./copy/copy-log.ts";
export { diskLogWarnings } from "./copy/left-on-disk.ts";
export type { PartitionBounds, TopicReaderOptions, WalkedValue } from "./topics/topic-reader.ts";
export { TopicReader } from "./topics/topic-reader.ts";
export type { DamagedValue, PartitionReport } from "./topics/verify-topics.ts";
export { verifyTopics } from "./topics/verify-topics.ts";
export { withBroker } from "./topics/with-broker.ts";
