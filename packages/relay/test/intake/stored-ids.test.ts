import { type Log, openLog } from "@waybill/log";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { storedIds } from "@waybill/vendors";
import { expect, test } from "vitest";
import type { IdHashes } from "../../src/intake/id-window.ts";
import { type StoredId, StoredIds } from "../../src/intake/stored-ids.ts";

const SCOPE = 7;
const DAY_MS = 86_400_000;

interface World {
  readonly disk: SimDisk;
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly ids: StoredIds;
}

interface OpenOptions {
  readonly maxIds?: number;
  readonly segmentMaxBytes?: number;
  readonly clock?: VirtualClock;
  readonly idsOf?: (body: Uint8Array) => readonly StoredId[];
}

async function open(disk = new SimDisk(), options: OpenOptions = {}): Promise<World> {
  const clock = options.clock ?? new VirtualClock();
  const runtime = { disk, clock, random: new SeededRandom(3) };
  const log = await openLog({ directory: "/log", segmentMaxBytes: options.segmentMaxBytes ?? 200_000 }, runtime);
  const ids = await StoredIds.open({
    directory: "/ids",
    runtime,
    log,
    windowMs: DAY_MS,
    maxIds: options.maxIds ?? 100_000,
    idsOf: ({ body }) => ({ scope: SCOPE, ids: (options.idsOf ?? storedIds)(body) }),
  });
  return { disk, clock, log, ids };
}

function hash({ window }: StoredIds, names: readonly string[]): IdHashes {
  const hashes = { scope: SCOPE, words: new Uint32Array(names.length * 4) };
  for (const [index, name] of names.entries()) {
    const bytes = Buffer.from(name);
    window.hash(bytes, { idStart: 0, idEnd: bytes.length }, hashes, index);
  }
  return hashes;
}

const nameOf = (index: number): string => `id-${index}`;

/** Stores events `from` to `to - 1`, `size` in a request, as the intake does. */
async function store({ log, ids, clock }: World, from: number, to: number, size = 100): Promise<void> {
  for (let at = from; at < to; at += size) {
    const names = Array.from({ length: Math.min(size, to - at) }, (_, index) => nameOf(at + index));
    const texts = names.map((name) => `{"type":"track","messageId":"${name}"}`);
    let end = -1;
    const first = await log.append({
      source: "web",
      receivedAtMs: clock.now(),
      metadata: "",
      body: [Buffer.from(texts.join(","))],
      ends: Uint32Array.from(texts, (text) => (end += 1 + text.length)),
    });
    const hashes = hash(ids, names);
    for (let index = 0; index < names.length; index++) ids.window.add(hashes, index, clock.now());
    ids.stored(first, hashes, clock.now());
  }
  await ids.close();
}

const position = ({ ids }: World, index: number): number | undefined =>
  ids.window.positionOf(hash(ids, [nameOf(index)]), 0);

const COUNT = 20_050;

test("after a kill every id and its position is known again, most of them without reading the log", async () => {
  const first = await open();
  await store(first, 0, COUNT);
  first.disk.killProcess();
  const reads = first.disk.operations.get("read") ?? 0;
  const second = await open(first.disk);
  for (const index of [0, 8_191, 8_192, 16_383, 16_384, COUNT - 1]) expect(position(second, index)).toBe(index);
  expect(position(second, COUNT)).toBeUndefined();
  expect(first.disk.paths().filter((path) => path.endsWith(".ids"))).toHaveLength(2);
  // Two files, one seed, and the end of a log of some seven segments.
  expect((first.disk.operations.get("read") ?? 0) - reads).toBeLessThan(30);
  // It goes on where it was: the third file is made of events from before and after the restart.
  await store(second, COUNT, 3 * 8_192);
  expect(first.disk.paths().filter((path) => path.endsWith(".ids"))).toHaveLength(3);
  const third = await open(first.disk);
  expect(position(third, COUNT + 5)).toBe(COUNT + 5);
});

test("a power cut, a damaged or a missing file costs a look into the log, never an id", async () => {
  for (let seed = 0; seed < 4; seed++) {
    const first = await open();
    await store(first, 0, COUNT, 1_000 + seed);
    first.disk.flipBit("/ids/00000000000000000000.ids", 5_000);
    first.disk.crash(new SeededRandom(seed));
    const second = await open(first.disk);
    for (const index of [0, 4_000, 8_191, 8_192, 16_384, COUNT - 1]) expect(position(second, index)).toBe(index);
  }
});

