/**
 * Whatever is in the files of a data directory: what is not ours is not believed, and harms nothing
 * else.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { DELIVERED } from "@waybill/core";
import {
  AttemptJournal,
  attemptsFor,
  DeadLetters,
  LaneState,
  LogBatch,
  type LogRecord,
  LogStore,
  openLaneState,
  openLog,
  parseLaneState,
} from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";

const random = new SeededRandom(1);
const SLOT_BYTES = 4096;
const SLOT_HEADER_BYTES = 16;

/** A slot whose checksum is right, whatever it says. */
function slot(text: string, sequence = 1n): Buffer {
  const bytes = Buffer.alloc(SLOT_BYTES);
  const length = bytes.write(text, SLOT_HEADER_BYTES);
  bytes.writeUInt32LE(length, 4);
  bytes.writeBigUInt64LE(sequence, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(4, SLOT_HEADER_BYTES + length)), 0);
  return bytes;
}

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-damaged-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const GOOD = { base: 0, position: 2, byte: 64, delivered: 2, rejected: 0, expired: 0, dropped: {}, leased: 0 };
const state = (change: object): string => JSON.stringify({ ...GOOD, ...change });

const WRONG_STATES: readonly (readonly [string, string])[] = [
  ["not JSON", "{"],
  ["nothing", ""],
  ["null", "null"],
  ["a number", "7"],
  ["a list", "[]"],
  ["an empty object", "{}"],
  ["a text for a number", state({ position: "2" })],
  ["null for a number", state({ byte: null })],
  ["a negative position", state({ position: -1 })],
  ["a fraction", state({ delivered: 0.5 })],
  [
    "a number beyond all positions",
    `{"base":0,"position":1e300,"byte":0,"delivered":0,"rejected":0,"expired":0,"dropped":{}}`,
  ],
  ["a base past the position", state({ base: 3 })],
  ["a negative lease", state({ leased: -1 })],
  ["no map of drops", state({ dropped: 3 })],
  ["a list of drops", state({ dropped: [1] })],
  ["a text among the drops", state({ dropped: { filtered: "1" } })],
  ["a reason that is not one", state({ dropped: { "\u0000 ": 1 } })],
  [
    "a prototype among the drops",
    `{"base":0,"position":2,"byte":0,"delivered":0,"rejected":0,"expired":0,"dropped":{"__proto__":1}}`,
  ],
  [
    "more reasons than fit when they are written again",
    state({
      dropped: Object.fromEntries(
        Array.from({ length: 60 }, (_, index) => [`r${"x".repeat(index % 30)}_${"y".repeat(index / 30)}`, 1]),
      ),
    }),
  ],
];

test.each(WRONG_STATES)(
  "a lane state that is %s counts as damaged; the lane begins at the start, and says so",
  async (_name, text) => {
    const disk = new SimDisk();
    const clock = new VirtualClock();
    const log = await openLog({ directory: "/log" }, { disk, clock });
    const body = Buffer.from('"a","b","c"');
    await log.append({ source: "s", receivedAtMs: 1, metadata: "", body: [body], ends: Uint32Array.of(3, 7, 11) });
    await disk.makeDirectory("/lanes");
    const file = await disk.open("/lanes/a", { create: true });
    await file.write([slot(text), slot("{", 2n)], 0);
    const messages: string[] = [];
    const open = (): Promise<LaneState<ReturnType<typeof parseLaneState> & object>> =>
      openLaneState({ disk, directory: "/lanes", name: "a", log, random, onLost: (message) => messages.push(message) });
    const lane = await open();
    expect(messages).toEqual([
      expect.stringMatching(/^the state of a cannot be read: .* position 0 and sends 3 events/),
    ]);
    const deadLetters = await DeadLetters.open("/dead", log.head, { disk, clock });
    const store = new LogStore({ name: "a", log, state: lane, deadLetters, clock });
    const batch = await store.lease({ maxEvents: 10, maxBytes: 1_000 });
    expect(batch?.count).toBe(3);
    await store.settle(batch as never, [DELIVERED, DELIVERED, DELIVERED]);
    await store.close();
    expect((await open()).initial).toMatchObject({ position: 3, delivered: 3 });
    expect(messages).toHaveLength(1);
  },
);

test("the older slot of a lane state counts when the newer one is not a state", async () => {
  const disk = new SimDisk();
  await disk.makeDirectory("/lanes");
  for (const [name, newer] of [
    ["a", slot("{}", 9n)],
    ["b", slot(state({ position: 1, delivered: 1 }), 2n ** 64n - 1n)],
    ["c", slot(state({ position: 1, delivered: 1 }), 2n ** 53n)],
  ] as const) {
    await (await disk.open(`/lanes/${name}`, { create: true })).write([slot(state({})), newer], 0);
    const lane = await LaneState.open(disk, "/lanes", name, () => expect.unreachable(), parseLaneState);
    expect(lane.initial).toEqual(GOOD);
    // It can be written on.
    await lane.write({ ...GOOD, position: 5 });
    await lane.close();
    const again = await LaneState.open(disk, "/lanes", name, () => expect.unreachable(), parseLaneState);
    expect(again.initial.position).toBe(5);
  }
});

