import type { Log, LogRecord } from "@waybill/log";
import type { TailEvent } from "./admin-types.ts";

const READ_BYTES = 256 * 1024;

export interface TailFilter {
  readonly environment: string;
  readonly source?: string;
}

/**
 * Shows durable events as they come, from the log itself: a watcher costs reads, never a part of an accept.
 * `emit` resolves when its reader has taken the event, so a slow watcher is read more slowly and holds nothing up.
 * Runs until `signal` aborts.
 */
export async function tail(
  log: Log,
  filter: TailFilter,
  emit: (event: TailEvent) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const reader = log.reader({ position: log.head, byte: log.headByte });
  let wake = (): void => undefined;
  const stopListening = log.onCommit(() => wake());
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    while (!signal.aborted) {
      const committed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const records = await reader.read(READ_BYTES);
      for (const record of records) {
        if (filter.source !== undefined && record.source !== filter.source) continue;
        for (const event of eventsOf(record, filter.environment)) {
          if (signal.aborted) return;
          await emit(event);
        }
      }
      if (records.length === 0 && !signal.aborted) await committed;
    }
  } finally {
    stopListening();
    signal.removeEventListener("abort", onAbort);
    await reader.close();
  }
}

function* eventsOf(record: LogRecord, environment: string): Generator<TailEvent> {
  const events = JSON.parse(
    `[${Buffer.from(record.body.buffer, record.body.byteOffset, record.body.length).toString()}]`,
  ) as unknown[];
  for (const [index, event] of events.entries()) {
    yield {
      environment,
      source: record.source,
      position: record.first + index,
      receivedAtMs: record.receivedAtMs,
      event,
    };
  }
}
