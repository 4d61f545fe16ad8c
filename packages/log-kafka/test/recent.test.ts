/** Who reads what came a moment ago has it from memory. */
import { encodeValue, type PartitionLog } from "@waybill/log-kafka";
import { SeededRandom, settle } from "@waybill/testing";
import { expect, test } from "vitest";
import { withCalls } from "./lib/faulty-broker.ts";
import { entryOf, makeWorld, readAll, textsOf, type World, within } from "./lib/world.ts";

const value = (...texts: readonly string[]): Uint8Array => encodeValue(entryOf(texts));

interface Watched extends World {
  readonly log: PartitionLog;
  /** Offsets that readers have fetched from since the last call. */
  readonly fetched: () => readonly number[];
  readonly write: (...values: readonly Uint8Array[]) => Promise<void>;
}

async function watched(recentMaxBytes?: number): Promise<Watched> {
  const world = await makeWorld();
  const { broker, clock, open, produce } = world;
  let offsets: number[] = [];
  const watching = withCalls(broker, {
    fetch: (request) => {
      if (request.maxWaitMs === 0) offsets.push(request.offset);
      return broker.fetch(request);
    },
  });
  const log = await open({ broker: watching, ...(recentMaxBytes === undefined ? {} : { recentMaxBytes }) });
  return {
    ...world,
    log,
    fetched: () => offsets.splice(0),
    write: async (...values) => {
      for (const one of values) {
        await produce(one);
        await settle();
        await clock.advance(30);
      }
    },
  };
}

test("each of several readers has what is recent without a fetch, with a limit and without", async () => {
  const { log, write, fetched } = await watched();
  await write(value("a", "b"), Buffer.from("not ours"), value("c"), value("d"));
  // By the tail, which looks twice at what does not decode.
  expect(fetched()).toEqual([1]);
  for (const maxBytes of [10_000, 1]) {
    expect(textsOf(await readAll(log, 0, maxBytes))).toEqual(["a", "b", "c", "d"]);
    expect(textsOf(await readAll(log, 2, maxBytes))).toEqual(["c", "d"]);
  }
  const reader = log.reader({ position: 0 });
  expect(textsOf(await reader.read(value("a", "b").length + value("c").length))).toEqual(["a", "b", "c"]);
  expect(fetched()).toEqual([]);
});

test("what is older is fetched, and each record is read once where the two meet", async () => {
  const record = value("x".repeat(1_000));
  const { log, write, clock, fetched } = await watched(3 * record.length);
  const texts = Array.from({ length: 8 }, (_, index) => `${index}`.repeat(1_000));
  await write(...texts.map((text) => value(text)));
  const reader = log.reader({ position: 0 });
  const seen: string[] = [];
  for (;;) {
    const records = await within(clock, reader.read(record.length));
    if (records.length === 0) break;
    seen.push(...textsOf(records));
  }
  expect(seen).toEqual(texts);
  const offsets = fetched();
  expect(Math.max(...offsets)).toBe(4);
  expect(offsets[0]).toBe(0);
  expect(textsOf(await readAll(log, 5))).toEqual(texts.slice(5));
  expect(fetched()).toEqual([]);
});

test("what is larger than all that may be kept is fetched, and what comes after it is kept", async () => {
  const { log, write, fetched } = await watched(500);
  const large = "x".repeat(600);
  await write(value("a"), value(large), value("b"));
  expect(textsOf(await readAll(log, 2))).toEqual(["b"]);
  expect(fetched()).toEqual([]);
  expect(textsOf(await readAll(log))).toEqual(["a", large, "b"]);
  expect(fetched().length).toBeGreaterThan(0);
});

test("random records are read from any position as from the broker", async () => {
  const random = new SeededRandom(1);
  const { log, write, open, clock } = await watched(2_000);
  const plain = await open({ recentMaxBytes: 0 });
  for (let round = 0; round < 30; round++) {
    const texts = Array.from({ length: 1 + random.below(4) }, () => "x".repeat(1 + random.below(600)));
    await write(random.chance(0.2) ? Buffer.from("not ours") : value(...texts));
    await clock.advance(30);
    expect(log.head).toBe(plain.head);
    const position = random.below(log.head + 1);
    const maxBytes = 1 + random.below(2_000);
    const [fast, slow] = [await readAll(log, position, maxBytes), await readAll(plain, position, maxBytes)];
    expect(fast).toEqual(slow);
  }
});

test("what the broker has removed is not read from memory either", async () => {
  const { log, write, broker, clock } = await watched();
  await write(value("a"), value("b"), value("c"));
  const reader = log.reader({ position: 0 });
  expect(textsOf(await reader.read(1))).toEqual(["a"]);
  await broker.removeBefore({ topic: "events", partition: 0, offset: 2, deadlineMs: 1_000 });
  await clock.advance(1_100);
  expect(log.first).toBe(2);
  expect(textsOf(await reader.read(1_000))).toEqual(["c"]);
});
