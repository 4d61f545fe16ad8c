/**
 * One bad entry never fails its wave, and a log that cannot store finds out by itself when it can
 * again.
 */
import type { DiskFile, OpenOptions } from "@waybill/core";
import { type Entry, type Log, type LogRecord, openLog, verifyLog } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { sizeEntry } from "../src/record.ts";

const DIRECTORY = "/log";

interface World {
  readonly disk: SimDisk;
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly defects: unknown[];
}

const SLOW_MS = 7;

/** Takes its time for each write to a file that is there. */
class SlowDisk extends SimDisk {
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    super();
    this.#clock = clock;
  }

  override async open(path: string, options?: OpenOptions): Promise<DiskFile> {
    const file = await super.open(path, options);
    const write = file.write.bind(file);
    file.write = async (...args) => {
      await write(...args);
      await this.#clock.advance(SLOW_MS);
    };
    return file;
  }
}

async function open(disk = new SimDisk(), clock = new VirtualClock()): Promise<World> {
  const defects: unknown[] = [];
  const log = await openLog(
    { directory: DIRECTORY, segmentMaxBytes: 100_000, onDefect: (error) => defects.push(error) },
    { disk, clock },
  );
  return { disk, clock, log, defects };
}

function entry(text: string, more: Partial<Entry> = {}): Entry {
  const body = Buffer.from(text);
  return { source: "s", receivedAtMs: 1, metadata: "", body: [body], ends: Uint32Array.of(body.length), ...more };
}

async function textsOf(log: Log): Promise<readonly string[]> {
  const reader = log.reader({ position: log.first });
  const records: LogRecord[] = [];
  for (let read = await reader.read(1_000_000); read.length > 0; read = await reader.read(1_000_000))
    records.push(...read);
  await reader.close();
  return records.map(({ body }) => Buffer.from(body).toString());
}

const OTHERS = 57;
const others = (log: Log): Promise<number>[] =>
  Array.from({ length: OTHERS }, (_, index) => log.append(entry(`"other-${index}"`)));

test("an entry in 200,001 pieces is stored, as are those of others in its wave", async () => {
  const { log, disk, defects } = await open();
  const text = Array.from({ length: 100_000 }, () => "null").join(",");
  const pieces = Array.from({ length: 200_001 }, (_, index) =>
    Buffer.from(
      text.slice(Math.round((index * text.length) / 200_001), Math.round(((index + 1) * text.length) / 200_001)),
    ),
  );
  const busy = log.append(entry('"first"'));
  const before = others(log);
  const stored = log.append(entry("", { body: pieces, ends: Uint32Array.of(text.length) }));
  await Promise.all([busy, ...before, stored, ...others(log)]);
  expect((await textsOf(log))[1 + OTHERS]).toBe(text);
  expect(await verifyLog(DIRECTORY, disk)).toMatchObject({ records: 2 + 2 * OTHERS, damaged: [], tornBytes: 0 });
  expect(defects).toEqual([]);
});

test("pieces of every size are stored as they are, between entries of every size", async () => {
  const { log, disk } = await open();
  const random = new SeededRandom(3);
  const texts = Array.from({ length: 200 }, () => {
    const pieces = Array.from({ length: 1 + random.below(100) }, () => "x".repeat(random.below(9) ** 4));
    return pieces.slice(0, 5 + random.below(95));
  });
  await Promise.all(
    texts.map((pieces) => {
      const ends = Uint32Array.of(pieces.join("").length);
      return log.append(entry("", { body: pieces.map((piece) => Buffer.from(piece)), ends }));
    }),
  );
  expect((await textsOf(log)).map(({ length }) => length)).toEqual(texts.map((pieces) => pieces.join("").length));
  expect((await verifyLog(DIRECTORY, disk)).damaged).toEqual([]);
});

test("a body in very many pieces is joined once, one in a few is written as it came", () => {
  const of = (count: number): Entry =>
    entry("", { body: Array.from({ length: count }, () => Buffer.from("x")), ends: Uint32Array.of(count) });
  expect(sizeEntry(of(10)).body).toHaveLength(10);
  expect(sizeEntry(of(10_000)).body).toHaveLength(1);
  expect(sizeEntry(of(10_000)).bodyCrc).toBe(sizeEntry(entry("x".repeat(10_000))).bodyCrc);
});

