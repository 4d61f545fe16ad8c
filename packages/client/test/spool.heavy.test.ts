/**
 * The spool when its directory is taken, damaged, full, slow or not there: said, counted, and
 * events go on in memory.
 */
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Disk, HttpResponse, Outcome, Random, Transport } from "@waybill/core";
import { WaybillError } from "@waybill/core";
import { nodeClock, nodeRandom } from "@waybill/node";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { type ClientOptions, type Drop, type EventHandle, segment } from "waybill";
import { getfluxly } from "waybill/getfluxly";
import { spool } from "waybill/spool";
import { type Client, createClientOn } from "../src/client.ts";
import { createSpool } from "../src/spool/spool-pipeline.ts";
import { hostOf, type Reaction, type ScriptedVendor, scriptedVendor } from "./lib/scripted-vendor.ts";

const DIRECTORY = "/spool";
const MIB = 1024 ** 2;
/** Less than forty events take in a log. */
const STORED_BYTES = 2_000;

interface World {
  readonly clock: VirtualClock;
  readonly client: Client;
  readonly vendor: ScriptedVendor;
  readonly drops: Drop[];
  readonly errors: string[];
}

interface Settings {
  readonly disk: Disk;
  readonly script?: readonly Reaction[];
  readonly lock?: () => Promise<{ release(): Promise<void> }>;
  readonly options?: Partial<ClientOptions>;
  readonly maxBytes?: number;
  readonly seed?: number;
}

function setUp({
  disk,
  script = [],
  lock = async () => FREE,
  options = {},
  maxBytes = 1_024 * MIB,
  seed = 5,
}: Settings): World {
  const clock = new VirtualClock();
  const vendor = scriptedVendor(script);
  const drops: Drop[] = [];
  const errors: string[] = [];
  const client = createClientOn(hostOf(clock, new SeededRandom(seed)), {
    destinations: [segment({ name: "a", url: "http://a.test", writeKey: "k" })],
    transport: vendor.transport,
    spool: createSpool({ disk, lock }, { directory: DIRECTORY, maxBytes }),
    onDrop: (drop) => drops.push(drop),
    onError: (error) => errors.push(`${error.code}: ${error.message}`),
    ...options,
  });
  return { clock, client, vendor, drops, errors };
}

/** Lets time pass in small steps: each lets what the disk does go on for a while. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let step = 0; step < 50; step++) await clock.advance(ms / 50);
}

const FREE = { release: async () => undefined };

function track(client: Client, events: number, from = 0): EventHandle[] {
  return Array.from({ length: events }, (_, index) =>
    client.track({ userId: "u", event: "E", properties: { number: from + index, bad: (from + index) % 10 === 9 } }),
  );
}

/** A disk whose calls of one kind never end while it hangs. */
function hanging(disk: SimDisk, operation: "open" | "makeDirectory"): { readonly disk: Disk; recover(): void } {
  let recover = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    recover = resolve;
  });
  const handler: ProxyHandler<SimDisk> = {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const call = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      return name === operation ? (...args: unknown[]) => gate.then(() => call(...args)) : call;
    },
  };
  return { disk: new Proxy(disk, handler), recover };
}

test("every event of a spool has its own outcome, also when it is asked late, and each is reported once", async () => {
  const script: Reaction[] = ["503", "refuse the batch", "reset", "refuse the bad", "401"];
  const { clock, client, vendor, drops } = setUp({ disk: new SimDisk(), script, options: { flushAt: 100 } });
  const handles: EventHandle[] = [];
  const early: Promise<Outcome>[] = [];
  for (let round = 0; round < 30; round++) {
    const more = track(client, 100, handles.length);
    handles.push(...more);
    early.push(...more.filter((_, index) => index % 7 === 0).map(({ delivered }) => delivered));
    await pass(clock, 200);
  }
  await pass(clock, 120_000);
  const outcomes = await Promise.all(handles.map(({ delivered }) => delivered));
  await Promise.all(early);
  for (const [number, outcome] of outcomes.entries())
    expect(outcome.status, `event ${number}`).toBe(number % 10 === 9 ? "rejected" : "delivered");
  expect(drops).toHaveLength(300);
  expect(new Set(drops.map(({ messageId }) => messageId)).size).toBe(300);
  expect(vendor.said.size).toBe(3_000);
  const closed = client.close();
  await pass(clock, 1_000);
  expect(await closed).toEqual({ delivered: 2_700, rejected: 300, dropped: 0, left: 0 });
});