test("files of positions that a damaged log gives anew are forgotten", async () => {
  const first = await open();
  await store(first, 0, COUNT);
  for (const path of first.disk.paths()) if (path.startsWith("/log/")) await first.disk.remove(path);
  const second = await open(first.disk);
  expect(second.log.head).toBe(0);
  expect(position(second, 9_000)).toBeUndefined();
  expect(first.disk.paths().filter((path) => path.endsWith(".ids"))).toEqual([]);
});

test("files beyond maxIds are removed; ids older than the window are not taken up", async () => {
  const first = await open(new SimDisk(), { maxIds: 4_000 });
  await store(first, 0, COUNT);
  await first.ids.retain();
  expect(first.disk.paths().filter((path) => path.endsWith(".ids"))).toEqual(["/ids/00000000000000008192.ids"]);
  const clock = new VirtualClock();
  const wide = await open(new SimDisk(), { clock });
  await store(wide, 0, COUNT);
  await clock.advance(DAY_MS + 1);
  const second = await open(wide.disk, { clock });
  expect(position(second, 8_000)).toBeUndefined();
});

test("ids of events that retention removes are known after a power cut, also where no file is whole", async () => {
  const small = { segmentMaxBytes: 20_000 };
  const first = await open(new SimDisk(), small);
  await store(first, 0, 6_000);
  await first.ids.removing(3_000);
  await first.log.removeBefore(3_000);
  const { log } = first;
  expect(log.first).toBeGreaterThan(2_000);
  first.disk.crash(new SeededRandom(1));
  const second = await open(first.disk, small);
  for (const index of [0, log.first - 1, log.first, 5_999]) expect(position(second, index)).toBe(index);
  // It goes on where it was: what is removed next, and the whole file that is made of all this.
  await store(second, 6_000, 8_000);
  await second.ids.removing(7_000);
  await second.log.removeBefore(7_000);
  const third = await open(first.disk, small);
  for (const index of [0, 2_999, 6_500, 7_999]) expect(position(third, index)).toBe(index);
  await store(third, 8_000, 8_192 + 100);
  await first.disk.remove("/ids/00000000000000000000.part");
  const fourth = await open(first.disk, small);
  for (const index of [0, 6_500, 8_191, 8_291]) expect(position(fourth, index)).toBe(index);
});

test("what a part of a file has of positions that are in the log is not believed", async () => {
  const first = await open();
  await store(first, 0, 6_000);
  await first.ids.removing(3_000);
  const second = await open(first.disk);
  expect(position(second, 10)).toBe(10);
  expect(first.disk.paths().filter((path) => path.endsWith(".part"))).toEqual([]);
  await second.ids.removing(3_000);
  for (const path of first.disk.paths()) if (path.startsWith("/log/")) await first.disk.remove(path);
  const third = await open(first.disk);
  expect(position(third, 10)).toBeUndefined();
  expect(first.disk.paths().filter((path) => path.endsWith(".part"))).toEqual([]);
});

test("where a full disk kept ids from being kept, the next removal keeps them", async () => {
  const first = await open(new SimDisk(), { segmentMaxBytes: 20_000 });
  await store(first, 0, 6_000);
  first.disk.capacityBytes = first.disk.usedBytes + 1_000;
  await expect(first.ids.removing(2_000)).rejects.toThrow("ENOSPC");
  first.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await first.ids.removing(3_000);
  await first.log.removeBefore(3_000);
  first.disk.crash(new SeededRandom(2));
  const second = await open(first.disk, { segmentMaxBytes: 20_000 });
  for (const index of [0, 2_500, 5_999]) expect(position(second, index)).toBe(index);
});

test("parts of files that no start would take up are removed", async () => {
  const first = await open(new SimDisk(), { maxIds: 4_000 });
  await store(first, 0, 6_000);
  await first.ids.removing(3_000);
  await store(first, 6_000, 3 * 8_192);
  await first.ids.retain();
  expect(first.disk.paths().filter((path) => path.endsWith(".part"))).toEqual([]);
});

test("an id that is made of several members of an event is known again as well", async () => {
  const first = await open();
  await store(first, 0, 10);
  first.disk.killProcess();
  const bytes = Buffer.from("made-of-two");
  const second = await open(first.disk, {
    idsOf: (body) =>
      storedIds(body).map((id, index) => (index === 4 ? { idStart: 0, idEnd: bytes.length, bytes } : id)),
  });
  expect(second.ids.window.positionOf(hash(second.ids, ["made-of-two"]), 0)).toBe(4);
  expect([position(second, 4), position(second, 5)]).toEqual([undefined, 5]);
});
