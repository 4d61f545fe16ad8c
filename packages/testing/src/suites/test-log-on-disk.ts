import type { Disk } from "@waybill/core";
import type { Log, LogOptions } from "@waybill/log";
import { expect, test } from "vitest";
import { SeededRandom } from "../seeded-random.ts";
import { SimDisk } from "../sim-disk.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { entry, readAll, textsOf } from "./log-entries.ts";
import { testLog } from "./test-log.ts";

export type OpenLog = (
  options: LogOptions,
  runtime: { readonly disk: Disk; readonly clock: VirtualClock },
) => Promise<Log>;

const DIRECTORY = "/log";
const EVERYTHING = { maxAgeMs: 0, maxBytes: 0, hardMaxBytes: 0 };

/** The contract of a `Log` in files on a disk: that of any `Log`, and what a disk may do to it. */
export function testLogOnDisk(name: string, openLog: OpenLog): void {
  const setUp: SetUp = async (options = {}) => {
    const disk = new SimDisk();
    const clock = new VirtualClock();
    const open = (): Promise<Log> => openLog({ directory: DIRECTORY, ...options }, { disk, clock });
    return { disk, clock, open, log: await open() };
  };
  testLog(name, setUp);
  testWrites(name, setUp);
  testRecovery(name, setUp);
  testFailures(name, setUp);
  testSegments(name, setUp);
}

/** A new log on a disk of its own. */
type SetUp = (options?: Partial<LogOptions>) => Promise<World>;

function testWrites(name: string, setUp: SetUp): void {
  test(`${name}: appends that arrive together share a write`, async () => {
    const { disk, log } = await setUp();
    await log.append(entry(["first"]));
    const before = disk.operations.get("write") ?? 0;
    await Promise.all(Array.from({ length: 50 }, (_, index) => log.append(entry([`e${index}`]))));
    expect((disk.operations.get("write") ?? 0) - before).toBeLessThanOrEqual(3);
    expect(textsOf(await readAll(log))).toHaveLength(51);
  });

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

function testFailures(name: string, setUp: SetUp): void {
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
}

function testSegments(name: string, setUp: SetUp): void {
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
}

interface World {
  readonly disk: SimDisk;
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly open: () => Promise<Log>;
}

function newest(disk: SimDisk): string {
  return disk.paths().at(-1) as string;
}
