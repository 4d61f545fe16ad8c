/** What this process has written to a partition is not read once more from the broker. */
import { decodeValue, encodeValue, type PartitionLog, type ReadRecord, type StoredRecord } from "@waybill/log-kafka";
import { settle } from "@waybill/testing";
import { expect, test } from "vitest";
import { withCalls } from "./lib/faulty-broker.ts";
import { entryOf, idsOf, makeWorld, readAll, TOPIC, textsOf, type World } from "./lib/world.ts";

/** A log gathers for so long before it looks for the next records. */
const GATHER_MS = 25;
const TIMES_MAX = 40;

const value = (...texts: readonly string[]): Uint8Array => encodeValue(entryOf(texts));

interface Watched extends World {
  readonly log: PartitionLog;
  /** Fetches that the tail has begun since the last call. */
  readonly fetches: () => number;
  /** Appends as this relay does; resolves to what it tells its log then. */
  readonly write: (...texts: readonly string[]) => Promise<readonly ReadRecord[]>;
}

/** The log has read one record, `first`, and gathers. */
async function gathering(): Promise<Watched> {
  const world = await makeWorld();
  const { broker, clock, open, produce } = world;
  let count = 0;
  const watched = withCalls(broker, {
    fetch: (request) => {
      if (request.maxWaitMs > 0) count += 1;
      return broker.fetch(request);
    },
  });
  const duplicates = { windowMs: 60_000, maxIds: 100, idsOf };
  const log = await open({ broker: watched, duplicates });
  await produce(value("first"));
  await settle();
  expect(log.head).toBe(1);
  count = 0;
  return {
    ...world,
    log,
    fetches: () => {
      const before = count;
      count = 0;
      return before;
    },
    write: async (...texts) => {
      const written = value(...texts);
      const at = { topic: TOPIC, partition: 0, values: [written], deadlineMs: 1_000 };
      const { offset, appendedAtMs = 0 } = await broker.produce(at);
      await clock.advance(1);
      return [{ offset, appendedAtMs, records: [decodeValue(written) as StoredRecord] }];
    },
  };
}

test("records that come next are taken as they were written, without a fetch", async () => {
  const { log, open, write, clock, fetches } = await gathering();
  const [one] = await write("a", "b");
  const [two] = await write("c", "a");
  if (one === undefined || two === undefined) throw new Error("nothing was written");
  log.written([one, two]);
  await clock.advance(GATHER_MS);
  expect({ head: log.head, fetches: fetches() }).toEqual({ head: 5, fetches: 0 });
  const records = await readAll(log);
  expect(textsOf(records)).toEqual(["first", "a", "b", "c", "a"]);
  expect(records.map(({ duplicates }) => duplicates)).toEqual([undefined, undefined, [1]]);
  // As it is for who reads all of it from the broker.
  const other = await open();
  const placesOf = ({ checkpoint, headByte, old }: PartitionLog): unknown => ({
    checkpoint,
    headByte,
    first: old.first,
  });
  expect(placesOf(log)).toEqual(placesOf(other));
  expect(log.positionAt(two.appendedAtMs)).toBe(other.positionAt(two.appendedAtMs));
});

test("where somebody else has written before, all is fetched, and counted once", async () => {
  const { log, write, produce, clock, fetches } = await gathering();
  await produce(value("other"));
  log.written(await write("own"));
  await clock.advance(GATHER_MS);
  expect({ head: log.head, fetches: fetches() }).toEqual({ head: 3, fetches: 1 });
  await clock.advance(10 * GATHER_MS);
  expect(textsOf(await readAll(log))).toEqual(["first", "other", "own"]);
});

test("what was fetched before is not counted again", async () => {
  const { log, write, clock } = await gathering();
  const written = await write("a");
  await clock.advance(2 * GATHER_MS);
  expect(log.head).toBe(2);
  log.written(written);
  log.written(await write("b"));
  await clock.advance(2 * GATHER_MS);
  expect(log.head).toBe(3);
  expect(textsOf(await readAll(log))).toEqual(["first", "a", "b"]);
});

test("the broker is asked now and then, also while this process alone writes", async () => {
  const { log, write, clock, fetches } = await gathering();
  for (let time = 0; time < TIMES_MAX; time++) {
    log.written(await write(`${time}`));
    await clock.advance(GATHER_MS - 1);
  }
  expect(fetches()).toBe(0);
  log.written(await write("last"));
  await clock.advance(GATHER_MS);
  expect({ head: log.head, fetches: fetches() }).toEqual({ head: TIMES_MAX + 2, fetches: 1 });
});

test("while this process writes now and then the broker is not asked; soon after the last time it is", async () => {
  const { log, write, produce, clock, fetches } = await gathering();
  for (let time = 0; time < 4; time++) {
    log.written(await write(`${time}`));
    await clock.advance(3 * GATHER_MS);
  }
  expect({ head: log.head, fetches: fetches() }).toEqual({ head: 5, fetches: 0 });
  await produce(value("other"));
  await clock.advance(4 * GATHER_MS);
  expect(log.head).toBe(6);
  expect(fetches()).toBeGreaterThan(0);
});

test("what waits to be taken is bounded: the rest is fetched", async () => {
  const { log, write, clock, fetches } = await gathering();
  const large = "x".repeat(600_000);
  for (const text of ["a", "b", "c"]) {
    const written = await write(`${text}${large}`);
    log.written(written);
  }
  await clock.advance(GATHER_MS);
  expect({ head: log.head, fetches: fetches() }).toEqual({ head: 3, fetches: 0 });
  await clock.advance(GATHER_MS);
  expect({ head: log.head, fetches: fetches() }).toEqual({ head: 4, fetches: 1 });
});
