/** Some of the events of an entry as an entry of their own. */
import type { Entry } from "@waybill/log";

const COMMA = 0x2c;

/** The bytes of all events in one piece; not copied where they are in one already. */
export function bodyOf({ body }: Pick<Entry, "body">): Uint8Array {
  const [only] = body;
  return body.length === 1 && only !== undefined ? only : Buffer.concat(body);
}

/** The events `start` to `end - 1`. Their bytes are a view. */
export function slicedEntry(entry: Entry, start: number, end: number): Entry {
  const from = startOf(entry.ends, start);
  const body = bodyOf(entry).subarray(from, entry.ends[end - 1]);
  return { ...entry, body: [body], ends: entry.ends.slice(start, end).map((one) => one - from) };
}

/** The events at these indexes, which ascend. Their bytes are copied. */
export function pickedEntry(entry: Entry, indexes: Uint32Array): Entry {
  const from = bodyOf(entry);
  const ends = new Uint32Array(indexes.length);
  let bytes = indexes.length - 1;
  for (const index of indexes) bytes += (entry.ends[index] as number) - startOf(entry.ends, index);
  const body = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const [place, index] of indexes.entries()) {
    if (place > 0) body[at++] = COMMA;
    const event = from.subarray(startOf(entry.ends, index), entry.ends[index]);
    body.set(event, at);
    at += event.length;
    ends[place] = at;
  }
  return { ...entry, body: [body], ends };
}

/** After the comma that follows the event before. */
export function startOf(ends: Uint32Array, index: number): number {
  return index === 0 ? 0 : (ends[index - 1] as number) + 1;
}