test("a state whose making was cut short is not one that was lost: the lane begins at the head, as a new one does", async () => {
  for (let operation = 1; operation < 12; operation++) {
    for (const powerFails of [false, true]) {
      const disk = new SimDisk();
      const log = await openLog({ directory: "/log" }, { disk, clock: new VirtualClock() });
      await log.append({
        source: "s",
        receivedAtMs: 1,
        metadata: "",
        body: [Buffer.from("1")],
        ends: Uint32Array.of(1),
      });
      const messages: string[] = [];
      const open = (): Promise<{ readonly initial: { readonly position: number } }> =>
        openLaneState({
          disk,
          directory: "/lanes",
          name: "a",
          log,
          random,
          onLost: (message) => messages.push(message),
        });
      let left = operation;
      disk.onOperation = () => {
        left -= 1;
        if (left <= 0) throw new Error("the process is dead");
      };
      await open().catch(() => undefined);
      disk.onOperation = undefined;
      if (powerFails) disk.crash(new SeededRandom(operation));
      else disk.killProcess();
      expect((await open()).initial.position, `operation ${operation}`).toBe(1);
      expect(messages, `operation ${operation}`).toEqual([]);
      expect(disk.paths().filter((path) => path.startsWith("/lanes/"))).toEqual(["/lanes/a"]);
    }
  }
});

test("a state beyond the end of the log, or of a log that lost its end, is used as far as it goes", async () => {
  const disk = new SimDisk();
  const clock = new VirtualClock();
  const log = await openLog({ directory: "/log" }, { disk, clock });
  const lane = await LaneState.open(disk, "/lanes", "a", () => ({
    ...GOOD,
    position: 900,
    delivered: 900,
    byte: 2 ** 52,
  }));
  const deadLetters = await DeadLetters.open("/dead", log.head, { disk, clock });
  const store = new LogStore({ name: "a", log, state: lane, deadLetters, clock });
  expect(store.account()).toMatchObject({ accepted: 900, delivered: 900, pending: 0, balanced: true });
  await log.append({ source: "s", receivedAtMs: 1, metadata: "", body: [Buffer.from("1")], ends: Uint32Array.of(1) });
  expect((await store.lease({ maxEvents: 1, maxBytes: 10 }))?.count).toBe(1);
  await store.close();
  // Its base is below zero now, and still a state.
  const again = await LaneState.open(disk, "/lanes", "a", () => expect.unreachable(), parseLaneState);
  expect(again.initial).toMatchObject({ base: -900, position: 0 });
});

test("a state that is gone although there are traces of the lane begins at the start, and says so", async () => {
  const disk = new SimDisk();
  const log = await openLog({ directory: "/log" }, { disk, clock: new VirtualClock() });
  await log.append({ source: "s", receivedAtMs: 1, metadata: "", body: [Buffer.from("1")], ends: Uint32Array.of(1) });
  const messages: string[] = [];
  const options = { disk, directory: "/lanes", log, random, onLost: (message: string) => messages.push(message) };
  expect((await openLaneState({ ...options, name: "a", hadState: true })).initial.position).toBe(0);
  expect((await openLaneState({ ...options, name: "b" })).initial.position).toBe(1);
  expect(messages).toEqual([expect.stringContaining("the state of a is gone")]);
});

test("on a real disk: directories where files are expected, files where directories are, are set aside", async () => {
  const directory = temporary();
  const runtime = { disk: nodeDisk, clock: nodeClock };
  mkdirSync(join(directory, "lanes/a"), { recursive: true });
  writeFileSync(join(directory, "lanes/a/what"), "");
  mkdirSync(join(directory, `log/${"0".repeat(20)}.log`), { recursive: true });
  writeFileSync(join(directory, `log/${"0".repeat(20)}.log/what`), "");
  writeFileSync(join(directory, "dead"), "");
  writeFileSync(join(directory, "attempts"), "");
  const log = await openLog({ directory: join(directory, "log") }, runtime);
  const messages: string[] = [];
  const lane = await openLaneState({
    disk: nodeDisk,
    directory: join(directory, "lanes"),
    name: "a",
    log,
    random,
    onLost: (message) => messages.push(message),
  });
  const deadLetters = await DeadLetters.open(join(directory, "dead"), log.head, runtime);
  const attempts = await AttemptJournal.open(join(directory, "attempts"), nodeDisk);
  await log.append({ source: "s", receivedAtMs: 1, metadata: "", body: [Buffer.from("1")], ends: Uint32Array.of(1) });
  expect(log.head).toBe(1);
  expect(messages).toHaveLength(1);
  expect(readdirSync(directory).sort()).toEqual([
    "attempts",
    "attempts.damaged",
    "dead",
    "dead.damaged",
    "lanes",
    "log",
  ]);
  expect(readdirSync(join(directory, "lanes")).sort()).toEqual(["a", "a.damaged"]);
  expect(readdirSync(join(directory, "log"))).toContain(`${"0".repeat(20)}.log.damaged`);
  await Promise.all([log.close(), lane.close(), deadLetters.close(), attempts.close()]);
});

