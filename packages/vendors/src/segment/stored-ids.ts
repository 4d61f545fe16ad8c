import type { EventId } from "../inbound/event-ids.ts";
import { scanSegment } from "./scan.ts";
import { DEFAULT_LIMITS, type SegmentLimits } from "./scan-types.ts";

const BEFORE = '{"batch":[';
const AFTER = "]}";
const encoder = new TextEncoder();

/**
 * Where the ids of stored events (separated by commas, as `assemble` makes them) are in their
 * `body`; `idStart` is -1 for none. `scanBatch` as in {@link SegmentLimits}.
 */
export function storedIds(body: Uint8Array, scanBatch?: SegmentLimits["scanBatch"]): readonly EventId[] {
  const bytes = new Uint8Array(BEFORE.length + body.length + AFTER.length);
  bytes.set(encoder.encode(BEFORE));
  bytes.set(body, BEFORE.length);
  bytes.set(encoder.encode(AFTER), BEFORE.length + body.length);
  // Stored bytes have passed every limit once.
  const limits: SegmentLimits = {
    ...DEFAULT_LIMITS,
    eventMaxBytes: Number.POSITIVE_INFINITY,
    isUtf8: () => true,
    ...(scanBatch === undefined ? {} : { scanBatch }),
  };
  const scan = scanSegment(bytes, { kind: "batch" }, limits);
  if ("refusal" in scan) return [];
  return scan.events.map(({ idStart, idEnd }) =>
    idStart < 0 ? { idStart, idEnd } : { idStart: idStart - BEFORE.length, idEnd: idEnd - BEFORE.length },
  );
}
