import type { EventId } from "../inbound/event-ids.ts";
import { scanSegment } from "./scan.ts";
import { DEFAULT_LIMITS, type FoundEvent, type SegmentLimits } from "./scan-types.ts";

const encoder = new TextEncoder();
const BEFORE = encoder.encode('{"batch":[');
const AFTER = encoder.encode("]}");
/** Stored bytes have passed every limit once. */
const NO_LIMITS: SegmentLimits = {
  ...DEFAULT_LIMITS,
  eventMaxBytes: Number.POSITIVE_INFINITY,
  isUtf8: () => true,
};
const SHARED_BYTES = 64 * 1024;
/** For all small bodies, one after another: to make new bytes costs more than to scan them. */
let shared: Uint8Array | undefined;

/**
 * Where the ids of stored events (separated by commas, as `assemble` makes them) are in their
 * `body`; `idStart` is -1 for none. `scanBatch` as in {@link SegmentLimits}.
 */
export function storedIds(body: Uint8Array, scanBatch?: SegmentLimits["scanBatch"]): readonly EventId[] {
  const bytes = batchOf(body);
  const events = scanBatch?.(bytes)?.events ?? scannedEvents(bytes);
  return events.map(({ idStart, idEnd }) =>
    idStart < 0 ? { idStart, idEnd } : { idStart: idStart - BEFORE.length, idEnd: idEnd - BEFORE.length },
  );
}

function scannedEvents(bytes: Uint8Array): readonly FoundEvent[] {
  const scan = scanSegment(bytes, { kind: "batch" }, NO_LIMITS);
  return "refusal" in scan ? [] : scan.events;
}

/** The events as a whole body; overwritten by the next call. */
function batchOf(body: Uint8Array): Uint8Array {
  const length = BEFORE.length + body.length + AFTER.length;
  shared ??= new Uint8Array(SHARED_BYTES);
  const bytes = length <= SHARED_BYTES ? shared.subarray(0, length) : new Uint8Array(length);
  bytes.set(BEFORE);
  bytes.set(body, BEFORE.length);
  bytes.set(AFTER, BEFORE.length + body.length);
  return bytes;
}
