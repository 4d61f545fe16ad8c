import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { openLog, verifyLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { SimDisk, settle, VirtualClock } from "@waybill/testing";
import { testLogOnDisk } from "@waybill/testing/suites";
import { expect, test } from "vitest";
import { encodeSegmentHeader } from "../src/record.ts";

testLogOnDisk("segment log", openLog);

const entry = (text: string): Parameters<Awaited<ReturnType<typeof openLog>>["append"]>[0] => ({
  source: "web",
  receivedAtMs: 5,
  metadata: "",
  body: [Buffer.from(text)],
  ends: Uint32Array.of(Buffer.byteLength(text)),
});

test("works on a real disk and verifies", async () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-test-"));
  const log = await openLog({ directory, segmentMaxBytes: 2_000 }, { disk: nodeDisk, clock: nodeClock });
  await Promise.all(Array.from({ length: 100 }, (_, index) => log.append(entry(`{"n":${index}}`))));
  await log.close();
  expect(await verifyLog(directory, nodeDisk)).toMatchObject({ events: 100, records: 100, damaged: [], tornBytes: 0 });
  rmSync(directory, { recursive: true });
});

test("verify names what is damaged and changes nothing", async () => {
  const disk = new SimDisk();
  const log = await openLog({ directory: "/log" }, { disk, clock: new VirtualClock() });
  for (const text of ["one", "two", "three"]) await log.append(entry(text));
  await log.close();
  const [path = ""] = disk.paths();
  disk.flipBit(path, Buffer.from(disk.contents(path)).indexOf("two"));
  const before = disk.contents(path);
  expect(await verifyLog("/log", disk)).toMatchObject({ records: 2, damaged: [{ events: 1 }] });
  expect(disk.contents(path)).toEqual(before);
});

test("a segment whose creation was cut short is removed at the next start", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const log = await openLog({ directory: "/log" }, runtime);
  await log.append(entry("kept"));
  await log.close();
  const file = await disk.open(`/log/${"1".padStart(20, "0")}.log`, { create: true });
  await file.write([Buffer.from("WAYB")], 0);
  const again = await openLog({ directory: "/log" }, runtime);
  expect(again.head).toBe(1);
  expect(await again.append(entry("next"))).toBe(1);
});

test("refuses a log of a later format version and says what to do", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const log = await openLog({ directory: "/log" }, runtime);
  await log.append(entry("kept"));
  await log.close();
  const [path = ""] = disk.paths();
  const header = Buffer.from(disk.contents(path).slice(0, 64));
  header.writeUInt32LE(9, 8);
  await (await disk.open(path)).write([header], 0);
  // A version that the checksum does not confirm is a turned bit.
  expect((await openLog({ directory: "/log" }, runtime)).head).toBe(1);
  header.writeUInt32LE(crc32(header.subarray(16), crc32(header.subarray(0, 12))), 12);
  await (await disk.open(path)).write([header], 0);
  await expect(openLog({ directory: "/log" }, runtime)).rejects.toMatchObject({ code: "WAYBILL_LOG_DAMAGED" });
});

test("what a killed process left to the page cache is durable once the log is open again: records and names", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const first = await openLog({ directory: "/log", segmentMaxBytes: 100 }, runtime);
  await first.append(entry("one"));
  // Killed between the new segment's header and the sync of its directory.
  disk.onOperation = (operation) => {
    if (operation === "syncDirectory") throw new Error("killed");
  };
  await expect(first.append(entry("two"))).rejects.toThrow();
  disk.onOperation = undefined;
  disk.killProcess();
  const second = await openLog({ directory: "/log", segmentMaxBytes: 10_000 }, runtime);
  await second.append(entry("three"));
  disk.crash();
  const third = await openLog({ directory: "/log" }, runtime);
  expect(third.head).toBe(2);
});

test("a record whose position is the next segment's is not read", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const log = await openLog({ directory: "/log", segmentMaxBytes: 100 }, runtime);
  await log.append(entry("kept"));
  await log.append(entry("after"));
  await log.close();
  const [first = "", second = ""] = disk.paths();
  // A segment that says it begins later than the one before it ended takes what that one could not
  // store for stored.
  const lost = disk.contents(second).slice(64);
  const file = await disk.open(first);
  await file.write([lost], disk.contents(first).length);
  const header = encodeSegmentHeader({ base: 1, startByte: disk.contents(first).length, createdAtMs: 1 });
  await (await disk.open(second)).write([header], 0);
  disk.flipBit(second, Buffer.from(disk.contents(second)).indexOf("after"), 0);
  const again = await openLog({ directory: "/log" }, runtime);
  const texts: string[] = [];
  const reader = again.reader({ position: 0 });
  for (let read = await reader.read(1_000); read.length > 0; read = await reader.read(1_000))
    texts.push(...read.map(({ body }) => Buffer.from(body).toString()));
  expect(texts).toEqual(["kept"]);
});

test("a reader that waits in a segment whose first write failed reads what is stored in its place", async () => {
  const disk = new SimDisk();
  const log = await openLog({ directory: "/log", segmentMaxBytes: 100 }, { disk, clock: new VirtualClock() });
  await log.append(entry("first"));
  const reader = log.reader({ position: 0 });
  expect(await reader.read(1_000)).toHaveLength(1);

  failSecondWrite(disk);
  await expect(log.append(entry("refused"))).rejects.toMatchObject({ code: "WAYBILL_DISK" });
  expect(await reader.read(1_000)).toEqual([]);

  await log.append(entry("second"));
  await log.append(entry("third"));
  const texts = (await reader.read(1_000))
    .concat(await reader.read(1_000))
    .map(({ body }) => String(Buffer.from(body)));
  expect(texts).toEqual(["second", "third"]);
});

test("a reader that opens a segment while it is replaced reads what is stored in its place", async () => {
  const disk = new SimDisk();
  let proceed = (): void => undefined;
  const gate = new Promise<void>((resolve) => (proceed = resolve));
  let opens = 0;
  const open = disk.open.bind(disk);
  disk.open = async (path, options) => {
    const file = await open(path, options);
    if (options?.create !== true && ++opens === 2) await gate;
    return file;
  };
  const log = await openLog({ directory: "/log", segmentMaxBytes: 100 }, { disk, clock: new VirtualClock() });
  await log.append(entry("first"));
  const reader = log.reader({ position: 0 });
  expect(await reader.read(1_000)).toHaveLength(1);
  failSecondWrite(disk);
  await expect(log.append(entry("refused"))).rejects.toMatchObject({ code: "WAYBILL_DISK" });

  const reading = reader.read(1_000);
  await settle();
  await log.append(entry("second"));
  await log.append(entry("third"));
  proceed();
  const texts = (await reading).concat(await reader.read(1_000)).map(({ body }) => String(Buffer.from(body)));
  expect(texts).toEqual(["second", "third"]);
});

/** The header of the next segment is stored, its first record is not. */
function failSecondWrite(disk: SimDisk): void {
  let writes = 0;
  disk.onOperation = (operation) => {
    if (operation === "write" && ++writes === 2) disk.failNext("write");
  };
}
