/** What comes out of another relay's stream. */
import type { Clock } from "@waybill/core";

/** A message has one event at most that is larger than 64 KiB: 10 MiB at the default limits. */
const MESSAGE_MAX_BYTES = 16 * 1024 * 1024;
const END = Buffer.from("\n\n");
const NEWLINE = 0x0a;
const SECOND_MS = 1_000;

/** As they come. Throws when nothing came for `silentMaxMs` though somebody waited for it. */
export async function* notSilent(
  chunks: AsyncIterable<Uint8Array>,
  clock: Clock,
  silentMaxMs: number,
): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await withinTime(iterator.next(), clock, silentMaxMs);
      if (done === true) return;
      yield value;
    }
  } finally {
    // It may wait for the chunk that never came: then the request's signal ends it.
    void iterator.return?.().catch(() => undefined);
  }
}

/** **Errors**: those of `result`, and that it took too long. */
export function withinTime<T>(result: Promise<T>, clock: Clock, deadlineMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(deadlineMs, () => reject(new Error(`was silent for ${deadlineMs / SECOND_MS} s`)));
    result.then(resolve, reject).finally(() => timer.cancel());
  });
}

/**
 * Server-sent events, one whole message or several at a time: between two of them others may be
 * written. Throws for a message above 16 MiB. What comes after the last whole one is left out.
 */
export async function* wholeMessages(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for await (const given of chunks) {
    const chunk = Buffer.from(given.buffer, given.byteOffset, given.length);
    // The end of a message may be half in the chunk before.
    const isSplit = chunk[0] === NEWLINE && parts.at(-1)?.at(-1) === NEWLINE;
    const last = chunk.lastIndexOf(END);
    const end = last === -1 ? (isSplit ? 1 : 0) : last + END.length;
    if (end > 0) {
      yield Buffer.concat([...parts, chunk.subarray(0, end)]);
      parts = [];
      bytes = 0;
    }
    if (end === chunk.length) continue;
    parts.push(chunk.subarray(end));
    bytes += chunk.length - end;
    if (bytes > MESSAGE_MAX_BYTES) throw new Error(`sends a message of more than ${MESSAGE_MAX_BYTES} bytes`);
  }
}
