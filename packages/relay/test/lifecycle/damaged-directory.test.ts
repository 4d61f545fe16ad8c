/**
 * A start on a data directory in which anything is anywhere: it does not fail, says what it
 * found, and the rest goes on.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { DiskRuntime } from "@waybill/core";
import { nodeClock, nodeDisk, nodeRandom } from "@waybill/node";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SegmentEmulator, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";

const PART_MS = 20;
const SECOND_MS = 1_000;
const REPLAY = "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa";

interface World {
  readonly clock: VirtualClock;
  readonly disk: SimDisk;
  readonly emulator: SegmentEmulator;
  readonly environment: Environment;
  readonly warnings: string[];
  append(count: number): Promise<void>;
  pass(ms: number): Promise<void>;
}

async function open(
  disk = new SimDisk(),
  destinations: readonly string[] = ["a", "b"],
  clock = new VirtualClock(),
  emulator = new SegmentEmulator({ clock, limits: "none" }),
): Promise<World> {
  const random = new SeededRandom(7);
  const network = new SimNetwork({ clock, random, latencyMs: 5 });
  network.serve("http://emulator.test", emulator.handle);
  const runtime: DiskRuntime = { clock, random, disk, transport: network.transport };
  const warnings: string[] = [];
  const environment = await openEnvironment(runtime, "/data", destinations, warnings);
  let next = environment.log.head;
  return {
    clock,
    disk,
    emulator,
    environment,
    warnings,
    async append(count) {
      for (let index = 0; index < count; index++, next++) {
        const body = Buffer.from(JSON.stringify({ type: "track", messageId: `m-${next}` }));
        const ends = Uint32Array.of(body.length);
        await environment.log.append({ source: "s", receivedAtMs: clock.now(), metadata: "", body: [body], ends });
      }
    },
    async pass(ms) {
      for (let part = 0; part < ms; part += PART_MS) await clock.advance(PART_MS);
    },
  };
}

async function openEnvironment(
  runtime: DiskRuntime,
  directory: string,
  destinations: readonly string[],
  warnings: string[],
): Promise<Environment> {
  const ignore = (): void => undefined;
  const one = { vendor: "segment", url: "http://emulator.test", writeKey: "k", batch: { linger: 20 } } as const;
  const environment = await Environment.open({
    config: resolveEnvironment("e", {
      sources: {},
      destinations: Object.fromEntries(destinations.map((name) => [name, one])),
    }),
    directory,
    runtime,
    dedupe: { windowMs: 86_400_000, maxIds: 10_000 },
    observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
    report: (code, fields) => warnings.push(`${code} ${JSON.stringify(fields)}`),
  });
  environment.start();
  return environment;
}

async function put(disk: SimDisk, path: string, bytes: Uint8Array): Promise<void> {
  await disk.makeDirectory(path.slice(0, path.lastIndexOf("/")));
  await disk.remove(path).catch(() => undefined);
  await (await disk.open(path, { create: true })).write([bytes], 0);
}

/** A slot whose checksum is right, whatever it says. */
function slot(text: string): Buffer {
  const bytes = Buffer.alloc(8_192);
  const length = bytes.write(text, 16);
  bytes.writeUInt32LE(length, 4);
  bytes.writeBigUInt64LE(1n, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(4, 16 + length)), 0);
  return bytes;
}

const ledger = ({ environment, clock }: World, name: string): unknown =>
  environment.lanes(clock.now()).find(({ destination }) => destination === name)?.account;

test("one lane's state is unreadable: it is logged, that lane sends again, the other one goes on", async () => {
  const first = await open();
  await first.append(20);
  await first.pass(5 * SECOND_MS);
  await first.environment.close(SECOND_MS);
  await put(first.disk, "/data/lanes/a", Buffer.alloc(8_192, 0x5a));
  const again = await open(first.disk);
  expect(again.warnings).toEqual([
    expect.stringMatching(
      /^lane_state_lost .*the state of a cannot be read: it begins again at position 0 and sends 20 events, those once more that it had delivered; its ledger begins anew/,
    ),
  ]);
  await again.pass(5 * SECOND_MS);
  expect(ledger(again, "a")).toMatchObject({ accepted: 20, delivered: 20, balanced: true });
  expect(ledger(again, "b")).toMatchObject({ accepted: 20, delivered: 20, balanced: true });
  expect(again.emulator.received).toBe(20);
});