const BAD: readonly (readonly [string, Partial<Entry>])[] = [
  ["no events", { body: [], ends: new Uint32Array(0) }],
  ["ends that do not cover the body", { ends: Uint32Array.of(3) }],
  ["ends beyond the body", { ends: Uint32Array.of(500) }],
  ["ends that go back", { ends: Uint32Array.of(5, 2, 7) }],
  ["ends without a comma between", { ends: Uint32Array.of(5, 5, 7) }],
  ["received at NaN", { receivedAtMs: Number.NaN }],
  ["received before all time", { receivedAtMs: -1 }],
  ["received at half a millisecond", { receivedAtMs: 0.5 }],
  ["received beyond what a number holds", { receivedAtMs: 2 ** 60 }],
  ["half a character in the metadata", { metadata: "\ud800" }],
  ["half a character in the source", { source: "s\udc00" }],
  ["a source too long", { source: "s".repeat(1_025) }],
  ["metadata too long", { metadata: "ä".repeat(600_000) }],
];

test.each(BAD)("%s: refused alone, the wave goes on", async (_name, more) => {
  const { log, disk } = await open();
  const before = others(log);
  const refused = log.append(entry('"bad-1"', more)).catch((error: unknown) => error);
  const after = others(log);
  expect(await refused).toMatchObject({ code: "WAYBILL_EVENT", retryable: false });
  await Promise.all([...before, ...after, log.barrier()]);
  expect(await textsOf(log)).toHaveLength(2 * OTHERS);
  expect(log.lastError).toBeUndefined();
  expect((await verifyLog(DIRECTORY, disk)).damaged).toEqual([]);
});

test("entries of one append are stored together or not at all, however large they are", async () => {
  for (let failing = 1; failing < 5; failing++) {
    const { log, disk } = await open();
    await log.append(entry('"kept"'));
    let syncs = 0;
    disk.onOperation = (operation) => {
      if (operation === "sync" && ++syncs === failing) throw new Error("EIO");
    };
    const large = Array.from({ length: 3 }, () => entry(`"${"x".repeat(700_000)}"`));
    const stored = await log.appendAll(large).then(
      ({ length }) => length,
      () => 0,
    );
    expect(log.head).toBe(1 + stored);
  }
});

test("an entry whose body changes its size while it waits is refused alone, and reported as a defect", async () => {
  const { log, disk, defects } = await open();
  for (const bytes of [10, 10_000]) {
    const busy = log.append(entry('"busy"'));
    const before = others(log);
    const body = new Uint8Array(bytes).fill(0x31);
    const refused = log
      .append(entry("", { body: [body], ends: Uint32Array.of(bytes) }))
      .catch((error: unknown) => error);
    const after = others(log);
    const barrier = log.barrier().catch((error: unknown) => error);
    structuredClone(body, { transfer: [body.buffer] });
    expect(await refused).toMatchObject({ code: "WAYBILL_EVENT", reason: "invalid" });
    expect(await barrier).toMatchObject({ code: "WAYBILL_DISK" });
    await Promise.all([busy, ...before, ...after]);
  }
  expect(await textsOf(log)).toHaveLength(2 * (1 + 2 * OTHERS));
  expect((await verifyLog(DIRECTORY, disk)).damaged).toEqual([]);
  expect(defects).toHaveLength(2);
});

test("a listener that throws keeps no one from an answer, nor the next wave from its way", async () => {
  const { log, defects } = await open();
  let calls = 0;
  log.onCommit(() => {
    throw new Error("a defect");
  });
  log.onCommit(() => (calls += 1));
  await log.append(entry('"a"'));
  await Promise.all(others(log));
  expect(calls).toBeGreaterThan(1);
  expect(defects).toHaveLength(calls);
});

const SECOND = 1_000;

test("a disk without room: unready until what failed would fit, ready without an accept once it does", async () => {
  const { log, disk, clock } = await open();
  await log.append(entry('"kept"'));
  const kept = disk.paths().map((path) => disk.contents(path));
  disk.capacityBytes = disk.usedBytes + 50;
  await expect(log.append(entry("x".repeat(200_000)))).rejects.toMatchObject({ code: "WAYBILL_LOG_FULL" });
  await clock.advance(5 * SECOND);
  expect(log.lastError).toContain("no room");
  // Enough for a small request, not for what was refused.
  disk.capacityBytes = disk.usedBytes + 100_000;
  await clock.advance(5 * SECOND);
  expect(log.lastError).toContain("no room");
  disk.capacityBytes = disk.usedBytes + 300_000;
  await clock.advance(2 * SECOND);
  expect(log.lastError).toBeUndefined();
  expect(disk.paths().map((path) => disk.contents(path))).toEqual(kept);
  await log.append(entry("x".repeat(200_000)));
  expect(await verifyLog(DIRECTORY, disk)).toMatchObject({ records: 2, damaged: [], tornBytes: 0 });
  await log.close();
});