test("what an earlier process left is reported by its message id, and only what is this process's is counted", async () => {
  const disk = new SimDisk();
  const first = setUp({ disk, script: ["503", "503", "503"] });
  const handles = track(first.client, 20);
  await pass(first.clock, 300);
  const closed = first.client.close({ deadlineMs: 500 });
  await pass(first.clock, 600);
  expect(await closed).toMatchObject({
    left: 20,
    destinations: { a: { mode: "waiting", reason: "503 {} at http://a.test" } },
  });
  for (const { delivered } of handles) expect(await delivered).toMatchObject({ reason: "left at close" });
  disk.killProcess();
  const second = setUp({ disk });
  await pass(second.clock, 1_000);
  expect(second.drops).toMatchObject([
    { reason: "rejected", messageId: handles[9]?.messageId },
    { reason: "rejected", messageId: handles[19]?.messageId },
  ]);
  expect(second.client.accounts()["a"]).toMatchObject({ accepted: 20, delivered: 18, rejected: 2, balanced: true });
  const end = second.client.close();
  await pass(second.clock, 1_000);
  await end;
  disk.killProcess();
  const third = setUp({ disk });
  await pass(third.clock, 1_000);
  expect(third.client.accounts()["a"]).toMatchObject({ accepted: 0, delivered: 0, rejected: 0, balanced: true });
});

test("the first batches of two spools have different keys: a vendor takes equal ones for one", async () => {
  const keys: (string | undefined)[] = [];
  for (const seed of [1, 2]) {
    const destinations = [getfluxly({ token: "sk_test" })];
    const transport: Transport = ({ headers }) => {
      keys.push(headers["x-idempotency-key"]);
      return Promise.resolve({ status: 202, headers: {}, body: '{"accepted":1,"rejected":0}' });
    };
    const { clock, client } = setUp({ disk: new SimDisk(), seed, options: { destinations, transport } });
    track(client, 1);
    await pass(clock, 10_000);
    const closed = client.close();
    await pass(clock, 5_000);
    await closed;
  }
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(2);
});

test("a directory that another process uses is reported once; events go on in memory, and to disk once it is free", async () => {
  const disk = new SimDisk();
  let taken = true;
  let released = 0;
  const lock = async (): Promise<typeof FREE> => {
    if (taken) throw new WaybillError("WAYBILL_LOG_LOCKED", "Another process is using it");
    return {
      release: async () => {
        released += 1;
      },
    };
  };
  const { clock, client, vendor, errors } = setUp({ disk, lock });
  const handles = track(client, 10);
  await pass(clock, 10_000);
  expect(errors).toEqual([
    "WAYBILL_LOG_LOCKED: The spool in /spool cannot be used, events are kept in memory only: Another process is using it",
  ]);
  expect(vendor.said.size).toBe(10);
  expect(await handles[0]?.delivered).toEqual({ status: "delivered" });
  expect(disk.paths()).toEqual([]);
  taken = false;
  await pass(clock, 2_000);
  track(client, 10, 10);
  await pass(clock, 2_000);
  expect(vendor.said.size).toBe(20);
  expect(disk.paths().some((path) => path.startsWith("/spool/log/"))).toBe(true);
  expect(client.accounts()["a"]).toMatchObject({
    accepted: 20,
    delivered: 18,
    rejected: 2,
    pending: 0,
    balanced: true,
  });
  const closed = client.close();
  await pass(clock, 1_000);
  expect(await closed).toEqual({ delivered: 18, rejected: 2, dropped: 0, left: 0 });
  expect(released).toBe(1);
});

test("a directory that stays taken: close delivers from memory, and counts what is left there", async () => {
  for (const script of [[], ["503", "503", "503", "503"]] as Reaction[][]) {
    const { clock, client } = setUp({
      disk: new SimDisk(),
      script,
      lock: async () => {
        throw new WaybillError("WAYBILL_LOG_LOCKED", "in use");
      },
    });
    track(client, 5);
    const closed = client.close({ deadlineMs: 300 });
    await pass(clock, 300);
    expect(await closed).toMatchObject(script.length === 0 ? { delivered: 5, left: 0 } : { delivered: 0, left: 5 });
  }
});

