/**
 * A rotation by the admin API lasts until the file has the new key: over reloads, restarts, power
 * cuts and a damaged file.
 */
import type { DiskRuntime } from "@waybill/core";
import { SeededRandom, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import type { RelayConfig } from "../../src/config/types.ts";
import { Credentials, destinationKeySet, sourceKeySet } from "../../src/credentials/credentials.ts";
import type { KeptRotation } from "../../src/credentials/kept-rotations.ts";
import { RotationStore } from "../../src/credentials/rotation-store.ts";
import { Pool } from "../../src/intake/shares.ts";
import { OperatorLog } from "../../src/log-lines/operator-log.ts";
import { Plan } from "../../src/plan.ts";

const WEB = sourceKeySet("e", "web");
const OUT = destinationKeySet("e", "out");
const HOUR_MS = 3_600_000;
const NOW_MS = 1_800_000_000_000;

function configOf(writeKeys: readonly string[], out = "out-1", more: object = {}): RelayConfig {
  const text = JSON.stringify({
    dataDirectory: "/data",
    environments: {
      e: {
        sources: { web: { protocol: "segment", writeKeys }, ...more },
        destinations: { out: { vendor: "segment", url: "http://emulator.test", writeKey: out } },
      },
    },
  });
  return loadConfig({ file: "f", text, env: {} });
}

/** Credentials as a start makes them, by what a process before has kept. */
function started(config: RelayConfig, kept: readonly KeptRotation[] = [], atMs = NOW_MS): Credentials {
  const credentials = new Credentials(JSON.parse(JSON.stringify(kept)) as readonly KeptRotation[]);
  credentials.configure(config.environments, atMs);
  return credentials;
}

function validOf(credentials: Credentials, config: RelayConfig, atMs: number): readonly string[] {
  const [environment] = config.environments;
  if (environment === undefined) return [];
  const { keys } = credentials.applied(environment, atMs).sources[0] as (typeof environment.sources)[number];
  return keys
    .filter(({ expiresAtMs = Number.POSITIVE_INFINITY }) => expiresAtMs > atMs)
    .map(({ key }) => key)
    .toSorted();
}

test.each<[string, readonly string[], readonly string[], string]>([
  ["the file of before", ["k1"], ["k3"], "wins"],
  ["another key beside the old one", ["k1", "k9"], ["k3", "k9"], "wins"],
  ["a key of a rotation before", ["k2"], ["k3"], "wins"],
  ["the new key", ["k3"], ["k3"], "is in the file now"],
  ["the new key beside the old one, on purpose", ["k3", "k1"], ["k1", "k3"], "is in the file now"],
  ["keys that are all other ones", ["k9"], ["k9"], "gives way"],
])("a file with %s: %j makes %j", (_what, file, valid, said) => {
  const first = started(configOf(["k1"]));
  expect(first.rotate(WEB, "k2", 0, NOW_MS - 1)).toBe("rotated");
  expect(first.rotate(WEB, "k3", 0, NOW_MS - 1)).toBe("rotated");
  const kept = first.rotations(NOW_MS);
  const config = configOf(file);
  const again = new Credentials(kept);
  const notes = again.configure(config.environments, NOW_MS);
  expect(validOf(again, config, NOW_MS)).toEqual(valid);
  expect(notes).toHaveLength(1);
  expect(notes[0]?.text).toMatch(new RegExp(`^source e/web: .*fingerprint [0-9a-f]{8}\\) ${said}`));
  expect(notes[0]?.text).not.toMatch(/\bk[1239]\b/);
  expect(again.rotations(NOW_MS)).toHaveLength(said === "wins" ? 1 : 0);
});

test("a grace goes on over a restart, and ends when it would have", () => {
  const first = started(configOf(["k1"]));
  first.rotate(WEB, "k2", HOUR_MS, NOW_MS);
  first.rotate(WEB, "k3", 2 * HOUR_MS, NOW_MS);
  const kept = first.rotations(NOW_MS);
  const config = configOf(["k1"]);
  const again = started(config, kept, NOW_MS + 1);
  expect(validOf(again, config, NOW_MS + 1)).toEqual(["k1", "k2", "k3"]);
  expect(validOf(again, config, NOW_MS + HOUR_MS)).toEqual(["k2", "k3"]);
  expect(validOf(again, config, NOW_MS + 2 * HOUR_MS)).toEqual(["k3"]);
  // What is valid no more is kept as a digest.
  expect(JSON.stringify(kept)).toContain('"k2"');
  expect(JSON.stringify(again.rotations(NOW_MS + 2 * HOUR_MS))).not.toContain('"k2"');
  expect(JSON.stringify(kept)).not.toContain('"k1"');
});

test("a rotation to a key that the file has already keeps the others out, until the file is changed", () => {
  const config = configOf(["k1", "k2"]);
  const first = started(config);
  first.rotate(WEB, "k2", 0, NOW_MS - 1);
  const again = started(config, first.rotations(NOW_MS));
  expect(validOf(again, config, NOW_MS)).toEqual(["k2"]);
  const changed = configOf(["k2"]);
  const last = started(changed, again.rotations(NOW_MS));
  expect([validOf(last, changed, NOW_MS), last.rotations(NOW_MS)]).toEqual([["k2"], []]);
});

test("a destination goes on with the rotated key, until the file has it or another one", () => {
  const first = started(configOf(["k1"]));
  first.rotate(OUT, "out-2", 0, NOW_MS - 1);
  const used = (out: string): string | undefined => {
    const config = configOf(["k1"], out);
    const [environment] = config.environments;
    const credentials = started(config, first.rotations(NOW_MS));
    return environment && credentials.applied(environment, NOW_MS).destinations[0]?.writeKey;
  };
  expect([used("out-1"), used("out-2"), used("out-3")]).toEqual(["out-2", "out-2", "out-3"]);
});

test("a key that the file has given to another source is that source's alone", () => {
  const first = started(configOf(["k1"]));
  first.rotate(WEB, "k2", HOUR_MS, NOW_MS);
  const config = configOf(["k1"], "out-1", { app: { protocol: "segment", writeKeys: ["k2"] } });
  const again = new Credentials(first.rotations(NOW_MS));
  const [note] = again.configure(config.environments, NOW_MS);
  expect(note).toMatchObject({ holds: false, text: expect.stringContaining("for another source") as string });
  expect(validOf(again, config, NOW_MS)).toEqual(["k1"]);
});

test("the rotation of a source that is not in the configuration waits for it", () => {
  const first = started(configOf(["k1"]));
  first.rotate(WEB, "k2", 0, NOW_MS - 1);
  const without = new Credentials(first.rotations(NOW_MS));
  without.configure([], NOW_MS);
  expect(without.rotationViews()).toMatchObject([{ environment: "e", source: "web", inUse: false }]);
  const config = configOf(["k1"]);
  const back = started(config, without.rotations(NOW_MS));
  expect(validOf(back, config, NOW_MS)).toEqual(["k2"]);
});

test("rotations without end keep the file's key out, and no more than a thousand digests", () => {
  const config = configOf(["k1"]);
  let credentials = started(config);
  for (let index = 2; index < 1_300; index++) {
    expect(credentials.rotate(WEB, `k${index}`, 0, NOW_MS + index)).toBe("rotated");
    if (index % 400 !== 0) continue;
    credentials = started(config, credentials.rotations(NOW_MS + index), NOW_MS + index);
    expect(validOf(credentials, config, NOW_MS + index + 1)).toEqual([`k${index}`]);
  }
  const kept = credentials.rotations(NOW_MS + HOUR_MS);
  expect(kept[0]?.keys.length).toBeLessThan(1_005);
  expect(validOf(started(config, kept, NOW_MS + HOUR_MS), config, NOW_MS + HOUR_MS)).toEqual(["k1299"]);
});

interface World {
  readonly plan: Plan;
  readonly said: string[];
  knows(key: string): boolean;
}

/** A relay's plan on a simulated disk, as a start makes it. */
async function start(disk: SimDisk, config: RelayConfig, seed = 1): Promise<World> {
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const network = new SimNetwork({ clock, random, latencyMs: 5 });
  const runtime: DiskRuntime = { clock, random, disk, transport: network.transport };
  const said: string[] = [];
  const say = (...parts: readonly unknown[]): void => void said.push(JSON.stringify(parts));
  await disk.makeDirectory("/data");
  const plan = new Plan(config, {
    runtime,
    log: new OperatorLog({ level: "debug", info: say, warn: say, error: say, debug: say } as never, clock),
    attempted: () => undefined,
    bodies: new Pool({ maxBytes: Number.POSITIVE_INFINITY, decoders: 1 }),
    reload: () => Promise.resolve({ ok: false, changed: [], errors: [] }),
    stopping: new AbortController().signal,
    onSwitched: () => undefined,
  });
  await plan.open();
  const knows = (key: string): boolean => plan.sourceTable(undefined).byKey(key) !== undefined;
  return { plan, said, knows };
}

async function close({ plan }: World): Promise<void> {
  for (const environment of plan.environments.values()) await environment.close(0);
}

test("a power cut or a kill between any two steps leaves the keys of before or those of after; after the answer those of after", async () => {
  const config = configOf(["k1"]);
  for (const ends of ["power cut", "kill"] as const)
    for (let step = 1, isThrough = false; !isThrough; step++) {
      const random = new SeededRandom(step);
      const disk = new SimDisk(random);
      const first = await start(disk, config);
      await first.plan.rotate(WEB, "k2", 0);
      let steps = 0;
      disk.onOperation = (_operation, path) => {
        if (path.includes(".rotations")) steps += 1;
        if (steps >= step) throw new Error("the world stops");
      };
      isThrough = (await first.plan.rotate(WEB, "k3", 0).catch(() => undefined)) !== undefined;
      disk.onOperation = undefined;
      if (ends === "kill") disk.killProcess();
      else disk.crash(random);
      const again = await start(disk, config, step);
      const known = ["k1", "k2", "k3"].filter((key) => again.knows(key));
      expect(known, `${ends} at step ${step}`).toHaveLength(1);
      expect(isThrough ? ["k3"] : ["k2", "k3"], `${ends} at step ${step}`).toContain(known[0]);
      expect(again.said.join(), `${ends} at step ${step}`).not.toMatch(/damaged|cannot be read/);
      expect(disk.paths().filter((path) => path.includes(".rotations."))).toEqual([]);
      await close(again);
    }
});

test("what cannot be written does not hold, and is reported", async () => {
  const disk = new SimDisk(new SeededRandom(1));
  const world = await start(disk, configOf(["k1"]));
  disk.failNext("rename", "EIO");
  await expect(world.plan.rotate(WEB, "k2", 0)).rejects.toThrow(/EIO/);
  expect([world.knows("k1"), world.knows("k2"), world.plan.rotationViews()]).toEqual([true, false, []]);
  expect(await world.plan.rotate(WEB, "k2", 0)).toEqual({ unconfirmed: [] });
  expect([world.knows("k1"), world.knows("k2")]).toEqual([false, true]);
  await close(world);
});

test.each<[string, (disk: SimDisk) => Promise<void>]>([
  ["a bit that flipped", async (disk) => disk.flipBit("/data/.rotations", 60)],
  ["a file of zeros", (disk) => replaced(disk, Buffer.alloc(500))],
  ["an empty file", (disk) => replaced(disk, Buffer.alloc(0))],
  ["JSON of another kind", (disk) => replaced(disk, Buffer.from('{"version":1,"crc":223132457,"rotations":[]} []'))],
  ["a version to come", (disk) => replaced(disk, Buffer.from('{"version":2,"crc":223132457,"rotations":[]}'))],
  ["a disk that does not read it", async (disk) => disk.failNext("read", "EIO")],
])("%s: the start goes on with the file's keys, says so, and keeps the damaged file aside", async (_what, damage) => {
  const disk = new SimDisk(new SeededRandom(1));
  const config = configOf(["k1"]);
  const first = await start(disk, config);
  await first.plan.rotate(WEB, "k2", 0);
  await close(first);
  await damage(disk);
  const again = await start(disk, config);
  expect([again.knows("k1"), again.knows("k2")]).toEqual([true, false]);
  expect(again.said.join()).toMatch(
    /\/data\/\.rotations (is damaged|cannot be read).*set aside as \/data\/\.rotations\.damaged/,
  );
  expect(disk.paths()).toContain("/data/.rotations.damaged");
  await again.plan.rotate(WEB, "k3", 0);
  await close(again);
  const last = await start(disk, config);
  expect([last.knows("k1"), last.knows("k3")]).toEqual([false, true]);
  await close(last);
});

async function replaced(disk: SimDisk, bytes: Buffer): Promise<void> {
  await disk.remove("/data/.rotations");
  const file = await disk.open("/data/.rotations", { create: true });
  await file.write([bytes], 0);
  await file.sync();
  await file.close();
}

test("a rotation that is over is kept no longer; when that cannot be written it is reported, and the next start comes to the same end", async () => {
  const disk = new SimDisk(new SeededRandom(1));
  const world = await start(disk, configOf(["k1"]));
  await world.plan.rotate(WEB, "k2", 0);
  const store = new RotationStore(disk, "/data");
  disk.failNext("rename", "EIO");
  const result = await world.plan.reload(() => configOf(["k2"]));
  expect(result).toMatchObject({ ok: true, rotations: [expect.stringContaining("is in the file now")] });
  expect(world.said.join()).toContain("could not be written");
  expect((await store.read()).rotations).toHaveLength(1);
  await close(world);
  const again = await start(disk, configOf(["k2"]));
  expect([again.knows("k1"), again.knows("k2")]).toEqual([false, true]);
  expect((await store.read()).rotations).toHaveLength(0);
  await close(again);
});
