/**
 * The tables of docs/operating/log.md define where each field is; here a record is read by them
 * alone.
 */
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { openLog } from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const PAGE = readFileSync(new URL("../../../docs/operating/log.md", import.meta.url), "utf8");

/** Offset and size of a field by the words its row begins with. */
function field(section: string, words: string): { readonly at: number; readonly bytes: number } {
  const row = PAGE.slice(PAGE.indexOf(section))
    .split("\n")
    .find((line) => line.startsWith("|") && line.split("|")[3]?.trim().replaceAll("`", "").startsWith(words));
  const [, at = "", bytes = ""] = row?.split("|") ?? [];
  return { at: Number(at), bytes: Number(bytes) };
}

function number(data: Buffer, base: number, { at, bytes }: { readonly at: number; readonly bytes: number }): number {
  return bytes === 8 ? Number(data.readBigUInt64LE(base + at)) : data.readUIntLE(base + at, bytes);
}

test("a segment is laid out as the page says", async () => {
  const disk = new SimDisk();
  const clock = new VirtualClock();
  const log = await openLog({ directory: "/log" }, { disk, clock });
  const body = Buffer.from('{"a":1},{"b":22}');
  const entry = {
    source: "web",
    receivedAtMs: 1_767_225_600_123,
    metadata: "meta",
    body: [body],
    ends: Uint32Array.of(7, 16),
  };
  await log.append(entry);
  await log.append(entry);
  const [path = ""] = disk.paths();
  const data = Buffer.from(disk.contents(path));

  expect(path).toMatch(/\/0{20}\.log$/);
  expect(data.toString("latin1", 0, field("Header, 64", "WAYBILL").bytes)).toBe("WAYBILL\0");
  expect(number(data, 0, field("Header, 64", "format version"))).toBe(1);
  expect(number(data, 0, field("Header, 64", "CRC-32"))).toBe(
    crc32(data.subarray(16, 64), crc32(data.subarray(0, 12))),
  );
  expect(number(data, 0, field("Header, 64", "base"))).toBe(0);
  expect(number(data, 0, field("Header, 64", "created at"))).toBe(clock.now());

  const record = (words: string): { at: number; bytes: number } => field("Records follow", words);
  const length = number(data, 64, record("length of the record"));
  expect(length % 8).toBe(0);
  const second = 64 + length;
  expect(data.toString("latin1", second, second + record("WBR1").bytes)).toBe("WBR1");
  expect(number(data, second, record("position"))).toBe(2);
  expect(number(data, second, record("number of events"))).toBe(2);
  expect(number(data, second, record("received at"))).toBe(entry.receivedAtMs);
  const sourceBytes = number(data, second, record("bytes of source"));
  const metadataBytes = number(data, second, record("bytes of metadata"));
  expect([sourceBytes, metadataBytes]).toEqual([3, 4]);
  const { at: textAt } = record("source, metadata");
  expect(data.toString("utf8", second + textAt, second + textAt + 7)).toBe("webmeta");
  const endsAt = second + Math.ceil((textAt + sourceBytes + metadataBytes) / 4) * 4;
  expect([data.readUInt32LE(endsAt), data.readUInt32LE(endsAt + 4)]).toEqual([7, 16]);
  const bodyAt = endsAt + 8;
  const padding = number(data, second, record("padding"));
  expect(data.toString("utf8", bodyAt, second + length - padding)).toBe(body.toString());
  expect(number(data, second, record("CRC-32 of the body"))).toBe(crc32(body));
  expect(number(data, second, record("CRC-32 of the head"))).toBe(crc32(data.subarray(second + 12, bodyAt)));
});
