import { createSocket } from "node:dgram";
import { once } from "node:events";
import {
  freePort,
  SeededRandom,
  SegmentEmulator,
  SimDisk,
  SimNetwork,
  startServer,
  VirtualClock,
} from "@waybill/testing";
import { testDisk, testTransport } from "@waybill/testing/suites";
import { expect, onTestFinished, test } from "vitest";

testDisk("simulated disk", {
  make: () => ({ disk: SimDisk.of(new Map(), ["/d"]), directory: "/d" }),
  powerCut: (disk) => disk.crash(),
  leaveRoom: (disk, bytes) => {
    disk.capacityBytes = disk.usedBytes + bytes;
  },
});

testTransport("simulated network", {
  async make(handler) {
    const clock = new VirtualClock();
    const network = new SimNetwork({ clock, random: new SeededRandom(3) });
    network.serve("http://a.test", handler);
    const settled = async <T>(result: Promise<T>): Promise<T> => {
      let isSettled = false;
      const done = (): void => {
        isSettled = true;
      };
      result.then(done, done);
      await clock.until(() => isSettled);
      return result;
    };
    return { transport: network.transport, origin: "http://a.test", nowhere: "http://b.test", settled };
  },
});

test("the clock runs timers in order of time and lets promises settle in between", async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  clock.after(20, () => seen.push("late"));
  clock.after(10, () => {
    seen.push("early");
    void Promise.resolve().then(() => clock.after(5, () => seen.push("between")));
  });
  clock.after(10, () => seen.push("second")).cancel();
  await clock.advance(30);
  expect(seen).toEqual(["early", "between", "late"]);
  expect(clock.timers).toBe(0);
  const now = clock.now();
  clock.jump(-1_000);
  expect([clock.now(), clock.monotonic()]).toEqual([now - 1_000, 30]);
  await expect(clock.until(() => false, 100)).rejects.toThrow("nothing happened");
});

test("a seed gives the same numbers again, another seed others", () => {
  const draw = (seed: number): number[] =>
    Array.from(
      { length: 5 },
      (
        (random) => () =>
          random.next()
      )(new SeededRandom(seed)),
    );
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  const random = new SeededRandom(9);
  const counts = [0, 0, 0, 0];
  for (let index = 0; index < 4_000; index++) counts[random.below(4)] = (counts[random.below(4)] as number) + 1;
  for (const count of counts) expect(count).toBeGreaterThan(800);
});

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (disk: SimDisk, path: string): string => Buffer.from(disk.contents(path)).toString();

test("a power cut takes what was not synced, data and names; a killed process takes nothing", async () => {
  const disk = new SimDisk();
  await disk.makeDirectory("/d");
  const file = await disk.open("/d/f", { create: true });
  await file.write([bytes("synced")], 0);
  await file.sync();
  await disk.syncDirectory("/d");
  await file.write([bytes(" unsynced")], 6);
  await disk.open("/d/unsynced-name", { create: true });
  disk.killProcess();
  expect(text(disk, "/d/f")).toBe("synced unsynced");
  await expect(file.write([bytes("x")], 0)).rejects.toMatchObject({ reason: "EIO" });
  disk.crash();
  expect(disk.paths()).toEqual(["/d/f"]);
  expect(text(disk, "/d/f")).toBe("synced");
});

test("a name that was synced without its data comes back empty", async () => {
  const disk = new SimDisk();
  await disk.makeDirectory("/d");
  const file = await disk.open("/d/f", { create: true });
  await file.write([bytes("data")], 0);
  await disk.syncDirectory("/d");
  disk.crash();
  expect(text(disk, "/d/f")).toBe("");
});

test("a removed or renamed name comes back when its directory was not synced", async () => {
  const disk = new SimDisk();
  await disk.makeDirectory("/d");
  await disk.open("/d/f", { create: true });
  await disk.syncDirectory("/d");
  await disk.rename("/d/f", "/d/g");
  disk.crash();
  expect(disk.paths()).toEqual(["/d/f"]);
  await disk.remove("/d/f");
  await disk.syncDirectory("/d");
  disk.crash();
  expect(disk.paths()).toEqual([]);
});

