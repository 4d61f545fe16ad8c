import { createHash } from "node:crypto";
import type { Log, LogRecord } from "@waybill/log";
import type { SimDisk } from "@waybill/testing";

export function entryOf(text: string): Parameters<Log["append"]>[0] {
  const body = Buffer.from(text);
  return { source: "s", receivedAtMs: 7, metadata: "", body: [body], ends: Uint32Array.of(body.length) };
}

export async function readAll(log: Log): Promise<readonly LogRecord[]> {
  const reader = log.reader({ position: log.first });
  const records: LogRecord[] = [];
  for (let read = await reader.read(100_000); read.length > 0; read = await reader.read(100_000)) records.push(...read);
  await reader.close();
  return records;
}

export function contents(disk: SimDisk): Map<string, Uint8Array> {
  return new Map(disk.paths().map((path) => [path, disk.contents(path)]));
}

export function digestOf(files: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash("sha1");
  for (const path of [...files.keys()].sort())
    hash.update(`${path}\0${files.get(path)?.length}\0`).update(files.get(path) ?? "");
  return hash.digest("base64");
}
