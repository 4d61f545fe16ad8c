import type { Disk } from "@waybill/core";
import type { Entry, Log, LogOptions, LogRecord } from "@waybill/log";
import { expect, test } from "vitest";
import { SeededRandom } from "../seeded-random.ts";
import { SimDisk } from "../sim-disk.ts";
import { VirtualClock } from "../virtual-clock.ts";

export type OpenLog = (
  options: LogOptions,
  runtime: { readonly disk: Disk; readonly clock: VirtualClock },
) => Promise<Log>;

const DIRECTORY = "/log";
const EVERYTHING = { maxAgeMs: 0, maxBytes: 0, hardMaxBytes: 0 };

/** The contract of `Log`: a new one passes by this call. */
export function testLog(name: string, openLog: OpenLog): void {
  const setUp: SetUp = async (options = {}) => {
    const disk = new SimDisk();
    const clock = new VirtualClock();
    const open = (): Promise<Log> => openLog({ directory: DIRECTORY, ...options }, { disk, clock });
    return { disk, clock, open, log: await open() };
  };
  testAppending(name, setUp);
  testAppendingTogether(name, setUp);
  testRecovery(name, setUp);
  testRefusing(name, setUp);
  testReading(name, setUp);
  testRetention(name, setUp);
}

/** A new log on a disk of its own. */
type SetUp = (options?: Partial<LogOptions>) => Promise<World>;

function testAppending(name: string, setUp: SetUp): void {
  test(`${name}: reads back byte for byte what was appended`, async () => {
    const { log } = await setUp();
    expect(await log.append(entry(["a", "bc"], { metadata: '{"m":"ä"}', source: "web" }))).toBe(0);
    expect(await log.append(entry(["d"]))).toBe(2);
    expect(log.head).toBe(3);
    const records = await readAll(log);
    expect(records.map(({ first, count, source, metadata }) => ({ first, count, source, metadata }))).toEqual([
      { first: 0, count: 2, source: "web", metadata: '{"m":"ä"}' },
      { first: 2, count: 1, source: "s", metadata: "" },
    ]);
    expect(textsOf(records)).toEqual(["a", "bc", "d"]);
  });

  test(`${name}: appends that arrive together share a write`, async () => {
    const { disk, log } = await setUp();
    await log.append(entry(["first"]));
    const before = disk.operations.get("write") ?? 0;
    await Promise.all(Array.from({ length: 50 }, (_, index) => log.append(entry([`e${index}`]))));
    expect((disk.operations.get("write") ?? 0) - before).toBeLessThanOrEqual(3);
    expect(textsOf(await readAll(log))).toHaveLength(51);
  });

  test(`${name}: a barrier waits for everything before it and fails with it`, async () => {
    const { disk, log } = await setUp();
    await log.append(entry(["a"]));
    let stored = false;
    const appended = log.append(entry(["b"])).then(() => {
      stored = true;
    });
    await log.barrier();
    expect(stored).toBe(true);
    await appended;
    disk.failNext("sync");
    const failing = log.append(entry(["c"])).catch(() => "refused");
    await expect(log.barrier()).rejects.toMatchObject({ retryable: true });
    expect(await failing).toBe("refused");
    await expect(log.barrier()).resolves.toBeUndefined();
  });
}

function testAppendingTogether(name: string, setUp: SetUp): void {
  test(`${name}: entries of one append are one write, in order, each with its own position`, async () => {
    const { disk, log } = await setUp();
    await log.append(entry(["first"]));
    const before = disk.operations.get("write") ?? 0;
    const together = [entry(["a", "b"], { source: "web" }), entry(["c"]), entry(["d"], { source: "ios" })];
    expect(await log.appendAll(together)).toEqual([1, 3, 4]);
    expect((disk.operations.get("write") ?? 0) - before).toBe(1);
    expect(textsOf(await readAll(log))).toEqual(["first", "a", "b", "c", "d"]);
    expect(await log.appendAll([])).toEqual([]);
  });

  test(`${name}: of entries of one append none is stored when one cannot be`, async () => {
    const { disk, log } = await setUp();
    const tooLarge = entry(["b"], { metadata: "x".repeat(2 * 1024 * 1024) });
    await expect(log.appendAll([entry(["a"]), tooLarge])).rejects.toMatchObject({ code: "WAYBILL_EVENT" });
    expect(log.head).toBe(0);
    disk.failNext("sync");
    await expect(log.appendAll([entry(["a"]), entry(["b"])])).rejects.toMatchObject({ retryable: true });
    expect(textsOf(await readAll(log))).toEqual([]);
    expect(await log.appendAll([entry(["c"]), entry(["d"])])).toEqual([0, 1]);
  });
}