test("one lane's state is gone although the lane has been here: it is logged, and sends again", async () => {
  const first = await open();
  await first.append(20);
  await first.pass(5 * SECOND_MS);
  await first.environment.close(SECOND_MS);
  await first.disk.remove("/data/lanes/a");
  const again = await open(first.disk, ["a", "b", "new"]);
  expect(again.warnings).toEqual([expect.stringContaining("the state of a is gone: it begins again at position 0")]);
  await again.pass(5 * SECOND_MS);
  expect(ledger(again, "a")).toMatchObject({ accepted: 20, delivered: 20, balanced: true });
  // One that never was begins at the head, silently.
  expect(ledger(again, "new")).toMatchObject({ accepted: 0 });
});

test("what waits for a destination that was renamed is logged at the start, for as long as something waits", async () => {
  const first = await open();
  first.environment.destination("a")?.pause();
  await first.append(1_234);
  await first.pass(5 * SECOND_MS);
  await first.environment.close(SECOND_MS);
  await put(first.disk, "/data/lanes/.DS_Store", Buffer.from("what"));
  await put(first.disk, "/data/lanes/broken", Buffer.from("what"));
  const renamed = await open(first.disk, ["renamed", "b"]);
  expect(renamed.warnings).toEqual([
    expect.stringMatching(/^lane_orphaned .*"destination":"a","events":1234,"directory":"\/data"/),
  ]);
  expect(await renamed.environment.orphanedLanes()).toEqual([{ destination: "a", events: 1_234 }]);
  await renamed.environment.close(SECOND_MS);
  const back = await open(first.disk, ["a", "b", "renamed"]);
  expect(back.warnings).toEqual([]);
  await back.pass(20 * SECOND_MS);
  expect(ledger(back, "a")).toMatchObject({ delivered: 1_234, balanced: true });
});

const CHOICE = { log: { from: 0, to: 5 } };
const STORED = {
  id: REPLAY,
  destination: "a",
  choice: CHOICE,
  createdAtMs: 5,
  cancelled: false,
  total: 5,
  cursor: 0,
  leased: 0,
  delivered: 0,
  rejected: 0,
  expired: 0,
  done: false,
};

test("a replay's state that is what we write goes on", async () => {
  const first = await open();
  await first.append(20);
  await first.pass(5 * SECOND_MS);
  await first.environment.close(SECOND_MS);
  await put(first.disk, `/data/replays/${REPLAY}`, slot(JSON.stringify(STORED)));
  const again = await open(first.disk);
  await again.pass(5 * SECOND_MS);
  expect(again.environment.replays.views()).toMatchObject([{ id: REPLAY, state: "done", account: { delivered: 5 } }]);
});

test.each([
  ["not JSON", "{"],
  ["null", "null"],
  ["another replay's", JSON.stringify({ ...STORED, id: "other" })],
  ["without a choice", JSON.stringify({ ...STORED, choice: undefined })],
  ["of a choice that is null", JSON.stringify({ ...STORED, choice: null })],
  ["of two choices", JSON.stringify({ ...STORED, choice: { ...CHOICE, deadLetters: {} } })],
  ["of a choice without an end", JSON.stringify({ ...STORED, choice: { log: { from: 0, to: null } } })],
  ["of ids that are not a list", JSON.stringify({ ...STORED, choice: { deadLetters: { deadLetterIds: 3 } } })],
  ["of ids that are texts", JSON.stringify({ ...STORED, choice: { deadLetters: { deadLetterIds: ["a"] } } })],
  ["of old ids that are not a list", JSON.stringify({ ...STORED, choice: { deadLetters: { letters: 3 } } })],
  ["of a source that is an object", JSON.stringify({ ...STORED, choice: { log: { from: 0, to: 1, source: {} } } })],
  ["of a rate below zero", JSON.stringify({ ...STORED, eventsPerSecond: -1 })],
  ["of a destination that is a number", JSON.stringify({ ...STORED, destination: 1 })],
  ["of a cursor that is a text", JSON.stringify({ ...STORED, cursor: "0" })],
  ["of a negative total", JSON.stringify({ ...STORED, total: -1 })],
  ["of fates that are null", JSON.stringify({ ...STORED, fates: null })],
  ["of fates with half a run", JSON.stringify({ ...STORED, fates: { from: 0, runs: [1], before: {} } })],
])("a replay's state that is %s ends that replay, is logged, and harms nothing else", async (_name, text) => {
  const first = await open();
  await first.append(20);
  await first.environment.close(SECOND_MS);
  await put(first.disk, `/data/replays/${REPLAY}`, slot(text));
  for (const name of ["notes.txt", "constructor", `${REPLAY}x`])
    await put(first.disk, `/data/replays/${name}`, Buffer.from("what"));
  const again = await open(first.disk);
  expect(again.warnings).toEqual([`replay_state_lost {"environment":"e","replay":"${REPLAY}"}`]);
  await again.pass(5 * SECOND_MS);
  expect(again.environment.replays.views()).toMatchObject([
    { id: REPLAY, state: "cancelled", account: { balanced: true } },
  ]);
  expect(ledger(again, "a")).toMatchObject({ delivered: 20, balanced: true });
  expect(Buffer.from(again.disk.contents("/data/replays/notes.txt")).toString()).toBe("what");
  await again.environment.retain({ maxAgeMs: 1, maxBytes: 1e9, hardMaxBytes: 1e9 }, again.clock.now() + SECOND_MS);
  expect(again.environment.replays.views()).toEqual([]);
});

