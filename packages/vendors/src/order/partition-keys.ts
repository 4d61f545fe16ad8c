/**
 * By which hash an event is put into a partition: that of its user or anonymous id, else of its own
 * id, else of its bytes: a copy of it comes to the same partition in any case.
 *
 * **It may never change.** A test has fixed values.
 */
import type { EventId } from "../inbound/event-ids.ts";
import { hashOfBytes } from "./order-hash.ts";
import type { OrderRecord } from "./order-hashes.ts";

/** `hashes`: those of users, 0 for nobody's. `idsOf`: read only where there are such. */
export function partitionKeys(
  { body, ends }: OrderRecord,
  hashes: Uint32Array,
  idsOf: (body: Uint8Array) => readonly EventId[],
): Uint32Array {
  if (!hashes.includes(0)) return hashes;
  const ids = idsOf(body);
  // Of a body that is not what the vendor's events are, none fits.
  const hasIds = ids.length === ends.length;
  return hashes.map((hash, index) => {
    if (hash !== 0) return hash;
    const id = hasIds ? ids[index] : undefined;
    if (id !== undefined && id.idStart >= 0) return hashOfBytes(id.bytes ?? body, id.idStart, id.idEnd);
    return hashOfBytes(body, index === 0 ? 0 : (ends[index - 1] as number) + 1, ends[index] as number);
  });
}