function testRecovery(name: string, setUp: SetUp): void {
  test(`${name}: a power cut after the answer loses nothing`, async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { disk, log, open } = await setUp({ segmentMaxBytes: 400 });
      for (let index = 0; index < 10; index++) await log.append(entry([`e${index}`]));
      void log.append(entry(["unanswered"])).catch(() => undefined);
      disk.crash(new SeededRandom(seed));
      const again = await open();
      expect(textsOf(await readAll(again)).slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, index) => `e${index}`));
    }
  });

  test(`${name}: cuts a torn tail, and a second recovery finds nothing to do`, async () => {
    const { disk, log, open } = await setUp();
    await log.append(entry(["whole"]));
    await log.close();
    const path = newest(disk);
    const size = disk.contents(path).length;
    const file = await disk.open(path);
    await file.write([disk.contents(path).slice(64, 64 + 30)], size);
    const recovered = await open();
    expect(recovered.recovery.tornBytes).toBe(30);
    expect(recovered.head).toBe(1);
    await recovered.close();
    const second = await open();
    expect(second.recovery).toMatchObject({ tornBytes: 0, damaged: [] });
    expect(disk.contents(path).length).toBe(size);
  });

  test(`${name}: skips a damaged record, counts it, and keeps what is behind`, async () => {
    const { disk, log, open } = await setUp();
    for (const text of ["one", "two", "three"]) await log.append(entry([text, `${text}!`]));
    await log.close();
    const path = newest(disk);
    disk.flipBit(path, Buffer.from(disk.contents(path)).indexOf("two"));
    const recovered = await open();
    expect(recovered.recovery.damaged).toMatchObject([{ events: 2 }]);
    expect(recovered.head).toBe(6);
    expect(textsOf(await readAll(recovered))).toEqual(["one", "one!", "three", "three!"]);
    await recovered.append(entry(["four"]));
    expect(textsOf(await readAll(recovered)).at(-1)).toBe("four");
  });

  test(`${name}: damage in an older segment is skipped by its readers`, async () => {
    const { disk, log } = await setUp({ segmentMaxBytes: 200 });
    for (let index = 0; index < 6; index++) await log.append(entry([`event-${index}`]));
    const damagedPath = disk.paths().find((path) => Buffer.from(disk.contents(path)).includes("event-2")) as string;
    disk.flipBit(damagedPath, Buffer.from(disk.contents(damagedPath)).indexOf("event-2"));
    expect(textsOf(await readAll(log))).toEqual(["event-0", "event-1", "event-3", "event-4", "event-5"]);
  });
}

function testRefusing(name: string, setUp: SetUp): void {
  test(`${name}: refuses while the disk is full, keeps nothing of what it refused, and resumes by itself`, async () => {
    const { disk, log, open } = await setUp();
    await log.append(entry(["before"]));
    disk.capacityBytes = disk.usedBytes + 50;
    await expect(log.append(entry(["x".repeat(500)]))).rejects.toMatchObject({
      code: "WAYBILL_LOG_FULL",
      retryable: true,
    });
    expect(log.lastError).toBeDefined();
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    expect(await log.append(entry(["after"]))).toBe(1);
    expect(log.lastError).toBeUndefined();
    await log.close();
    expect(textsOf(await readAll(await open()))).toEqual(["before", "after"]);
  });

  test(`${name}: an entry whose sync failed is refused and not in the log, even after a restart`, async () => {
    const { disk, log, open } = await setUp();
    await log.append(entry(["before"]));
    disk.failNext("sync");
    await expect(log.append(entry(["unsynced"]))).rejects.toMatchObject({ code: "WAYBILL_DISK", retryable: true });
    expect(await log.append(entry(["after"]))).toBe(1);
    expect(textsOf(await readAll(log))).toEqual(["before", "after"]);
    await log.close();
    expect(textsOf(await readAll(await open()))).toEqual(["before", "after"]);
  });

  test(`${name}: a closed log refuses`, async () => {
    const { log } = await setUp();
    await log.close();
    await expect(log.append(entry(["late"]))).rejects.toMatchObject({ code: "WAYBILL_CLOSED" });
  });

  test(`${name}: refuses as busy when too many bytes wait`, async () => {
    const { log } = await setUp({ pendingMaxBytes: 1_000 });
    const appends = Array.from({ length: 20 }, () =>
      log.append(entry(["x".repeat(200)])).then(
        () => "stored",
        (error: { code: string }) => error.code,
      ),
    );
    const answers = await Promise.all(appends);
    expect(answers).toContain("WAYBILL_LOG_BUSY");
    expect(textsOf(await readAll(log))).toHaveLength(answers.filter((answer) => answer === "stored").length);
  });
}

