import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { type LaneEntry, RelayDirectory, type RelayRecord } from "../../src/cluster/relay-directory.ts";

function recordOf(id: string, name: string): RelayRecord {
  const lane: LaneEntry = {
    environment: "test",
    destination: "segment",
    partition: 0,
    mode: "idle",
    position: 1,
    offset: 1,
    pendingEvents: 0,
    inFlight: 0,
  };
  return {
    id,
    name,
    version: "1.0.0",
    startedAtMs: 0,
    configDigest: "abc",
    appliedOffset: 0,
    faults: [],
    reloadErrors: [],
    lanes: [lane],
    lanesLeftOut: 0,
  };
}

function noted(directory: RelayDirectory, record: RelayRecord, ageMs = 0): void {
  directory.note(record.id, JSON.stringify(record), ageMs);
}

test("a relay is missing without a record for 15 s, and forgotten after an hour when others have its lanes", async () => {
  const clock = new VirtualClock();
  const directory = new RelayDirectory(clock, "a");
  noted(directory, recordOf("b", "two"));
  noted(directory, recordOf("a", "one"));
  expect(directory.relays().map(({ id, isSelf, isMissing }) => ({ id, isSelf, isMissing }))).toEqual([
    { id: "a", isSelf: true, isMissing: false },
    { id: "b", isSelf: false, isMissing: false },
  ]);
  await clock.advance(14_999);
  noted(directory, recordOf("a", "one"));
  await clock.advance(1);
  expect(directory.relays().map(({ seenMs, isMissing }) => ({ seenMs, isMissing }))).toEqual([
    { seenMs: 1, isMissing: false },
    { seenMs: 15_000, isMissing: true },
  ]);
  await clock.advance(3_600_000 - 15_001);
  noted(directory, recordOf("a", "one"));
  expect(directory.forgotten).toEqual([]);
  await clock.advance(1);
  expect(directory.forgotten).toEqual(["b"]);
  expect(directory.relays().map(({ id }) => id)).toEqual(["a"]);
  noted(directory, recordOf("b", "two"));
  expect(directory.relays().length).toBe(2);
});

test("a relay that is silent for hours is missing, and not forgotten, while its lanes may be its own", () => {
  const directory = new RelayDirectory(new VirtualClock(), "a");
  const own = recordOf("a", "one");
  const [lane] = own.lanes as readonly [LaneEntry];
  noted(directory, { ...recordOf("b", "two"), lanes: [lane, { ...lane, partition: 1 }] }, 36_000_000);
  const isForgotten = (record: Partial<RelayRecord>): boolean => {
    noted(directory, { ...own, ...record });
    return directory.forgotten.length > 0;
  };
  // It has just come, and tells of nothing yet.
  expect(directory.forgotten).toEqual([]);
  expect(isForgotten({ lanes: [] })).toBe(false);
  expect(isForgotten({ lanes: [], destinations: ["test/segment"] })).toBe(false);
  expect(isForgotten({})).toBe(false);
  expect(directory.relays().map(({ id, isMissing }) => [id, isMissing])).toEqual([
    ["a", false],
    ["b", true],
  ]);
  // Nobody delivers to it any more.
  expect(isForgotten({ lanes: [], destinations: ["test/other"] })).toBe(true);
  expect(isForgotten({ lanes: [{ ...lane, partition: 1 }], lanesLeftOut: 1 })).toBe(true);
});

test("a record that was written long ago is as old when it is read, and who stopped is gone", () => {
  const directory = new RelayDirectory(new VirtualClock(), "a");
  noted(directory, recordOf("b", "two"), 20_000);
  expect(directory.relays()).toMatchObject([{ id: "b", seenMs: 20_000, isMissing: true }]);
  directory.forget("b");
  expect(directory.relays()).toEqual([]);
});

test("a relay that died is missing no more once another process has its address, and others its lanes", () => {
  const directory = new RelayDirectory(new VirtualClock(), "a");
  const adminUrl = "http://relay-1:8081";
  const dead = { ...recordOf("b", "two"), adminUrl };
  const again = { ...recordOf("c", "three"), adminUrl, startedAtMs: 1 };
  const ids = (): readonly string[] => directory.relays().map(({ id }) => id);
  noted(directory, dead, 20_000);
  noted(directory, { ...again, lanes: [] });
  expect(ids()).toEqual(["c", "b"]);
  noted(directory, { ...again, adminUrl: "http://relay-2:8081" });
  expect(ids()).toEqual(["c", "b"]);
  expect(directory.forgotten).toEqual([]);
  noted(directory, again);
  expect(ids()).toEqual(["c"]);
  // It is forgotten while its successor is there: who comes after that does not see it either.
  expect(directory.forgotten).toEqual(["b"]);
  // Two of one address that both run are shown.
  noted(directory, dead);
  expect(ids()).toEqual(["c", "b"]);
  // Nobody knows whether who names no address was started again.
  const { adminUrl: _, ...nowhere } = again;
  noted(directory, nowhere);
  noted(directory, recordOf("b", "two"), 20_000);
  expect(ids()).toEqual(["c", "b"]);
});

