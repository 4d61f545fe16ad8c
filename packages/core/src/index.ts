/** The vocabulary and the delivery of events: pure TypeScript, no I/O, runs anywhere. */
export { VERSION } from "./about.ts";
export type { AccountState, AccountView } from "./account.ts";
export { Account } from "./account.ts";
export type { SenderOptions } from "./chain.ts";
export { createSender } from "./chain.ts";
export type {
  Attempt,
  Batch,
  BatchLimits,
  DropReason,
  Outcome,
  Pending,
  Protocol,
  SendContext,
  Sender,
  SendWatch,
  Stage,
  Store,
  Verdict,
} from "./delivery.ts";
export { DELIVERED, DROP_REASONS, isFinal, isOpen, outcomesOf } from "./delivery.ts";
export type { ErrorCode, WaybillErrorDetails } from "./errors.ts";
export { assert, ERROR_CODES, messageOf, WaybillError } from "./errors.ts";
export type { JsonFault } from "./json-scan.ts";
export { JsonScanner, textEquals } from "./json-scan.ts";
export { Lane } from "./lane.ts";
export { mayFollow } from "./lane-modes.ts";
export type { LaneMode, LaneOptions, LaneSnapshot, LaneTrigger, OperatedLaneOptions } from "./lane-types.ts";
export type { LimiterOptions, LimiterView } from "./limiter.ts";
export { Limiter } from "./limiter.ts";
export { nearest } from "./nearest.ts";
export { OperatedLane } from "./operated-lane.ts";
export type { OptionSpec } from "./options.ts";
export { resolveOptions } from "./options.ts";
export { own } from "./own.ts";
export { printable } from "./printable.ts";
export {
  checkedTransport,
  headerFromEvent,
  isHeaderValue,
  isHttpStatus,
  isHttpUrl,
  pathSegmentFromEvent,
  requestFault,
} from "./requests.ts";
export { retryAfterMs } from "./retry-after.ts";
export type {
  Chunk,
  Clock,
  Disk,
  DiskErrorCode,
  DiskFile,
  DiskRuntime,
  HttpRequest,
  HttpResponse,
  OpenOptions,
  Random,
  Runtime,
  Timer,
  Transport,
} from "./runtime.ts";
export { sleep } from "./runtime.ts";
export type { Exchange } from "./senders/exchange.ts";
export { type IsolateOptions, isolating, sourceOf } from "./senders/isolate.ts";
export { type Isolate, type Isolation, persist } from "./senders/persist.ts";
export { withSafeReasons } from "./senders/reasons.ts";
export type { Backoff, RetryOptions } from "./senders/retry.ts";
export { doubled, fullJitter } from "./senders/retry.ts";
export type { Rewrite, Rewritten } from "./senders/rewrite.ts";
export { rewrite } from "./senders/rewrite.ts";
export type { SinglyOptions } from "./senders/singly.ts";
export { singly } from "./senders/singly.ts";
export { unhalved } from "./senders/split.ts";
export { type GiveUpOptions, giveUpTooOld } from "./senders/too-old.ts";
export type { Translate, Translated } from "./senders/translate.ts";
export { translating } from "./senders/translate.ts";
export type { BatchSource, TextBatchOptions } from "./text-batch.ts";
export { TextBatch } from "./text-batch.ts";
export { createUuidV7, uuidV7TimeMs } from "./uuid.ts";