const strange = (length: number): Buffer => Buffer.alloc(length, 0x5a);

test.each([
  ["no number at all", "abc.log", strange(500), true],
  ["the name of an unfinished repair", `${"0".repeat(20)}.log.tmp`, strange(500), true],
  ["a number beyond all positions", `${"9".repeat(20)}.log`, strange(500), true],
  ["a number far behind the head", `${String(2 ** 52).padStart(20, "0")}.log`, strange(500), false],
  ["a number in the middle of another segment", `${"2".padStart(20, "0")}.log`, strange(500), false],
  ["nothing in it", `${"2".padStart(20, "0")}.log`, strange(0), false],
])("a file among the segments with %s changes nothing", async (_name, name, content, stays) => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const append = async (log: Awaited<ReturnType<typeof openLog>>, text: string): Promise<number> =>
    log.append({
      source: "s",
      receivedAtMs: 1,
      metadata: "",
      body: [Buffer.from(text)],
      ends: Uint32Array.of(text.length),
    });
  const first = await openLog({ directory: "/log", segmentMaxBytes: 250 }, runtime);
  for (let index = 0; index < 10; index++) await append(first, `event-${index}`);
  await first.close();
  await (await disk.open(`/log/${name}`, { create: true })).write([content], 0);
  const log = await openLog({ directory: "/log", segmentMaxBytes: 250 }, runtime);
  expect(log.head).toBe(10);
  expect(disk.paths().includes(`/log/${name}`)).toBe(stays);
  expect(log.recovery.setAside).toEqual(stays || content.length === 0 ? [] : [`/log/${name}.damaged`]);
  expect(await append(log, "next")).toBe(10);
  const texts: string[] = [];
  const reader = log.reader({ position: 0 });
  for (let read = await reader.read(1_000); read.length > 0; read = await reader.read(1_000))
    texts.push(...read.map(({ body }) => Buffer.from(body).toString()));
  expect(texts).toEqual([...Array.from({ length: 10 }, (_, index) => `event-${index}`), "next"]);
});

test("a segment under the name of another is set aside; a copy of a record after the last one is cut", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const log = await openLog({ directory: "/log" }, runtime);
  for (const text of ["one", "two"])
    await log.append({
      source: "s",
      receivedAtMs: 1,
      metadata: "",
      body: [Buffer.from(text)],
      ends: Uint32Array.of(3),
    });
  await log.close();
  const [path = ""] = disk.paths();
  const whole = disk.contents(path);
  await (await disk.open(`/log/${"9".padStart(20, "0")}.log`, { create: true })).write([whole], 0);
  await (await disk.open(path)).write([whole.slice(64, 128)], whole.length);
  const again = await openLog({ directory: "/log" }, runtime);
  expect(again.recovery).toMatchObject({ tornBytes: 64, setAside: [`/log/${"9".padStart(20, "0")}.log.damaged`] });
  expect(again.head).toBe(2);
});

const letterMetadata = (change: object): string =>
  JSON.stringify({ position: 1, source: "s", receivedAtMs: 1, rejectedAtMs: 2, reason: "no", metadata: "", ...change });

