import type { SegmentLimits } from "../segment/scan-types.ts";
import { storedIds } from "../segment/stored-ids.ts";
import { FieldReader, frame } from "./frame.ts";
import { formOf } from "./inbound.ts";

const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const BACKSLASH = 0x5c;
const NONE = { idStart: -1, idEnd: -1 };

/**
 * Where the ids of stored events stand in their `body`, by the words they are in. Ids that a request carried beside its events are not in the log: a repeat
 * of such a request is not known again after a restart that lost the files of ids.
 */
export function storedIdsOf(
  body: Uint8Array,
  metadata: string,
  scanBatch?: SegmentLimits["scanBatch"],
): ReturnType<typeof storedIds> {
  const form = formOf(metadata);
  // Letter's events have Segment's member.
  if (form === "segment" || form === "letter") return storedIds(body, scanBatch);
  if (form !== "getfluxly" && form !== "posthog") return [];
  const wrapped = new Uint8Array(body.length + 2);
  wrapped[0] = OPEN_BRACKET;
  wrapped.set(body, 1);
  wrapped[body.length + 1] = CLOSE_BRACKET;
  const framed = frame(wrapped, { kind: "array" }, { allowNonFinite: false });
  if ("code" in framed) return [];
  const fields = new FieldReader(wrapped);
  const name = form === "getfluxly" ? "message_id" : "uuid";
  return framed.events.map((range) => {
    const [id] = fields.read(range, [name]);
    // One with escapes is remembered decoded: it is not found by its bytes.
    if (id === undefined || !fields.isText(id) || wrapped.subarray(id.start, id.end).includes(BACKSLASH)) return NONE;
    return { idStart: id.start, idEnd: id.end - 2 };
  });
}
