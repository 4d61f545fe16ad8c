import type { Log, LogRecord } from "@waybill/log";

const READ_BYTES = 256 * 1024;
/**
 * Lines are passed on in chunks of this size: what is made at once stays small, whatever a record
 * holds.
 */
const CHUNK_CHARACTERS = 64 * 1024;

export interface TailFilter {
  readonly environment: string;
  readonly source?: string;
}

/**
 * Shows durable events as they come, from the log itself: a watcher costs reads, never a part of an
 * accept.
 * `emit` gets server-sent events and resolves when its reader has taken them, so a slow watcher is
 * read more slowly and holds nothing up.
 * Runs until `signal` aborts.
 */
export async function tail(
  log: Log,
  filter: TailFilter,
  emit: (text: string) => Promise<unknown>,
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
        for (const chunk of chunksOf(record, filter.environment)) {
          if (signal.aborted) return;
          await emit(chunk);
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

function* chunksOf(record: LogRecord, environment: string): Generator<string> {
  const { source, receivedAtMs, body, ends } = record;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  let chunk = "";
  let start = 0;
  for (const [index, end] of ends.entries()) {
    const fields = JSON.stringify({ environment, source, position: record.first + index, receivedAtMs });
    chunk += `data: ${fields.slice(0, -1)},"event":${eventLine(bytes.subarray(start, end))}}\n\n`;
    start = end + 1;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}

/**
 * An event's bytes as they are, on one line: parsing them could change a number. Line ends in JSON
 * are white space.
 */
export function eventLine(event: Uint8Array): string {
  return Buffer.from(event.buffer, event.byteOffset, event.length)
    .toString()
    .replaceAll(/[\r\n]+/g, " ");
}
