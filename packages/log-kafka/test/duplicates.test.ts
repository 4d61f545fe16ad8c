import type { LogRecord } from "@waybill/log";
import { decodeValue, encodeValue } from "@waybill/log-kafka";
import { SeededRandom, settle } from "@waybill/testing";
import { expect, test } from "vitest";
import { CLOCKS_DIFFER_MS, Decisions, DuplicateFinder, type DuplicateRule } from "../src/duplicates.ts";
import { entryOf, idsOf, makeWorld, readAll, textsOf } from "./lib/world.ts";

const MINUTE_MS = 60_000;

interface Stored {
  readonly record: LogRecord;
  readonly atMs: number;
}

/** A log of records with few ids; the clock goes back now and then, by less than it may. */
function randomLog(random: SeededRandom, records: number): Stored[] {
  let atMs = 1_000 * MINUTE_MS;
  return Array.from({ length: records }, () => {
    atMs += random.next() < 0.1 ? -random.next() * CLOCKS_DIFFER_MS * 0.4 : random.next() * 2 * MINUTE_MS;
    const texts = Array.from({ length: 1 + Math.floor(random.next() * 4) }, () =>
      random.next() < 0.1 ? ":none" : `id${Math.floor(random.next() * 30)}:x`,
    );
    return { record: decodeValue(encodeValue(entryOf(texts))) as LogRecord, atMs: Math.floor(atMs) };
  });
}

/** By the words of the rule: positions of duplicates. */
function byTheRule(log: readonly Stored[], { windowMs, maxIds }: DuplicateRule): number[] {
  const last = new Map<string, { readonly position: number; readonly atMs: number }>();
  const duplicates: number[] = [];
  let position = 0;
  for (const { record, atMs } of log)
    for (const text of textsOf([record])) {
      const [id = ""] = text.split(":");
      const before = last.get(id);
      if (id !== "") {
        if (before !== undefined && position - before.position <= maxIds && atMs - before.atMs <= windowMs)
          duplicates.push(position);
        last.set(id, { position, atMs });
      }
      position += 1;
    }
  return duplicates;
}

test("an event is a duplicate by the rule, whatever offset a relay began to read from", () => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = new SeededRandom(seed);
    const log = randomLog(random, 150);
    const rule = {
      windowMs: Math.floor(random.next() * 40) * MINUTE_MS,
      maxIds: 1 + Math.floor(random.next() * 80),
      idsOf,
    };
    const expected = byTheRule(log, rule);
    const positions = log.map((_, index) => log.slice(0, index).reduce((sum, { record }) => sum + record.count, 0));
    for (let target = 0; target < log.length; target += 1 + Math.floor(random.next() * 20)) {
      const { atMs } = log[target] as Stored;
      const byTime = log.findIndex((one) => one.atMs >= atMs - rule.windowMs - CLOCKS_DIFFER_MS);
      const begin = Math.max(byTime, target - rule.maxIds);
      const finder = new DuplicateFinder(rule);
      const found = log.slice(begin).flatMap((one, index) => {
        const first = positions[begin + index] as number;
        return finder.take(one.record, one.atMs).map((at) => first + at);
      });
      const from = positions[target] as number;
      const decided = (list: readonly number[]): number[] => list.filter((position) => position >= from);
      expect(decided(found), `seed ${seed}, from record ${target}`).toEqual(decided(expected));
    }
  }
});

test("an earlier duplicate counts: a copy of a copy is one as well, though the first is too old", () => {
  const finder = new DuplicateFinder({ windowMs: 10 * MINUTE_MS, maxIds: 1_000, idsOf });
  const one = decodeValue(encodeValue(entryOf(["a:1"]))) as LogRecord;
  const at = [0, 8, 16, 24, 35].map((minute) => finder.take(one, minute * MINUTE_MS).length);
  expect(at).toEqual([0, 1, 1, 1, 0]);
});

