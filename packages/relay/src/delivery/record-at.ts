import type { Log, LogRecord, Position } from "@waybill/log";

/** The record that has a position; `undefined` where there is none. **Errors**: `WAYBILL_DISK`. */
export async function recordAt(log: Log, position: Position): Promise<LogRecord | undefined> {
  if (position < log.oldest) return undefined;
  const reader = log.reader({ position });
  try {
    const [record] = await reader.read(1);
    return record !== undefined && record.first <= position ? record : undefined;
  } finally {
    await reader.close();
  }
}
