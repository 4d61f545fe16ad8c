/** The durable log: append, fsync, read from a position, retain, verify. */

export { makeDirectoryInPlace, setAside } from "./aside.ts";
export type { RecordedAttempt } from "./attempts.ts";
export { AttemptJournal, attemptsFor } from "./attempts.ts";
export type { Piece, Run } from "./batch.ts";
export { heldBy, LogBatch } from "./batch.ts";
export type {
  DeadLetter,
  DeadLetterCounts,
  DeadLetterFilter,
  DeadLetterMetadata,
  DeadLetterState,
} from "./dead-letters.ts";
export { DeadLetters, originalRecord } from "./dead-letters.ts";
export type { Fate, FateCounts, FatesOptions, FateTail } from "./fates.ts";
export { Fates, NO_FATES } from "./fates.ts";
export type { LaneFate } from "./lane-files.ts";
export { fatesInFiles } from "./lane-files.ts";
export type { ParseState } from "./lane-state.ts";
export { LaneState } from "./lane-state.ts";
export type { LaneStateValue, OpenLaneOptions } from "./lane-value.ts";
export {
  fateTailOf,
  isCount,
  isDropped,
  isFateTail,
  isObject,
  newLaneState,
  openLaneState,
  parseLaneState,
} from "./lane-value.ts";
export type { LogStoreOptions } from "./log-store.ts";
export { LogStore } from "./log-store.ts";
export type { SegmentRepair } from "./repair.ts";
export { repairLog } from "./repair.ts";
export type { ReplayProgress, ReplayState, ReplayStoreOptions } from "./replay-store.ts";
export { ReplayStore } from "./replay-store.ts";
export { openLog } from "./segment-log.ts";
export type {
  Cursor,
  DamagedRange,
  Entry,
  FindOptions,
  FoundEvent,
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
export type { LaneReport } from "./verify-lanes.ts";
export { verifyLanes } from "./verify-lanes.ts";
export type { FilePlace, Walked } from "./walk.ts";
export { segmentNames, walkLog } from "./walk.ts";
