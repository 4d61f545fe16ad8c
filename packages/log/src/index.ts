/** The durable log: append, fsync, read from a position, retain, verify. */
export { LogBatch } from "./batch.ts";
export type { DeadLetterMetadata, DeadLetters } from "./dead-letters.ts";
export { openDeadLetters } from "./dead-letters.ts";
export { LaneState } from "./lane-state.ts";
export type { LaneStateValue, LogStoreOptions } from "./log-store.ts";
export { LogStore, newLaneState } from "./log-store.ts";
export { openLog } from "./segment-log.ts";
export type {
  Cursor,
  DamagedRange,
  Entry,
  Log,
  LogOptions,
  LogReader,
  LogRecord,
  Position,
  RecoveryReport,
  RetentionLimits,
} from "./types.ts";
export type { VerifyReport } from "./verify.ts";
export { verifyLog } from "./verify.ts";
