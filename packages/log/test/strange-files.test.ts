/**
 * Whole files in places where they do not belong: a start goes on, and what is not of this place
 * is not taken for it. Found by fuzzing.
 */
import {
  DeadLetters,
  LaneState,
  type LaneStateValue,
  type Log,
  type LogRecord,
  newLaneState,
  openLog,
  parseLaneState,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const DIGITS = 20;
const READ_BYTES = 1_000_000;

function entry(text: string, metadata = ""): Parameters<Log["append"]>[0] {
  return {
    source: "web",
    receivedAtMs: 5,
    metadata,
    body: [Buffer.from(text)],
    ends: Uint32Array.of(Buffer.byteLength(text)),
  };
}

/** The bytes of a log's only segment. */
async function segmentOf(texts: readonly string[]): Promise<Uint8Array> {
  const disk = new SimDisk();
  const log = await openLog({ directory: "/log" }, { disk, clock: new VirtualClock() });
  for (const text of texts) await log.append(entry(text));
  await log.close();
  return disk.contents(disk.paths()[0] as string);
}

async function textsOf(log: Log): Promise<readonly string[]> {
  const reader = log.reader({ position: log.first });
  const records: LogRecord[] = [];
  for (let read = await reader.read(READ_BYTES); read.length > 0; read = await reader.read(READ_BYTES))
    records.push(...read);
  await reader.close();
  return records.map(({ body }) => Buffer.from(body).toString());
}

async function put(disk: SimDisk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, { create: true });
  await file.write([bytes], 0);
  await file.close();
}

test("a segment's name beyond any position is not one", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const log = await openLog({ directory: "/log" }, runtime);
  await log.append(entry("kept"));
  await log.close();
  await put(disk, `/log/${"9".repeat(DIGITS)}.log`, await segmentOf(["a", "b"]));
  const again = await openLog({ directory: "/log" }, runtime);
  expect(again.head).toBe(1);
  expect(await textsOf(again)).toEqual(["kept"]);
});

test("another log's segment under the newest name gives no position twice", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const log = await openLog({ directory: "/log", segmentMaxBytes: 150 }, runtime);
  for (const text of ["one", "two", "three", "four"]) await log.append(entry(text));
  await log.close();
  const newest = disk.paths().at(-1) as string;
  const position = Number(newest.slice(-DIGITS - 4, -4));
  expect(position).toBeGreaterThan(1);
  await disk.remove(newest);
  await put(disk, newest, await segmentOf(["foreign"]));
  const again = await openLog({ directory: "/log" }, runtime);
  expect(again.head).toBe(position);
  expect(await again.append(entry("next"))).toBe(position);
  expect(await textsOf(again)).toEqual([...["one", "two", "three", "four"].slice(0, position), "next"]);
});

test("records that are not dead letters, and marks that are not marks, are passed over", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const deadLetter = { position: 3, source: "web", receivedAtMs: 1, rejectedAtMs: 2, reason: "never", metadata: "" };
  const log = await openLog({ directory: "/dead" }, runtime);
  await log.append(entry("{}", JSON.stringify(deadLetter)));
  for (const metadata of ["", "null", "[]", '{"position":"3"}', "{"]) await log.append(entry("{}", metadata));
  await log.close();
  const marks = await openLog({ directory: "/dead/marks" }, runtime);
  for (const text of ["{", "null", '{"letter":0}', '{"letter":0,"state":"gone","atMs":1}', '"x"'])
    await marks.append(entry(text));
  await marks.append(entry('{"letter":0,"state":"discarded","atMs":7}'));
  await marks.close();
  const dead = await DeadLetters.open("/dead", 10, runtime);
  const found: object[] = [];
  for await (const one of dead.list()) found.push(one);
  expect(found).toMatchObject([{ deadLetterId: 0, position: 3, reason: "never", state: "discarded" }]);
  expect(await dead.forEvent(3)).toMatchObject({ deadLetterId: 0 });
});

test("a lane that finds another kind of state begins as one whose state is damaged", async () => {
  const disk = new SimDisk();
  const runtime = { disk, clock: new VirtualClock() };
  const log = await openLog({ directory: "/log" }, runtime);
  await log.append(entry("{}"));
  const others = [
    { id: "replay", choice: {} },
    { base: 0, position: "1" },
    { ...newLaneState(log, false), dropped: null },
  ];
  for (const [index, other] of others.entries()) {
    const name = `lane-${index}`;
    await (await LaneState.open(disk, "/lanes", name, () => other)).close();
    const open = (): Promise<LaneState<LaneStateValue>> =>
      LaneState.open<LaneStateValue>(disk, "/lanes", name, (damaged) => newLaneState(log, damaged), parseLaneState);
    const state = await open();
    expect(state.initial).toEqual(newLaneState(log, true));
    await state.close();
    expect((await open()).initial).toEqual(newLaneState(log, true));
  }
});