test("with a seed, unsynced writes are kept, lost or torn at sectors", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const disk = new SimDisk();
    await disk.makeDirectory("/d");
    const file = await disk.open("/d/f", { create: true });
    await disk.syncDirectory("/d");
    await file.write([new Uint8Array(1_024).fill(1)], 0);
    disk.crash(new SeededRandom(seed));
    const contents = disk.contents("/d/f");
    seen.add(
      `${contents.subarray(0, 512).filter((byte) => byte === 1).length}/${contents.subarray(512).filter((byte) => byte === 1).length}`,
    );
  }
  expect([...seen].sort()).toEqual(["0/0", "0/512", "512/0", "512/512"]);
});

test("a full disk fails after what fits; a failed sync loses what was unsynced; a flipped bit stays", async () => {
  const disk = new SimDisk();
  await disk.makeDirectory("/d");
  const file = await disk.open("/d/f", { create: true });
  disk.capacityBytes = 4;
  await expect(file.write([bytes("abcdef")], 0)).rejects.toMatchObject({ reason: "ENOSPC" });
  expect(text(disk, "/d/f")).toBe("abcd");
  disk.failNext("sync");
  await expect(file.sync()).rejects.toMatchObject({ reason: "EIO" });
  await file.sync();
  disk.flipBit("/d/f", 0);
  expect(text(disk, "/d/f")).toBe("`bcd");
});

test("the network refuses, resets before and after, and hangs, as configured", async () => {
  const clock = new VirtualClock();
  const network = new SimNetwork({ clock, random: new SeededRandom(1) });
  let acted = 0;
  network.serve("http://x.test", () => {
    acted += 1;
    return { status: 200, headers: {}, body: "ok" };
  });
  const call = async (): Promise<string> => {
    let result = "pending";
    const controller = new AbortController();
    network.transport({ method: "POST", url: "http://x.test/p", headers: {}, body: ["b"] }, controller.signal).then(
      ({ body }) => (result = body),
      (error: { reason: string }) => (result = error.reason),
    );
    await clock.advance(100);
    const seen = result;
    controller.abort();
    await clock.advance(1);
    return seen;
  };
  expect(await call()).toBe("ok");
  for (const [faults, result, acts] of [
    [{ refuse: 1 }, "refused", 0],
    [{ resetBefore: 1 }, "reset", 0],
    [{ resetAfter: 1 }, "reset", 1],
    [{ hang: 1 }, "pending", 1],
  ] as const) {
    acted = 0;
    network.faults = faults;
    expect([await call(), acted]).toEqual([result, acts]);
  }
});

test("the Segment emulator has the documented limits and dedupes for 24 hours", async () => {
  const clock = new VirtualClock();
  const emulator = new SegmentEmulator({ clock, writeKeys: ["k"] });
  const post = async (body: unknown, key = "k"): Promise<number> =>
    (
      await emulator.handle({
        method: "POST",
        path: "/v1/batch",
        headers: { authorization: `Basic ${btoa(`${key}:`)}` },
        body: bytes(JSON.stringify(body)),
      })
    ).status;
  const one = { type: "track", messageId: "a" };
  expect(await post({ batch: [one, one] })).toBe(200);
  expect([emulator.received, emulator.duplicates]).toEqual([1, 1]);
  await clock.advance(25 * 3_600_000);
  await post({ batch: [one] });
  expect(emulator.received).toBe(2);
  expect(await post({ batch: [one] }, "wrong")).toBe(401);
  expect(await post({ batch: [{ ...one, pad: "x".repeat(33_000) }] })).toBe(400);
  expect(await post({ batch: Array.from({ length: 20 }, () => ({ ...one, pad: "x".repeat(30_000) })) })).toBe(400);
  expect(await post({ batch: Array.from({ length: 2_501 }, () => ({ type: "page" })) })).toBe(200);
  expect(emulator.discarded).toBe(2_501);
  expect(await post([])).toBe(400);
});

test("free ports are others each time, none of them taken", async () => {
  const first = await freePort();
  const taken = await startServer(() => ({ status: 200, headers: {}, body: "" }), { port: first + 1 });
  onTestFinished(() => taken.close());
  const more = [await freePort(), await freePort()];
  expect(new Set([first, first + 1, ...more]).size).toBe(4);
});

test("a port that another process has asked for, and does not use yet, is not given again", async () => {
  const first = await freePort();
  const sign = createSocket("udp4").bind({ port: first + 1, address: "127.0.0.1", exclusive: true });
  onTestFinished(() => void sign.close());
  await once(sign, "listening");
  expect(await freePort()).not.toBe(first + 1);
});
