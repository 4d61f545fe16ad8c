import type { Entry, Log, LogRecord } from "@waybill/log";

export function entry(texts: readonly string[], more: Partial<Entry> = {}): Entry {
  const body = Buffer.from(texts.join(","));
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += 1 + Buffer.byteLength(text)));
  return { source: "s", receivedAtMs: 1, metadata: "", body: [body], ends, ...more };
}

export async function readAll(log: Log): Promise<LogRecord[]> {
  const reader = log.reader({ position: log.first });
  const records: LogRecord[] = [];
  for (let read = await reader.read(10_000); read.length > 0; read = await reader.read(10_000)) records.push(...read);
  await reader.close();
  return records;
}

export function textsOf(records: readonly LogRecord[]): string[] {
  return records.flatMap(({ body, ends }) =>
    Array.from(ends, (end, index) =>
      Buffer.from(body.subarray(index === 0 ? 0 : (ends[index - 1] as number) + 1, end)).toString(),
    ),
  );
}
