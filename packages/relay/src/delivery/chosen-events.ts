import type { Log, LogRecord, Piece, Position } from "@waybill/log";

/** Which events of the log; positions are fixed when the replay is made. */
export interface LogChoice {
  readonly from: Position;
  readonly to: Position;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly source?: string;
  readonly type?: string;
  readonly event?: string;
  readonly userId?: string;
}

const READ_BYTES = 1024 * 1024;

/** The chosen events of the log from `from` on. */
export async function* chosenPieces(log: Log, choice: LogChoice, from: Position): AsyncGenerator<Piece> {
  const reader = log.reader({ position: from });
  try {
    for (;;) {
      const records = await reader.read(READ_BYTES);
      if (records.length === 0) return;
      for (const record of records) {
        if (record.first >= choice.to) return;
        const { sinceMs = 0, untilMs = Number.POSITIVE_INFINITY, source } = choice;
        if (record.receivedAtMs < sinceMs || record.receivedAtMs >= untilMs) continue;
        if (source !== undefined && record.source !== source) continue;
        const start = Math.max(0, from - record.first);
        const end = Math.min(record.count, choice.to - record.first);
        yield* chosenEvents(record, start, end, choice);
      }
    }
  } finally {
    await reader.close();
  }
}

/** Runs of events of a record whose own fields are as asked for. */
function* chosenEvents(record: LogRecord, start: number, end: number, choice: LogChoice): Generator<Piece> {
  const { type, event, userId } = choice;
  if (type === undefined && event === undefined && userId === undefined) {
    if (start < end) yield { record, start, end };
    return;
  }
  const events = eventsOf(record);
  let from: number | undefined;
  for (let index = start; index <= end; index++) {
    const fields = index < end ? events[index] : undefined;
    const chosen =
      fields !== undefined &&
      fields !== null &&
      (type === undefined || fields["type"] === type) &&
      (event === undefined || fields["event"] === event) &&
      (userId === undefined || fields["userId"] === userId);
    if (chosen) from ??= index;
    else if (from !== undefined) {
      yield { record, start: from, end: index };
      from = undefined;
    }
  }
}

/** None where the body is not JSON: it has none of the fields that are asked for. */
function eventsOf({ body }: LogRecord): readonly (Readonly<Record<string, unknown>> | null)[] {
  try {
    return JSON.parse(`[${Buffer.from(body).toString()}]`) as readonly (Readonly<Record<string, unknown>> | null)[];
  } catch {
    return [];
  }
}
