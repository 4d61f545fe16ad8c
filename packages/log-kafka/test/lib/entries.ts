/** Entries whose events are plain texts. */
import type { Entry } from "@waybill/log";

export function entryOf(events: readonly string[]): Entry {
  let end = -1;
  const ends = Uint32Array.from(events, (event) => (end += 1 + Buffer.byteLength(event)));
  return { source: "web", receivedAtMs: 1, metadata: "", body: [Buffer.from(events.join(","))], ends };
}

export function eventsOf({ body, ends }: Pick<Entry, "body" | "ends">): readonly string[] {
  const bytes = Buffer.concat(body);
  return Array.from(ends, (end, index) => bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] ?? 0) + 1, end));
}