test.each([
  ["abc.ids", true],
  ["-1.ids", true],
  ["1e3.ids", true],
  ["0x10.ids", true],
  ["00000000000000000005.ids", true],
  [`${"9".repeat(20)}.ids`, true],
  ["00000000000000008192.ids", false],
])("a file of ids named %s changes nothing", async (name, stays) => {
  const first = await open();
  await first.append(20);
  await first.pass(5 * SECOND_MS);
  await first.environment.close(SECOND_MS);
  await put(first.disk, `/data/ids/${name}`, Buffer.alloc(131_096, 0x5a));
  await put(first.disk, "/data/ids/seed", Buffer.from("what"));
  const again = await open(first.disk);
  expect(again.warnings).toEqual([]);
  expect(again.disk.paths().includes(`/data/ids/${name}`)).toBe(stays);
  await again.environment.retain({ maxAgeMs: 1, maxBytes: 1e9, hardMaxBytes: 1e9 }, again.clock.now());
});

test("on a real disk, directories and files may have changed places", async () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-damaged-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const name of ["ids", "lanes", "dead", "fates", "attempts", "replays"])
    writeFileSync(join(directory, name), "what");
  mkdirSync(join(directory, `log/${"0".repeat(20)}.log`), { recursive: true });
  writeFileSync(join(directory, `log/${"0".repeat(20)}.log/what`), "");
  const runtime = {
    clock: nodeClock,
    random: nodeRandom,
    disk: nodeDisk,
    transport: () => Promise.reject(new Error("no network")),
  };
  const warnings: string[] = [];
  const environment = await openEnvironment(runtime, directory, ["a"], warnings);
  expect(warnings.filter((warning) => warning.startsWith("directory_set_aside "))).toHaveLength(6);
  const body = Buffer.from('{"type":"track"}');
  const entry = { source: "s", receivedAtMs: 1, metadata: "", body: [body], ends: Uint32Array.of(body.length) };
  expect(await environment.log.append(entry)).toBe(0);
  await environment.retain({ maxAgeMs: 1, maxBytes: 1, hardMaxBytes: 1 }, Date.now());
  await environment.close(SECOND_MS);
  // And once more, with directories in the places of single files.
  for (const path of ["lanes/a", "ids/seed", "ids/00000000000000000000.ids", `replays/${REPLAY}`]) {
    rmSync(join(directory, path), { force: true });
    mkdirSync(join(directory, path, "what"), { recursive: true });
  }
  writeFileSync(join(directory, "replays/x.attempts"), "");
  const logged: string[] = [];
  const again = await openEnvironment(runtime, directory, ["a"], logged);
  expect(logged.join()).toContain("the state of a cannot be read");
  expect(again.log.head).toBe(1);
  expect(readdirSync(join(directory, "lanes")).sort()).toEqual(["a", "a.damaged"]);
  await again.close(SECOND_MS);
});