test("a disk that becomes full or fails is reported once; events go on in memory, and back to disk when there is room", async () => {
  const disk = new SimDisk();
  const { clock, client, vendor, errors, drops } = setUp({ disk });
  track(client, 10);
  await pass(clock, 1_000);
  disk.capacityBytes = 0;
  for (let round = 1; round <= 5; round++) {
    track(client, 10, 10 * round);
    await pass(clock, 3_000);
  }
  expect(vendor.said.size).toBe(60);
  expect(errors.filter((error) => error.includes("kept in memory only"))).toHaveLength(1);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await pass(clock, 3_000);
  track(client, 10, 60);
  await pass(clock, 3_000);
  expect(vendor.said.size).toBe(70);
  expect(client.accounts()["a"]).toMatchObject({
    accepted: 70,
    delivered: 63,
    rejected: 7,
    pending: 0,
    balanced: true,
  });
  expect(drops).toHaveLength(7);
});

test("an event that the spool took reaches each destination with room in memory, also with overflow throw", async () => {
  const disk = new SimDisk();
  const taken: Record<string, number> = { "a.test": 0, "b.test": 0 };
  const transport: Transport = async ({ url, body }) => {
    const { host } = new URL(url);
    if (host === "a.test") return { status: 503, headers: {}, body: "" };
    taken[host] = (taken[host] ?? 0) + (JSON.parse(body.join("")) as { batch: unknown[] }).batch.length;
    return { status: 200, headers: {}, body: "{}" };
  };
  const destinations = ["a", "b"].map((name) => segment({ name, url: `http://${name}.test`, writeKey: "k" }));
  const options: Partial<ClientOptions> = { destinations, transport, queueMaxEvents: 2, overflow: "throw" };
  const { clock, client, drops } = setUp({ disk, options });
  await pass(clock, 1_000);
  disk.capacityBytes = 0;
  for (let number = 0; number < 4; number++) {
    track(client, 1, number);
    await pass(clock, 2_000);
  }
  expect(taken["b.test"]).toBe(4);
  expect(drops).toMatchObject([
    { reason: "queue_full", destination: "a" },
    { reason: "queue_full", destination: "a" },
  ]);
});

test("a disk that does not answer holds no event back for long, and not the close", async () => {
  for (const operation of ["makeDirectory", "open"] as const) {
    const { disk, recover } = hanging(new SimDisk(), operation);
    const { clock, client, vendor, errors } = setUp({ disk });
    const [handle] = track(client, 10);
    await pass(clock, 6_000);
    expect(errors).toEqual([expect.stringContaining("the disk has not answered for 5000 ms")]);
    expect(vendor.said.size).toBe(10);
    expect(await handle?.delivered).toEqual({ status: "delivered" });
    track(client, 10, 10);
    const closed = client.close({ deadlineMs: 1_000 });
    await pass(clock, 1_000);
    expect(await closed).toEqual({ delivered: 18, rejected: 2, dropped: 0, left: 0 });
    recover();
    await pass(clock, 10_000);
    expect(client.accounts()["a"]).toMatchObject({ accepted: 20, delivered: 18, pending: 0, balanced: true });
  }
});

test("close ends at its deadline while the disk does not answer", async () => {
  const plain = new SimDisk();
  const earlier = setUp({ disk: plain, script: Array<Reaction>(9).fill("503") });
  track(earlier.client, 5);
  await pass(earlier.clock, 1_000);
  plain.killProcess();
  const { disk, recover } = hanging(plain, "open");
  let held = 0;
  const lock = async (): Promise<typeof FREE> => {
    held += 1;
    return {
      release: async () => {
        held -= 1;
      },
    };
  };
  const { clock, client, vendor } = setUp({ disk, lock });
  const [handle] = track(client, 10);
  const closed = client.close({ deadlineMs: 1_000 });
  await pass(clock, 1_000);
  expect(await closed).toMatchObject({ delivered: 0, left: 10 });
  expect(await handle?.delivered).toMatchObject({ reason: "left at close" });
  recover();
  await pass(clock, 10_000);
  expect(client.accounts()["a"]).toMatchObject({ accepted: 10, pending: 10, balanced: true });
  expect(held, "what opened too late is let go of").toBe(0);
  expect(vendor.said.size, "nothing is delivered after the close").toBe(0);
});