test("syncs that fail: unready for as long as they do, then ready again, and a restart finds all", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { log, disk, clock } = await open(new SimDisk(new SeededRandom(seed)));
    await log.append(entry('"kept"'));
    disk.faults = { sync: 1 };
    await expect(log.append(entry('"lost"'))).rejects.toMatchObject({ code: "WAYBILL_DISK" });
    await clock.advance(10 * SECOND);
    expect(log.lastError).toBeDefined();
    disk.faults = {};
    await clock.advance(2 * SECOND);
    expect(log.lastError).toBeUndefined();
    await log.append(entry('"after"'));
    disk.crash(new SeededRandom(seed));
    const again = await open(disk);
    expect(await textsOf(again.log)).toEqual(['"kept"', '"after"']);
  }
});

test("a power cut at any operation while the disk is tried leaves the log whole", async () => {
  for (let operation = 1; operation < 20; operation++) {
    for (let seed = 0; seed < 4; seed++) {
      const { log, disk, clock } = await open();
      await log.append(entry('"kept"'));
      disk.failNext("sync");
      await log.append(entry('"lost"')).catch(() => undefined);
      let left = operation;
      disk.onOperation = () => {
        left -= 1;
        if (left <= 0) throw new Error("the power failed");
      };
      await clock.advance(2 * SECOND);
      disk.onOperation = undefined;
      disk.crash(new SeededRandom(seed));
      const again = await open(disk);
      await again.log.append(entry('"after"'));
      // What could not be stored may have reached the disk all the same.
      const texts = await textsOf(again.log);
      expect(texts.filter((text) => text !== '"lost"')).toEqual(['"kept"', '"after"']);
      await again.log.close();
      expect(await textsOf((await open(disk)).log)).toEqual(texts);
    }
  }
});

test("what is stored after several failures in a row is still there after a restart, and what was refused is not", async () => {
  for (let failures = 1; failures < 6; failures++) {
    const { log, disk } = await open();
    await log.append(entry('"kept"'));
    for (let failure = 0; failure < failures; failure++) {
      // A new segment's header goes well, its first record does not.
      let syncs = failure === 0 ? 1 : 0;
      disk.onOperation = (operation) => {
        if (operation === "sync" && ++syncs === 2) throw new Error("EIO");
      };
      await expect(log.append(entry(`"refused-${failure}"`))).rejects.toMatchObject({ code: "WAYBILL_DISK" });
    }
    disk.onOperation = undefined;
    expect(await log.append(entry('"after"'))).toBe(1);
    disk.killProcess();
    const again = await open(disk);
    expect(again.log.head).toBe(2);
    expect(await textsOf(again.log)).toEqual(['"kept"', '"after"']);
    for await (const _ of again.log.find(Buffer.from("refused"))) expect.unreachable();
  }
});

test("a disk that does not answer is unready meanwhile, and ready once it has", async () => {
  const disk = new SimDisk();
  const { open: openFile } = disk;
  let hung: Promise<void> | undefined;
  disk.open = async (path, options) => {
    const opened = await openFile.call(disk, path, options);
    const { write } = opened;
    opened.write = async (...args) => {
      await hung;
      return write.call(opened, ...args);
    };
    return opened;
  };
  const { log, clock } = await open(disk);
  await log.append(entry('"kept"'));
  let answer = (): void => undefined;
  hung = new Promise<void>((resolve) => (answer = resolve));
  const appended = log.append(entry('"late"'));
  await clock.advance(SECOND);
  expect(log.lastError).toBeUndefined();
  await clock.advance(60 * SECOND);
  expect(log.lastError).toBe("The disk has not answered for 61 s");
  answer();
  await appended;
  expect(log.lastError).toBeUndefined();
  expect(await textsOf(log)).toEqual(['"kept"', '"late"']);
});

test("each durable write reports how long the disk took, once for all entries that waited for it", async () => {
  const clock = new VirtualClock();
  const disk = new SlowDisk(clock);
  const durations: number[] = [];
  const log = await openLog({ directory: DIRECTORY, onSynced: (ms) => durations.push(ms) }, { disk, clock });
  // The first leaves alone, the others wait for it together.
  await Promise.all([log.append(entry("1")), log.append(entry("2")), log.append(entry("3"))]);
  expect(durations).toEqual([SLOW_MS, SLOW_MS]);
  disk.failNext("write");
  await expect(log.append(entry("4"))).rejects.toThrow();
  expect(durations).toHaveLength(2);
  await log.close();
});