test("what is none of ours does not count among the ids: who opens the log reads on before it", async () => {
  const world = await makeWorld();
  const duplicates = { windowMs: 60 * MINUTE_MS, maxIds: 3, idsOf };
  const one = (text: string): Uint8Array => encodeValue(entryOf([text]));
  await world.produce(one("a:1"), one("b:1"), ...Array.from({ length: 9 }, () => Buffer.from("not ours")));
  await world.produce(one("a:2"), one("c:1"), one("b:2"));
  const log = await world.open({ duplicates, checkpoint: { offset: 14, position: 5, byte: 0 }, from: 11 });
  expect((await readAll(log)).map(({ duplicates: some }) => some)).toEqual([[0], undefined, [0]]);
  const later = await world.open({ duplicates, checkpoint: { offset: 14, position: 5, byte: 0 } });
  await world.produce(one("b:3"), one("a:3"), one("c:2"));
  await settle();
  expect((await readAll(later)).map(({ duplicates: some }) => some)).toEqual([[0], undefined, undefined]);
});

test("memory is given back: what is out of the window is not held", () => {
  const finder = new DuplicateFinder({ windowMs: 0, maxIds: 100, idsOf });
  for (let index = 0; index < 2_000; index++)
    finder.take(decodeValue(encodeValue(entryOf([`${index}:x`]))) as LogRecord, index);
  expect(finder.held).toBeLessThanOrEqual(200);
});

test("decisions are found by record, and dropped", () => {
  const decisions = new Decisions();
  decisions.add({ first: 10 }, [0, 2]);
  decisions.add({ first: 20 }, [1]);
  const earlier = new Decisions();
  earlier.add({ first: 3 }, [1]);
  decisions.prepend(earlier);
  expect(decisions.of({ first: 3, count: 2 })).toEqual([1]);
  expect(decisions.of({ first: 10, count: 3 })).toEqual([0, 2]);
  expect(decisions.of({ first: 13, count: 7 })).toBeUndefined();
  decisions.dropBefore(20);
  expect(decisions.size).toBe(1);
  expect(decisions.of({ first: 20, count: 2 })).toEqual([1]);
});

test("two relays that open a partition at any places give the same positions and the same duplicates", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = new SeededRandom(seed);
    const world = await makeWorld();
    const duplicates = { windowMs: 20 * MINUTE_MS, maxIds: 60, idsOf };
    const everything = await world.open({ duplicates });
    const checkpoints = [everything.checkpoint];
    for (const { record, atMs } of randomLog(random, 80)) {
      await world.clock.advance(random.next() * 2 * MINUTE_MS);
      // Now and then something that is none of ours.
      const foreign = random.next() < 0.1 ? [Buffer.from("not ours")] : [];
      await world.produce(...foreign, encodeValue({ ...record, body: [record.body], receivedAtMs: Math.max(0, atMs) }));
      checkpoints.push(everything.checkpoint);
    }
    await world.clock.advance(MINUTE_MS);
    const expected = await readAll(everything);
    expect(expected.some((record) => record.duplicates !== undefined)).toBe(true);
    for (let round = 0; round < 8; round++) {
      const checkpoint = checkpoints[Math.floor(random.next() * checkpoints.length)] ?? everything.checkpoint;
      const from = Math.floor(random.next() * (checkpoint.offset + 1));
      const log = await world.open({ duplicates, checkpoint, from });
      expect(log.head).toBe(everything.head);
      const wanted = (records: readonly LogRecord[], first: number): unknown =>
        records
          .filter((one) => one.first >= first)
          .map(({ first: at, count, duplicates: some }) => ({ at, count, some }));
      const seen = wanted(await readAll(log), log.first);
      expect(seen, `seed ${seed}`).toEqual(wanted(expected, log.first));
      // A lane with an older cursor: what is before is counted, and decided, when it is read.
      const earlier = Math.floor(random.next() * log.first);
      const since = expected.findLast((one) => one.first <= earlier)?.first ?? 0;
      expect(wanted(await readAll(log, earlier), since)).toEqual(wanted(expected, since));
      await log.close();
    }
    await everything.close();
  }
});