test("an answer that comes after the deadline of close is right on disk, and changes nothing that was reported", async () => {
  const disk = new SimDisk();
  let answer = (_response: HttpResponse): void => undefined;
  const transport = (): Promise<HttpResponse> =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const first = setUp({ disk, options: { transport } });
  track(first.client, 5);
  await pass(first.clock, 1_000);
  const closed = first.client.close({ deadlineMs: 100 });
  await pass(first.clock, 100);
  expect(await closed).toMatchObject({ delivered: 0, left: 5 });
  answer({ status: 200, headers: {}, body: "{}" });
  await pass(first.clock, 5_000);
  expect(first.client.accounts()["a"]).toMatchObject({ delivered: 0, pending: 5, balanced: true });
  const second = setUp({ disk });
  await pass(second.clock, 1_000);
  expect(second.vendor.said.size).toBe(0);
  expect(second.client.accounts()["a"]).toMatchObject({ accepted: 0, pending: 0, balanced: true });
});

/** Events that are larger than what the spool may hold, while the destination does not answer. */
async function overfill({ clock, client }: World): Promise<void> {
  const pad = "x".repeat(30_000);
  for (let round = 0; round < 12; round++) {
    for (let index = 0; index < 100; index++)
      client.track({ userId: "u", event: "E", properties: { number: 100 * round + index, pad } });
    await pass(clock, 300);
  }
  await pass(clock, 1_000);
}

function expiredIn(drops: readonly Drop[]): number {
  return drops.filter(({ reason }) => reason === "expired").reduce((sum, { events = 1 }) => sum + events, 0);
}

test("events that a spool at its limit gives up are reported at once, while their destination answers nothing", async () => {
  const disk = new SimDisk();
  const world = setUp({ disk, script: Array<Reaction>(500).fill("hang"), maxBytes: 16 * MIB });
  await overfill(world);
  const expired = world.client.accounts()["a"]?.expired;
  expect(expired).toBeGreaterThan(300);
  expect(expiredIn(world.drops)).toBe(expired);
  disk.killProcess();
  const next = setUp({ disk });
  await pass(next.clock, 1_000);
  // What was on its way when its file was removed, and nothing that was reported before.
  expect(expiredIn(world.drops) + expiredIn(next.drops) + next.vendor.said.size).toBe(1_200);
});

/** Nothing goes on after a file of the log was removed. */
function stuckOnceRemoved(disk: SimDisk): Disk {
  return new Proxy(disk, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const call = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (name !== "remove") return call;
      return async (path: string) => {
        const isOfTheLog = path.startsWith("/spool/log/") && target.paths().includes(path);
        await call(path);
        if (isOfTheLog) await new Promise(() => undefined);
      };
    },
  });
}

test("what the limit of a spool took right before the process was killed is reported by the next one, once", async () => {
  const disk = new SimDisk();
  const first = setUp({ disk: stuckOnceRemoved(disk), script: Array<Reaction>(500).fill("hang"), maxBytes: 16 * MIB });
  await overfill(first);
  expect(expiredIn(first.drops)).toBe(0);
  disk.killProcess();
  // The spool opens at the second try: another destination's file cannot be made at the first one.
  let refused = 0;
  disk.onOperation = (_operation, path) => {
    if (path.startsWith("/spool/lanes/b") && refused++ === 0) throw new WaybillError("WAYBILL_DISK", "EIO");
  };
  const destinations = ["a", "b"].map((name) => segment({ name, url: `http://${name}.test`, writeKey: "k" }));
  const second = setUp({ disk, options: { destinations } });
  await pass(second.clock, 5_000);
  expect(refused).toBeGreaterThan(1);
  const account = second.client.accounts()["a"];
  expect(account?.expired).toBeGreaterThan(100);
  expect(expiredIn(second.drops)).toBe(account?.expired);
  expect(account).toMatchObject({ accepted: 1_200, pending: 0, balanced: true });
  disk.killProcess();
  const third = setUp({ disk });
  await pass(third.clock, 1_000);
  expect(expiredIn(third.drops)).toBe(0);
});

