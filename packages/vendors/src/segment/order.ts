import { type OrderHashes, type OrderRecord, readOrderHashes } from "../order/order-hashes.ts";
import { type OrderTable, readyTable } from "../order/order-table.ts";

/** Whose an event in Segment's format is. */
export const SEGMENT_ORDER: OrderTable = {
  key: ["userId", "anonymousId"],
  type: "type",
  ties: [
    { types: ["identify"], other: ["anonymousId"] },
    { types: ["alias"], other: ["previousId", "anonymousId"] },
  ],
};

/** Whose each event of a record in Segment's format is. Never throws. */
export function segmentOrderHashes(): (record: OrderRecord) => OrderHashes {
  const table = readyTable(SEGMENT_ORDER);
  return (record) => readOrderHashes(record, table);
}
