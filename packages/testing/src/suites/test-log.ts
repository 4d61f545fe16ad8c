import type { FoundEvent, Log } from "@waybill/log";
import { expect, test } from "vitest";
import type { VirtualClock } from "../virtual-clock.ts";
import { entry, readAll, textsOf } from "./log-entries.ts";

/** A new log, and what is stored of it opened again. */
export interface LogUnderTest {
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly open: () => Promise<Log>;
}

export interface LogUnderTestOptions {
  /** Parts that are removed as a whole have about so many bytes, or one record. */
  readonly segmentMaxBytes?: number;
  readonly pendingMaxBytes?: number;
}

export type MakeLog = (options?: LogUnderTestOptions) => Promise<LogUnderTest>;

const EVERYTHING = { maxAgeMs: 0, maxBytes: 0, hardMaxBytes: 0 };

/** The contract of `Log`, wherever it keeps its records: a new one passes by this call. */
export function testLog(name: string, make: MakeLog): void {
  testAppending(name, make);
  testRefusing(name, make);
  testReading(name, make);
  testSearching(name, make);
  testRetention(name, make);
}

function testAppending(name: string, setUp: MakeLog): void {
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
  test(`${name}: a barrier waits for everything before it`, async () => {
    const { log } = await setUp();
    const stored: string[] = [];
    const appended = ["a", "b"].map((text) => log.append(entry([text])).then(() => stored.push(text)));
    await log.barrier();
    expect(stored).toEqual(["a", "b"]);
    await Promise.all(appended);
    await expect(log.barrier()).resolves.toBeUndefined();
  });

  test(`${name}: entries of one append are in order, each with its own position`, async () => {
    const { log } = await setUp();
    await log.append(entry(["first"]));
    const together = [entry(["a", "b"], { source: "web" }), entry(["c"]), entry(["d"], { source: "ios" })];
    expect(await log.appendAll(together)).toEqual([1, 3, 4]);
    expect(textsOf(await readAll(log))).toEqual(["first", "a", "b", "c", "d"]);
    expect(await log.appendAll([])).toEqual([]);
  });

  test(`${name}: appends have the order of the calls, and tell that the head moved`, async () => {
    const { log } = await setUp();
    let head = 0;
    const stop = log.onCommit(() => {
      head = log.head;
    });
    const texts = Array.from({ length: 50 }, (_, index) => `e${index}`);
    const places = await Promise.all(texts.map((text) => log.append(entry([text]))));
    expect(places).toEqual(texts.map((_, index) => index));
    expect(head).toBe(50);
    stop();
    await log.append(entry(["later"]));
    expect(head).toBe(50);
    expect(textsOf(await readAll(log))).toEqual([...texts, "later"]);
  });
}

function testRefusing(name: string, setUp: MakeLog): void {
  test(`${name}: of entries of one append none is stored when one is too large`, async () => {
    const { log } = await setUp();
    const tooLarge = entry(["b"], { metadata: "x".repeat(2 * 1024 * 1024) });
    await expect(log.appendAll([entry(["a"]), tooLarge])).rejects.toMatchObject({ code: "WAYBILL_EVENT" });
    expect(log.head).toBe(0);
    expect(await log.appendAll([entry(["c"]), entry(["d"])])).toEqual([0, 1]);
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

function testReading(name: string, setUp: MakeLog): void {
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

function testSearching(name: string, setUp: MakeLog): void {
  test(`${name}: finds each event that holds some bytes once, in order, and what is beside the events`, async () => {
    const { log } = await setUp({ segmentMaxBytes: 300 });
    await log.append(entry(["one two", "three", "two two"]));
    await log.append(entry(["four"], { metadata: "two" }));
    await log.append(entry(["two"]));
    const found: [number, FoundEvent["index"]][] = [];
    for await (const { record, index } of log.find(Buffer.from("two"))) found.push([record.first, index]);
    expect(found).toEqual([
      [0, 0],
      [0, 2],
      [3, undefined],
      [4, 0],
    ]);
  });

  test(`${name}: tells a position at or before what was received at a time`, async () => {
    const { clock, log } = await setUp({ segmentMaxBytes: 150 });
    const times: number[] = [];
    for (let index = 0; index < 8; index++) {
      await clock.advance(1_000);
      times.push(clock.now());
      await log.append(entry([`e${index}`], { receivedAtMs: clock.now() }));
    }
    expect(log.oldestAtMs).toBe(times[0]);
    for (const [position, atMs] of times.entries()) expect(log.positionAt(atMs)).toBeLessThanOrEqual(position);
    expect(log.positionAt(times.at(-1) as number)).toBeGreaterThan(3);
    expect(log.positionAt(0)).toBe(0);
  });
}

function testRetention(name: string, setUp: MakeLog): void {
  test(`${name}: retention removes the oldest, but nothing that is needed before the hard limit`, async () => {
    const { clock, log } = await setUp({ segmentMaxBytes: 150 });
    for (let index = 0; index < 6; index++) await log.append(entry([`e${index}`]));
    const limits = { maxAgeMs: 1_000, maxBytes: 1e9, hardMaxBytes: 1e9 };
    expect(await log.retain(limits, clock.now(), log.head)).toBe(0);
    const removed: number[] = [];
    log.onRemove((first) => removed.push(first));
    await clock.advance(2_000);
    const from = log.retainedFrom(limits, clock.now(), 3);
    expect(await log.retain(limits, clock.now(), 3)).toBeGreaterThan(0);
    expect(log.first).toBe(from);
    expect(removed.at(-1)).toBe(from);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(3);
    expect(textsOf(await readAll(log))).toEqual(["e0", "e1", "e2", "e3", "e4", "e5"].slice(from));
    await log.retain(EVERYTHING, clock.now(), 2);
    expect(log.first).toBeGreaterThan(3);
    expect(log.head).toBe(6);
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
