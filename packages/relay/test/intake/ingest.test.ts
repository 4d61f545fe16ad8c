/**
 * The one way in: what is stored of a request's records, when one of them cannot be, and what is
 * known when it comes again.
 */
import type { DiskRuntime } from "@waybill/core";
import { Environment, resolveEnvironment, SourceTable } from "@waybill/relay/headless";
import { SeededRandom, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { HASH_WORDS, type IdHashes } from "../../src/intake/id-window.ts";
import { ingest, ingestAll, type NewEvents } from "../../src/intake/ingest.ts";
import type { Source } from "../../src/intake/sources.ts";

interface World {
  readonly clock: VirtualClock;
  /** One for each environment. */
  readonly disks: Readonly<Record<string, SimDisk>>;
  readonly environments: ReadonlyMap<string, Environment>;
  /** By `environment/source`. */
  readonly sources: ReadonlyMap<string, Source>;
}

async function setUp(): Promise<World> {
  const clock = new VirtualClock();
  const random = new SeededRandom(7);
  const { transport } = new SimNetwork({ clock, random });
  const ignore = (): void => undefined;
  const disks = { one: new SimDisk(), two: new SimDisk() };
  const opened = [];
  for (const [name, disk] of Object.entries(disks)) {
    const keys = (source: string): readonly string[] => [`${name}-${source}`];
    const config = resolveEnvironment(name, {
      sources: {
        web: { protocol: "letter", writeKeys: keys("web") },
        ios: { protocol: "letter", writeKeys: keys("ios") },
      },
      destinations: {},
    });
    const runtime: DiskRuntime = { clock, random, disk, transport };
    const environment = await Environment.open({
      config,
      directory: "/data",
      runtime,
      dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
      observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
    });
    opened.push({ environment, sources: config.sources });
  }
  const table = new SourceTable(opened, clock);
  const nameOf = ({ environment, config }: Source): string => `${environment.name}/${config.name}`;
  const environments = new Map(opened.map(({ environment }) => [environment.name, environment]));
  return { clock, disks, environments, sources: new Map(table.sources.map((source) => [nameOf(source), source])) };
}

function eventsOf({ sources, clock }: World, name: string, ids: readonly string[]): NewEvents {
  const source = sources.get(name) as Source;
  const hashes: IdHashes = { scope: source.scope, words: new Uint32Array(ids.length * HASH_WORDS) };
  for (const [index, id] of ids.entries()) {
    const bytes = Buffer.from(id);
    source.environment.ids?.window.hash(bytes, { idStart: 0, idEnd: bytes.length }, hashes, index);
  }
  const entry = (keep: readonly boolean[] | undefined): ReturnType<NewEvents["entry"]> => {
    const kept = ids.filter((_, index) => keep?.[index] ?? true);
    let end = -1;
    return {
      metadata: "letter",
      body: [Buffer.from(kept.join(","))],
      ends: Uint32Array.from(kept, (id) => (end += 1 + id.length)),
    };
  };
  return { source, receivedAtMs: clock.now(), count: ids.length, hashes, entry };
}

const headOf = ({ environments }: World, environment: string): number => environments.get(environment)?.log.head ?? -1;
const countsOf = ({ sources }: World, name: string): readonly (number | undefined)[] => {
  const counters = sources.get(name)?.counters;
  return [counters?.accepted, counters?.duplicates];
};

test("a request for several sources is stored as a whole, and counted for each", async () => {
  const world = await setUp();
  const stored = await ingestAll([eventsOf(world, "one/web", ["a", "b"]), eventsOf(world, "one/ios", ["c"])]);
  expect(stored).toEqual({ first: 0, kept: 3, duplicates: 0, receipt: "one/0+2 one/2+1" });
  expect([countsOf(world, "one/web"), countsOf(world, "one/ios")]).toEqual([
    [2, 0],
    [1, 0],
  ]);
  const again = await ingestAll([eventsOf(world, "one/web", ["a", "b", "d"]), eventsOf(world, "one/ios", ["c"])]);
  expect(again).toMatchObject({ kept: 1, duplicates: 3, receipt: "one/0+2,3+1 one/2+1" });
  expect(headOf(world, "one")).toBe(4);
  expect([countsOf(world, "one/web"), countsOf(world, "one/ios")]).toEqual([
    [3, 2],
    [1, 1],
  ]);
});

test("when all of the first part came before, the second one is where its own record is", async () => {
  const world = await setUp();
  await ingest(eventsOf(world, "one/web", ["a"]));
  const stored = await ingestAll([eventsOf(world, "one/web", ["a"]), eventsOf(world, "one/ios", ["b"])]);
  expect(stored).toEqual({ first: 1, kept: 1, duplicates: 1, receipt: "one/0+1 one/1+1" });
});

test("a duplicate in the second part is not answered before its first copy is durable", async () => {
  const world = await setUp();
  world.disks["one"]?.failNext("sync");
  const first = ingest(eventsOf(world, "one/ios", ["a"]));
  const again = ingestAll([eventsOf(world, "one/web", ["b"]), eventsOf(world, "one/ios", ["a"])]);
  const results = await Promise.allSettled([first, again]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await ingest(eventsOf(world, "one/ios", ["a"]))).toMatchObject({ kept: 1, duplicates: 0 });
});

test("an id that is in two parts of one source is stored once", async () => {
  const world = await setUp();
  const stored = await ingestAll([eventsOf(world, "one/web", ["a"]), eventsOf(world, "one/web", ["a", "b"])]);
  expect(stored).toMatchObject({ kept: 2, duplicates: 1, receipt: "one/0+1 one/0+2" });
});

test("when the disk fails nothing of the request is stored, counted or remembered", async () => {
  const world = await setUp();
  const parts = (): NewEvents[] => [eventsOf(world, "one/web", ["a"]), eventsOf(world, "one/ios", ["b"])];
  world.disks["one"]?.failNext("sync");
  await expect(ingestAll(parts())).rejects.toMatchObject({ retryable: true });
  expect([headOf(world, "one"), countsOf(world, "one/web"), countsOf(world, "one/ios")]).toEqual([0, [0, 0], [0, 0]]);
  expect(await ingestAll(parts())).toMatchObject({ kept: 2, duplicates: 0 });
});

test("a record that the log refuses keeps the others of the request out too", async () => {
  const world = await setUp();
  const refused = eventsOf(world, "one/ios", ["b"]);
  const tooLarge = {
    ...refused,
    entry: () => ({ ...refused.entry(undefined), metadata: "x".repeat(2 * 1024 * 1024) }),
  };
  await expect(ingestAll([eventsOf(world, "one/web", ["a"]), tooLarge])).rejects.toMatchObject({
    code: "WAYBILL_EVENT",
  });
  expect(headOf(world, "one")).toBe(0);
  expect(await ingest(eventsOf(world, "one/web", ["a"]))).toMatchObject({ kept: 1, duplicates: 0 });
});

test("of two environments one may fail: the request is refused, and what the other stored is known when it comes again", async () => {
  const world = await setUp();
  const parts = (): NewEvents[] => [eventsOf(world, "one/web", ["a"]), eventsOf(world, "two/web", ["b"])];
  world.disks["two"]?.failNext("sync");
  await expect(ingestAll(parts())).rejects.toMatchObject({ retryable: true });
  expect([headOf(world, "one"), headOf(world, "two")]).toEqual([1, 0]);
  expect(await ingestAll(parts())).toMatchObject({ kept: 1, duplicates: 1, receipt: "one/0+1 two/0+1" });
  expect([headOf(world, "one"), headOf(world, "two")]).toEqual([1, 1]);
});
