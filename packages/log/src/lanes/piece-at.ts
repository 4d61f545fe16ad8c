import type { Piece } from "../batch.ts";
import type { Cursor, Log } from "../types.ts";

/** The event at a position, read by itself; `undefined` when it is not in the log any more. */
export async function pieceAt(log: Log, { position, byte }: Cursor): Promise<Piece | undefined> {
  const reader = log.reader({ position, byte });
  try {
    const [record] = await reader.read(1);
    const start = position - (record?.first ?? Number.POSITIVE_INFINITY);
    return record === undefined || start < 0 ? undefined : { record, start, end: start + 1 };
  } finally {
    await reader.close();
  }
}
