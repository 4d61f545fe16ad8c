/** The vocabulary and the delivery engine: pure TypeScript, no I/O, runs anywhere. */
export type { Batch, BatchLimits, DropReason, Outcome, Pending, Protocol, Sender, Store, Verdict } from "./delivery.ts";
export { DELIVERED, DROP_REASONS, outcomesOf } from "./delivery.ts";
export type { ErrorCode, WaybillErrorDetails } from "./errors.ts";
export { assert, ERROR_CODES, messageOf, WaybillError } from "./errors.ts";
export { nearest } from "./nearest.ts";
export type { OptionRule, OptionSpec } from "./options.ts";
export { resolveOptions } from "./options.ts";
export type {
  Chunk,
  Clock,
  Disk,
  DiskErrorCode,
  DiskFile,
  DiskRuntime,
  HttpRequest,
  HttpResponse,
  Random,
  Runtime,
  Timer,
  Transport,
} from "./runtime.ts";
export { sleep } from "./runtime.ts";
export { createUuidV7, uuidV7TimeMs } from "./uuid.ts";