test.each([
  ["not JSON", "{"],
  ["empty", ""],
  ["null", "null"],
  ["a list", "[]"],
  ["without a position", letterMetadata({ position: undefined })],
  ["of a position that is a text", letterMetadata({ position: "1" })],
  ["of a reason that is an object", letterMetadata({ reason: { toLowerCase: null } })],
  ["rejected at no time", letterMetadata({ rejectedAtMs: null })],
  ["of metadata that are a number", letterMetadata({ metadata: 3 })],
])("a dead letter that is %s harms only itself", async (_name, metadata) => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const raw = await openLog({ directory: "/dead" }, runtime);
  const body = Buffer.from('"kept"');
  const ends = Uint32Array.of(body.length);
  await raw.append({ source: "s", receivedAtMs: 1, metadata: letterMetadata({ position: 4 }), body: [body], ends });
  await raw.append({ source: "s", receivedAtMs: 1, metadata, body: [body], ends });
  await raw.close();
  const marks = await openLog({ directory: "/dead/marks" }, runtime);
  for (const text of [
    "{",
    "null",
    "[]",
    '{"letter":"0","state":"retried"}',
    '{"letter":0,"state":"__proto__"}',
    '{"letter":99,"state":"retried"}',
  ]) {
    const bytes = Buffer.from(text);
    await marks.append({
      source: "",
      receivedAtMs: 1,
      metadata: "",
      body: [bytes],
      ends: Uint32Array.of(bytes.length),
    });
  }
  await marks.close();
  const deadLetters = await DeadLetters.open("/dead", 100, runtime);
  const listed: number[] = [];
  for await (const { position } of deadLetters.list({ reason: "no", state: "waiting" })) listed.push(position);
  expect(listed).toEqual([4]);
  expect(deadLetters.counts()).toEqual({ waiting: 1, retried: 0, discarded: 0, damaged: 1 });
  expect((await deadLetters.forEvent(4))?.deadLetterId).toBe(0);
  expect(await deadLetters.forEvent(1)).toBeUndefined();
  await deadLetters.keep(new LogBatch("x", [{ record: recordOf(9, ""), start: 0, end: 1 }]), [
    { status: "rejected", reason: "again" },
  ]);
  expect((await deadLetters.forEvent(9))?.reason).toBe("again");
  await deadLetters.mark([0], "discarded");
  await deadLetters.retain({ maxAgeMs: 0, maxBytes: 0, hardMaxBytes: 0 }, 10);
  expect(deadLetters.counts().discarded).toBe(1);
});

function recordOf(first: number, metadata: string): LogRecord {
  const body = Buffer.from('"event"');
  return {
    first,
    count: 1,
    source: "s",
    receivedAtMs: 1,
    metadata,
    body,
    ends: Uint32Array.of(body.length),
    sizeBytes: 64,
  };
}

test("a dead letter has room for the largest metadata there are, however they are quoted", async () => {
  const runtime = { disk: new SimDisk(), clock: new VirtualClock() };
  const deadLetters = await DeadLetters.open("/dead", 100, runtime);
  const metadata = "\u0001".repeat(1024 * 1024);
  await deadLetters.keep(new LogBatch("x", [{ record: recordOf(3, metadata), start: 0, end: 1 }]), [
    { status: "rejected", reason: "no" },
  ]);
  for await (const dead of deadLetters.list()) expect(dead.metadata).toBe(metadata);
  expect(deadLetters.counts().waiting).toBe(1);
});

const line = (text: string): string => `${crc32(text).toString(16).padStart(8, "0")} ${text}\n`;
const ATTEMPT = {
  first: 1,
  count: 2,
  atMs: 5,
  durationMs: 1.5,
  status: 200,
  delivered: 2,
  retryable: 0,
  rejected: 0,
  halted: 0,
};

test("lines and files of attempts that are not ours are passed over, and new ones are written", async () => {
  const disk = new SimDisk();
  await disk.makeDirectory("/a");
  const name = (sequence: number, position: number | string): string =>
    `/a/${String(sequence).padStart(10, "0")}-${String(position).padStart(20, "0")}.attempts`;
  const wrong = [
    '{"first":1,"count":2,',
    '{"first":1,"count":2,"atMs":null}',
    JSON.stringify({ ...ATTEMPT, reason: { length: 1 } }),
    JSON.stringify({ ...ATTEMPT, status: "200" }),
    JSON.stringify({ ...ATTEMPT, delivered: -1 }),
    JSON.stringify({ ...ATTEMPT, atMs: 1e300 }),
  ].map(line);
  const texts = ["\n\n", "zzzzzzzz {}\n", ...wrong, line(JSON.stringify(ATTEMPT)), "\u0000".repeat(100)];
  await (await disk.open(name(1, 0), { create: true })).write([Buffer.from(texts.join(""))], 0);
  for (const path of [name(9_999_999_999, 0), name(2, "9".repeat(20)), "/a/x", "/a/-.attempts"])
    await (await disk.open(path, { create: true })).write([Buffer.from("what")], 0);
  expect(await attemptsFor("/a", disk, 2)).toEqual([ATTEMPT]);
  const journal = await AttemptJournal.open("/a", disk);
  const { first: _first, count: _count, ...attempt } = ATTEMPT;
  for (const first of [50, 60]) {
    journal.note([{ first, count: 1 }], { ...attempt, events: 1, bytes: 1, reason: undefined });
    await journal.flush();
  }
  expect(journal.failed).toBe(0);
  await journal.close();
  const again = await AttemptJournal.open("/a", disk);
  again.note([{ first: 70, count: 1 }], { ...attempt, events: 1, bytes: 1, reason: undefined });
  await again.flush();
  for (const first of [50, 60, 70]) expect(await attemptsFor("/a", disk, first)).toMatchObject([{ first }]);
  await again.retain(1_000);
  await again.close();
});
