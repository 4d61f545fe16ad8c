import type { Log, LogRecord, Position } from "./types.ts";

const READ_BYTES = 1024 * 1024;

/** The records of a log from a position on. They are valid until the next step. */
export async function* recordsFrom(log: Log, position: Position): AsyncGenerator<LogRecord> {
  const reader = log.reader({ position });
  try {
    for (let read = await reader.read(READ_BYTES); read.length > 0; read = await reader.read(READ_BYTES)) yield* read;
  } finally {
    await reader.close();
  }
}