test("a spool that is at its limit gives up the oldest events, and says how many", async () => {
  const { clock, client, drops } = setUp({
    disk: new SimDisk(),
    script: Array<Reaction>(500).fill("hang"),
    maxBytes: 16 * MIB,
  });
  const pad = "x".repeat(30_000);
  const handles: EventHandle[] = [];
  for (let round = 0; round < 12; round++) {
    for (let index = 0; index < 100; index++)
      handles.push(client.track({ userId: "u", event: "E", properties: { number: handles.length, pad } }));
    await pass(clock, 300);
  }
  await pass(clock, 1_000);
  const closed = client.close({ deadlineMs: 1_000 });
  await pass(clock, 1_000);
  const summary = await closed;
  const account = client.accounts()["a"];
  expect(account?.expired).toBeGreaterThan(300);
  expect(account).toMatchObject({ accepted: 1_200, balanced: true });
  expect(summary).toMatchObject({ delivered: 0, dropped: account?.expired, left: 1_200 - (account?.expired ?? 0) });
  const reported = drops.filter(({ reason }) => reason === "expired");
  expect(reported.reduce((sum, { events = 1 }) => sum + events, 0)).toBe(account?.expired);
});

test("damage is reported with what was lost: in the middle, at the end, and in a destination's position", async () => {
  const disk = new SimDisk();
  const first = setUp({ disk, script: Array<Reaction>(50).fill("hang") });
  for (let round = 0; round < 3; round++) {
    track(first.client, 10, 10 * round);
    await pass(first.clock, 100);
  }
  const log = disk.paths().find((path) => path.endsWith(".log") && path.startsWith("/spool/log/")) as string;
  const bytes = disk.contents(log).length;
  disk.killProcess();
  disk.flipBit(log, Math.round(bytes / 2));
  disk.flipBit("/spool/lanes/a", 30);
  disk.flipBit("/spool/lanes/a", 4_096 + 30);
  const second = setUp({ disk });
  await pass(second.clock, 1_000);
  expect(second.errors).toEqual([
    expect.stringMatching(
      /^WAYBILL_LOG_DAMAGED: The spool in \/spool was damaged: 10 events are lost in \d+\.log, \d+ bytes/,
    ),
    "WAYBILL_LOG_DAMAGED: The spool in /spool was damaged: the cursor of a cannot be read; all 30 events are sent again",
  ]);
  expect(second.drops).toContainEqual({ reason: "log_damaged", events: 10, destination: "a" });
  expect(second.client.accounts()["a"]).toMatchObject({
    accepted: 30,
    delivered: 18,
    rejected: 2,
    dropped: { log_damaged: 10 },
    balanced: true,
  });
  disk.killProcess();
  const last = disk.paths().findLast((path) => path.startsWith("/spool/log/")) as string;
  disk.flipBit(last, disk.contents(last).length - 20);
  const third = setUp({ disk });
  await pass(third.clock, 1_000);
  expect(third.errors[0]).toMatch(
    /^WAYBILL_LOG_DAMAGED: .*: the last write was cut short; its \d+ bytes of events are lost$/,
  );
  expect(third.errors[1]).toBe(
    "WAYBILL_LOG_DAMAGED: The spool in /spool was damaged: its end is missing: 20 events that a was done with",
  );
  expect(third.client.accounts()["a"]).toMatchObject({ balanced: true });
});

test("events of a destination that is not there any more are reported", async () => {
  const disk = new SimDisk();
  const first = setUp({ disk, script: ["503", "503", "503", "503", "503"] });
  track(first.client, 10);
  await pass(first.clock, 400);
  disk.killProcess();
  const destinations = [segment({ name: "renamed", url: "http://a.test", writeKey: "k" })];
  const second = setUp({ disk, options: { destinations } });
  await pass(second.clock, 1_000);
  expect(second.errors).toEqual([
    'WAYBILL_OPTIONS: The spool in /spool holds 10 events for "a", which is not a destination of this client: they are not delivered',
  ]);
});

