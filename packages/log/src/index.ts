/** The durable log: append, fsync, read from a position, retain, verify. */

export { makeDirectoryInPlace, setAside } from "./aside.ts";
export type { Piece, Run } from "./batch.ts";
export { heldBy, LogBatch } from "./batch.ts";
export { beginLogAt } from "./begin-log.ts";
export { logFormat } from "./format.ts";
export type { RecordedAttempt } from "./lanes/attempts.ts";
export { AttemptJournal, attemptsFor } from "./lanes/attempts.ts";
export type { DeadLetterMetadata, DeadLetterState } from "./lanes/dead-letter-values.ts";
export type {
  DeadLetter,
  DeadLetterCounts,
  DeadLetterFilter,
} from "./lanes/dead-letters.ts";
export { DeadLetters, originalRecord } from "./lanes/dead-letters.ts";
export type { DurableState } from "./lanes/durable-state.ts";
export { type OrderHashes } from "./lanes/event-order.ts";
export type { Fate, FateCounts, FateTail } from "./lanes/fate-blocks.ts";
export { NO_FATES } from "./lanes/fate-blocks.ts";
export { Fates } from "./lanes/fates.ts";
export type { FatesOptions } from "./lanes/fates-options.ts";
export type { LaneFate } from "./lanes/lane-files.ts";
export { fatesInFiles } from "./lanes/lane-files.ts";
export type { LaneRuntime, OpenLog } from "./lanes/lane-runtime.ts";
export type { ParseState } from "./lanes/lane-state.ts";
export { LaneState } from "./lanes/lane-state.ts";
export type { LaneStateValue, OpenLaneOptions } from "./lanes/lane-value.ts";
export {
  fatesOf,
  fateTailOf,
  isCount,
  isDropped,
  isFateTail,
  isObject,
  newLaneId,
  newLaneState,
  openLaneState,
  parseLaneState,
  plannedIn,
} from "./lanes/lane-value.ts";
export { LogStore } from "./lanes/log-store.ts";
export type { LogStoreDelivery, LogStoreOptions } from "./lanes/log-store-options.ts";
export { ReadMemory } from "./lanes/read-ahead.ts";
export type { Marks, ReplayProgress, ReplayState, ReplayStoreOptions, Turn } from "./lanes/replay-store.ts";
export { ReplayStore } from "./lanes/replay-store.ts";
export type { Skip } from "./lanes/skip.ts";
export type { LaneReport } from "./lanes/verify-lanes.ts";
export { verifyLaneState, verifyLanes } from "./lanes/verify-lanes.ts";
export type { SizedEntry } from "./record.ts";
export { decodeAll, encodeRecord, sizeEntry, sizesOf, writeRecord } from "./record.ts";
export { recordsFrom } from "./records.ts";
export type { SegmentRepair } from "./repair.ts";
export { repairLog } from "./repair.ts";
export { retainedFrom } from "./retention.ts";
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
export type { VerifyProgress, VerifyReport } from "./verify.ts";
export { verifyLog } from "./verify.ts";
export type { FilePlace, Walked } from "./walk.ts";
export { logBounds, segmentNames, walkLog } from "./walk.ts";
