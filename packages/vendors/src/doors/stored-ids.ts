import type { SegmentLimits } from "../segment/scan.ts";
import { storedIds } from "../segment/stored-ids.ts";
import { formOf } from "./door.ts";
import { frame } from "./frame.ts";

const decoder = new TextDecoder();
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
  wrapped[0] = 0x5b;
  wrapped.set(body, 1);
  wrapped[body.length + 1] = 0x5d;
  const framed = frame(wrapped, { kind: "array" }, { allowNonFinite: false });
  if ("code" in framed) return [];
  return framed.events.map(({ start, end }) => {
    const text = decoder.decode(wrapped.subarray(start, end));
    const match = /"(?:message_id|uuid)"\s*:\s*"([^"\\]+)"/.exec(text);
    if (match === null) return NONE;
    const before = text.slice(0, match.index + match[0].length - 1 - (match[1] as string).length);
    const idStart = start - 1 + new TextEncoder().encode(before).length;
    return { idStart, idEnd: idStart + new TextEncoder().encode(match[1]).length };
  });
}