/** Beside the simulated disk: the real one, with the real lock. */
function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "waybill-spool-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function real(path: string, vendor: ScriptedVendor, errors: string[]): Client {
  const random: Random = nodeRandom;
  return createClientOn(
    {
      runtime: { clock: nodeClock, random, transport: vendor.transport },
      byteLength: (text) => Buffer.byteLength(text),
    },
    {
      destinations: [segment({ name: "a", url: "http://a.test", writeKey: "k" })],
      spool: spool({ directory: path }),
      flushIntervalMs: 10,
      onError: ({ code, message }) => errors.push(`${code}: ${message}`),
    },
  );
}

test("two clients on one directory: the second one says so and delivers from memory", async () => {
  const path = directory();
  const vendor = scriptedVendor([]);
  const errors: string[] = [];
  const first = real(path, vendor, errors);
  track(first, 10);
  await first.flush();
  const second = real(path, vendor, errors);
  track(second, 10, 10);
  expect(await second.close()).toEqual({ delivered: 9, rejected: 1, dropped: 0, left: 0 });
  expect(errors).toEqual([
    expect.stringMatching(/^WAYBILL_LOG_LOCKED: The spool in .* cannot be used, events are kept in memory only: /),
  ]);
  expect(await first.close()).toEqual({ delivered: 9, rejected: 1, dropped: 0, left: 0 });
  const third = real(path, vendor, errors);
  track(third, 10, 20);
  expect(await third.close()).toEqual({ delivered: 9, rejected: 1, dropped: 0, left: 0 });
  expect(errors).toHaveLength(1);
});

test("a path that is not a directory, and one that cannot be written: reported, and the events are delivered", async () => {
  const parent = directory();
  writeFileSync(join(parent, "file"), "not a directory");
  mkdirSync(join(parent, "dir"));
  // Root may write anywhere but to what cannot be changed.
  execFileSync("chmod", ["0500", join(parent, "dir")]);
  for (const path of [join(parent, "file"), join(parent, "file", "below"), "/proc/self/no"]) {
    const errors: string[] = [];
    const client = real(path, scriptedVendor([]), errors);
    track(client, 10);
    expect(await client.close()).toEqual({ delivered: 9, rejected: 1, dropped: 0, left: 0 });
    expect(errors).toEqual([
      expect.stringMatching(/^WAYBILL_DISK: The spool in .* cannot be used, events are kept in memory only: /),
    ]);
  }
});

test("a log that was cut at any place opens, says so, and counts right", async () => {
  const path = directory();
  const down = scriptedVendor(Array<Reaction>(1_000).fill("503"));
  const first = real(path, down, []);
  for (let round = 0; round < 4; round++) {
    track(first, 10, 10 * round);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const logs = (): string[] =>
    readdirSync(path, { recursive: true, encoding: "utf8" })
      .filter((one) => /^log\/.*\.log$/.test(one))
      .map((one) => join(path, one));
  // A machine that does other work opens the spool late.
  while (!logs().some((one) => statSync(one).size > STORED_BYTES))
    await new Promise((resolve) => setTimeout(resolve, 20));
  await first.close({ deadlineMs: 500 });
  const [log = ""] = logs();
  const whole = readFileSync(log);
  const lanes = readFileSync(join(path, "lanes", "a"));
  for (let cut = 0; cut < 12; cut++) {
    writeFileSync(log, whole);
    writeFileSync(join(path, "lanes", "a"), lanes);
    truncateSync(log, Math.round((whole.length * cut) / 12));
    expect(statSync(log).size).toBeLessThan(whole.length);
    const errors: string[] = [];
    const client = real(path, scriptedVendor([]), errors);
    track(client, 10, 100);
    const summary = await client.close();
    expect(client.accounts()["a"]).toMatchObject({ pending: 0, balanced: true });
    expect(summary.delivered + summary.rejected).toBeGreaterThanOrEqual(10);
    expect(summary).toMatchObject({ dropped: 0, left: 0 });
    for (const error of errors) expect(error).toMatch(/^WAYBILL_LOG_DAMAGED: /);
  }
});