test("a relay that was started again without a destination that it had is not missing", () => {
  const directory = new RelayDirectory(new VirtualClock(), "a");
  const adminUrl = "http://relay-1:8081";
  const [lane] = recordOf("b", "two").lanes as readonly [LaneEntry];
  const lanesOf = (destination: string, ...partitions: readonly number[]): readonly LaneEntry[] =>
    partitions.map((partition) => ({ ...lane, destination, partition }));
  noted(
    directory,
    { ...recordOf("b", "two"), adminUrl, lanes: [...lanesOf("old", 0, 1), ...lanesOf("kept", 0, 1)] },
    20_000,
  );
  const again = { ...recordOf("c", "three"), adminUrl, startedAtMs: 1 };
  noted(directory, { ...again, lanes: [...lanesOf("new", 0, 1), ...lanesOf("kept", 0)] });
  expect(directory.forgotten).toEqual([]);
  noted(directory, { ...again, lanes: [...lanesOf("new", 0, 1), ...lanesOf("kept", 0, 1)] });
  expect(directory.forgotten).toEqual(["b"]);
  expect(directory.relays().map(({ id }) => id)).toEqual(["c"]);
});

test("what is not a relay's record says nothing", () => {
  const directory = new RelayDirectory(new VirtualClock(), "a");
  const good = recordOf("b", "two");
  for (const value of ["", "{", "null", "[]", JSON.stringify({ ...good, lanes: [{}] }), JSON.stringify(good)])
    directory.note("c", value, 0);
  directory.note("b", JSON.stringify({ ...good, name: 7 }), 0);
  // No date can show it.
  directory.note("b", JSON.stringify({ ...good, startedAtMs: 8.64e15 + 1 }), 0);
  const [lane] = good.lanes;
  for (const huge of [
    { name: "n".repeat(2_001) },
    { faults: Array.from({ length: 101 }, () => "f") },
    { lanes: [{ ...lane, destination: "d".repeat(101) }] },
    { lanes: Array.from({ length: 1_001 }, () => lane) },
  ])
    directory.note("b", JSON.stringify({ ...good, ...huge }), 0);
  expect(directory.relays()).toEqual([]);
  noted(directory, good);
  expect(directory.relays()).toHaveLength(1);
});

test("of a flood of relays those are known that were heard of last, and the one that is asked", () => {
  const directory = new RelayDirectory(new VirtualClock(), "a");
  noted(directory, recordOf("a", "one"));
  noted(directory, recordOf("b", "two"));
  noted(directory, recordOf("c", "three"));
  for (let number = 0; number < 10_000; number++) {
    if (number % 100 === 0) noted(directory, recordOf("b", "two"));
    noted(directory, recordOf(`flood-${number}`, `flood-${number}`));
  }
  const known = directory.relays().map(({ id }) => id);
  expect(known).toHaveLength(256);
  expect(known.filter((id) => !id.startsWith("flood"))).toEqual(["a", "b"]);
});

test("destinations of other configurations are those that their relays tell of, missing ones too", async () => {
  const clock = new VirtualClock();
  const directory = new RelayDirectory(clock, "a");
  const named = (id: string, configDigest: string, destinations?: string[]): void =>
    noted(directory, { ...recordOf(id, id), configDigest, ...(destinations === undefined ? {} : { destinations }) });
  named("a", "abc", ["test/one"]);
  // The same configuration has the same destinations, named or not.
  named("b", "abc");
  expect(directory.destinationsElsewhere("test")).toEqual([]);
  named("c", "def", ["test/one", "test/two", "testing/three", "other/four"]);
  expect(directory.destinationsElsewhere("test")).toEqual(["one", "two"]);
  expect(directory.destinationsElsewhere("other")).toEqual(["four"]);
  await clock.advance(60_000);
  expect(directory.destinationsElsewhere("test")).toEqual(["one", "two"]);
  named("d", "ghi");
  expect(directory.destinationsElsewhere("test")).toBeUndefined();
  directory.forget("d");
  await clock.advance(3_600_000 - 60_000);
  named("a", "abc", ["test/one"]);
  expect(directory.destinationsElsewhere("test")).toEqual([]);
});