function testReading(name: string, setUp: SetUp): void {
  test(`${name}: reads from a position, with and without the byte hint`, async () => {
    const { log } = await setUp({ segmentMaxBytes: 300 });
    const cursors = new Map<number, number>();
    for (let index = 0; index < 12; index++) {
      cursors.set(log.head, log.headByte);
      await log.append(entry([`e${index}`, `f${index}`]));
    }
    for (const [position, byte] of cursors) {
      const wanted = [`e${position / 2}`, `f${position / 2}`];
      expect(textsOf(await log.reader({ position, byte }).read(1)).slice(0, 2)).toEqual(wanted);
      expect(textsOf(await log.reader({ position }).read(1)).slice(0, 2)).toEqual(wanted);
      expect(textsOf(await log.reader({ position, byte: byte + 8 }).read(1)).slice(0, 2)).toEqual(wanted);
    }
    expect(await log.reader({ position: log.head, byte: log.headByte }).read(100)).toEqual([]);
  });

  test(`${name}: a reader at the head sees what is appended later, over segments`, async () => {
    const { log } = await setUp({ segmentMaxBytes: 150 });
    const reader = log.reader({ position: 0, byte: 0 });
    for (let index = 0; index < 5; index++) {
      await log.append(entry([`e${index}`]));
      expect(textsOf(await reader.read(1_000))).toEqual([`e${index}`]);
      expect(await reader.read(1_000)).toEqual([]);
    }
  });

  test(`${name}: a reader that retention overtook goes on with what is left`, async () => {
    const { clock, log } = await setUp({ segmentMaxBytes: 150 });
    for (let index = 0; index < 4; index++) await log.append(entry([`e${index}`]));
    const reader = log.reader({ position: 0 });
    await reader.read(1);
    await log.retain(EVERYTHING, clock.now() + 1, 0);
    const rest = await reader.read(1_000);
    expect(rest[0]?.first).toBe(log.first);
  });
}

function testRetention(name: string, setUp: SetUp): void {
  test(`${name}: retention removes whole segments, oldest first, but none that is needed before the hard limit`, async () => {
    const { disk, clock, log } = await setUp({ segmentMaxBytes: 150 });
    for (let index = 0; index < 5; index++) await log.append(entry([`e${index}`]));
    const limits = { maxAgeMs: 1_000, maxBytes: 1e9, hardMaxBytes: 1e9 };
    expect(await log.retain(limits, clock.now(), log.head)).toBe(0);
    await clock.advance(2_000);
    expect(await log.retain(limits, clock.now(), 2)).toBeGreaterThan(0);
    expect(textsOf(await readAll(log))).toEqual(["e2", "e3", "e4"]);
    expect(log.first).toBe(2);
    await log.retain(EVERYTHING, clock.now(), 2);
    expect(disk.paths()).toHaveLength(1);
    expect(log.head).toBe(5);
  });

  test(`${name}: positions and bytes go on after a restart, also when the oldest segments are gone`, async () => {
    const { clock, log, open } = await setUp({ segmentMaxBytes: 150 });
    for (let index = 0; index < 5; index++) await log.append(entry([`e${index}`]));
    await log.retain({ ...EVERYTHING, hardMaxBytes: 1e9 }, clock.now() + 1, 3);
    const { head, headByte, first, firstByte } = log;
    await log.close();
    const again = await open();
    expect({ head: again.head, headByte: again.headByte, first: again.first, firstByte: again.firstByte }).toEqual({
      head,
      headByte,
      first,
      firstByte,
    });
    expect(await again.append(entry(["next"]))).toBe(head);
  });
}

interface World {
  readonly disk: SimDisk;
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly open: () => Promise<Log>;
}

function entry(texts: readonly string[], more: Partial<Entry> = {}): Entry {
  const body = Buffer.from(texts.join(","));
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += 1 + Buffer.byteLength(text)));
  return { source: "s", receivedAtMs: 1, metadata: "", body: [body], ends, ...more };
}

async function readAll(log: Log): Promise<LogRecord[]> {
  const reader = log.reader({ position: log.first });
  const records: LogRecord[] = [];
  for (let read = await reader.read(10_000); read.length > 0; read = await reader.read(10_000)) records.push(...read);
  await reader.close();
  return records;
}

function textsOf(records: readonly LogRecord[]): string[] {
  return records.flatMap(({ body, ends }) =>
    Array.from(ends, (end, index) =>
      Buffer.from(body.subarray(index === 0 ? 0 : (ends[index - 1] as number) + 1, end)).toString(),
    ),
  );
}

function newest(disk: SimDisk): string {
  return disk.paths().at(-1) as string;
}
