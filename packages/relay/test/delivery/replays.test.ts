/**
 * Replays beside live traffic, and the warning before retention takes what a lane needs, on a
 * virtual clock.
 */
import type { DiskRuntime } from "@waybill/core";
import { LaneState } from "@waybill/log";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SegmentEmulator, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const PART_MS = 20;

const CONFIG = resolveEnvironment("e", {
  sources: {},
  destinations: {
    emulator: {
      vendor: "segment",
      url: "http://emulator.test",
      writeKey: "k",
      timeout: 2_000,
      backoff: { base: 100, max: 5_000 },
      batch: { linger: 20, maxEvents: 10, maxBytes: 100_000 },
    },
  },
});

interface World {
  readonly clock: VirtualClock;
  readonly emulator: SegmentEmulator;
  readonly environment: Environment;
  append(count: number): Promise<void>;
  restart(): Promise<World>;
}

async function open(
  clock = new VirtualClock(),
  disk = new SimDisk(),
  emulator = new SegmentEmulator({ clock }),
  next = { id: 0 },
): Promise<World> {
  const random = new SeededRandom(7);
  const network = new SimNetwork({ clock, random, latencyMs: 5 });
  network.serve("http://emulator.test", emulator.handle);
  const runtime: DiskRuntime = { clock, random, disk, transport: network.transport };
  const ignore = (): void => undefined;
  const environment = await Environment.open({
    config: CONFIG,
    directory: "/data",
    runtime,
    dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
    observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
  });
  environment.start();
  return {
    clock,
    emulator,
    environment,
    async append(count) {
      for (let index = 0; index < count; index++) {
        const body = Buffer.from(`{"type":"track","messageId":"m-${next.id++}","userId":"u"}`);
        const ends = Uint32Array.of(body.length);
        await environment.log.append({ source: "s", receivedAtMs: clock.now(), metadata: "", body: [body], ends });
      }
    },
    async restart() {
      disk.killProcess();
      return open(clock, disk, emulator, next);
    },
  };
}

/** Time in small parts: code that awaits much needs many turns to come to rest. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let part = 0; part < ms; part += PART_MS) await clock.advance(PART_MS);
}

/** Until it is so; dead letters are read in turns of the real event loop. */
async function turns(clock: VirtualClock, isDone: () => boolean): Promise<void> {
  for (let turn = 0; turn < 50 && !isDone(); turn++) {
    await new Promise<void>((resume) => setImmediate(resume));
    await pass(clock, SECOND_MS);
  }
}

function idsIn(post: { readonly body: string } | undefined): readonly string[] {
  const { batch } = JSON.parse(post?.body ?? "") as { readonly batch: readonly { readonly messageId: string }[] };
  return batch.map(({ messageId }) => messageId);
}

/** Events that were refused; what comes next is taken. */
async function withDeadLetters(count: number): Promise<World> {
  const world = await open();
  world.emulator.refuse(() => true);
  await world.append(count);
  await pass(world.clock, MINUTE_MS);
  world.emulator.refuse(() => false);
  return world;
}

const all = { log: { from: 0, to: 100 } };

test("a replay keeps to its rate", async () => {
  const { clock, environment, append, emulator } = await open();
  await append(100);
  await pass(clock, MINUTE_MS);
  expect(emulator.received).toBe(100);
  const requests = emulator.requests;
  await environment.replays.begin("emulator", all, 20);
  await pass(clock, 2 * SECOND_MS);
  // Ten at once, then as many each half a second.
  expect(emulator.requests - requests).toBeGreaterThanOrEqual(4);
  expect(emulator.requests - requests).toBeLessThanOrEqual(5);
  await pass(clock, 4 * SECOND_MS);
  expect(environment.replays.views()).toMatchObject([{ state: "done", account: { delivered: 100, balanced: true } }]);
  // The emulator knew them all again: ids are unchanged.
  expect([emulator.received, emulator.duplicates]).toEqual([100, 100]);
});

test("what is rejected while dead letters are sent again is not a part of it", async () => {
  const { clock, environment, append, emulator } = await withDeadLetters(20);
  emulator.refuse(({ messageId }) => Number(String(messageId).slice(2)) >= 20);
  await environment.replays.begin("emulator", { deadLetters: {} }, 10);
  await append(5);
  await turns(clock, () => environment.replays.views()[0]?.state === "done");
  expect(environment.replays.views()).toMatchObject([
    { state: "done", account: { accepted: 20, delivered: 20, rejected: 0, balanced: true } },
  ]);
  expect(environment.destination("emulator")?.deadLetters.counts()).toMatchObject({ waiting: 5, retried: 20 });
});

test("two retries at once send each dead letter once, also when the relay dies amid them", async () => {
  const first = await withDeadLetters(40);
  const before = first.emulator.posts.length;
  for (const rate of [20, undefined]) await first.environment.replays.begin("emulator", { deadLetters: {} }, rate);
  await turns(first.clock, () => first.emulator.posts.length > before + 1);
  // What is on its way now has no answer.
  first.emulator.fail({ kind: "resetAfter", forMs: 5 * SECOND_MS });
  await turns(first.clock, () => first.emulator.posts.length > before + 2);
  const second = await first.restart();
  second.emulator.recover();
  await turns(second.clock, () => second.environment.replays.views().every(({ state }) => state === "done"));
  const batches = new Set(second.emulator.posts.slice(before).map((post) => idsIn(post).join()));
  const ids = [...batches].flatMap((batch) => batch.split(","));
  expect(ids.length).toBe(40);
  expect(new Set(ids).size).toBe(40);
  const accounts = second.environment.replays.views().map(({ account }) => account);
  expect(accounts.map(({ balanced }) => balanced)).toEqual([true, true]);
  expect(accounts.reduce((sum, { delivered }) => sum + delivered, 0)).toBe(40);
  expect(accounts.every(({ delivered }) => delivered > 0)).toBe(true);
});

test("a retry that is ended amid a batch holds no other one up, nor after a restart", async () => {
  const first = await withDeadLetters(20);
  first.emulator.fail({ kind: "resetAfter", forMs: MINUTE_MS });
  const { id } = await first.environment.replays.begin("emulator", { deadLetters: {} }, undefined);
  const before = first.emulator.posts.length;
  await turns(first.clock, () => first.emulator.posts.length > before);
  expect(await first.environment.replays.cancel(id)).toBe(true);
  const second = await first.restart();
  second.emulator.recover();
  const other = await second.environment.replays.begin("emulator", { deadLetters: {} }, undefined);
  const stateOf = (): string | undefined =>
    second.environment.replays.views().find((one) => one.id === other.id)?.state;
  await turns(second.clock, () => stateOf() === "done");
  expect(stateOf()).toBe("done");
});

test("a retry that is ended while the vendor has a batch of it learns the answer, and no other one sends it", async () => {
  const { clock, environment, emulator } = await withDeadLetters(20);
  const before = emulator.posts.length;
  emulator.fail({ kind: "slow", delayMs: SECOND_MS, times: 1 });
  for (let retries = 0; retries < 2; retries++)
    await environment.replays.begin("emulator", { deadLetters: {} }, undefined);
  await turns(clock, () => emulator.posts.length > before);
  const cancelled = environment.replays.cancel(environment.replays.views()[0]?.id ?? "");
  await turns(clock, () => environment.replays.views()[1]?.state === "done");
  expect(await cancelled).toBe(true);
  const ids = emulator.posts.slice(before).flatMap(idsIn);
  expect([ids.length, new Set(ids).size]).toEqual([20, 20]);
  expect(environment.replays.views()).toMatchObject([
    { state: "cancelled", account: { delivered: 10 } },
    { state: "done", account: { delivered: 10 } },
  ]);
});

/** A retry whose first batch the vendor has taken, and not answered yet. */
async function unanswered(): Promise<World & { readonly before: number }> {
  const world = await withDeadLetters(20);
  const before = world.emulator.posts.length;
  world.emulator.fail({ kind: "slow", delayMs: SECOND_MS, times: 1 });
  await world.environment.replays.begin("emulator", { deadLetters: {} }, undefined);
  await turns(world.clock, () => world.emulator.posts.length > before);
  return { ...world, before };
}

/** Until the retry is over: each dead letter was sent once, and is known as delivered. */
async function expectAllRetried({ clock, environment, emulator }: World, before: number): Promise<void> {
  await turns(clock, () => environment.replays.views()[0]?.state === "done");
  const ids = emulator.posts.slice(before).flatMap(idsIn);
  expect([ids.length, new Set(ids).size]).toEqual([20, 20]);
  expect(environment.replays.views()).toMatchObject([{ account: { delivered: 20, balanced: true } }]);
  expect(environment.destination("emulator")?.deadLetters.counts()).toMatchObject({ waiting: 0, retried: 20 });
}

test("what a retry has delivered is marked, also where its destination is removed before the answer", async () => {
  const world = await unanswered();
  const { clock, environment, before } = world;
  const removed = environment.reconfigure({ ...CONFIG, destinations: [] }, 5 * SECOND_MS);
  await pass(clock, 10 * SECOND_MS);
  await removed;
  expect(environment.destination("emulator")).toBeUndefined();
  await environment.reconfigure(CONFIG, 0);
  await expectAllRetried(world, before);
});

test("a relay that stops waits for the answer to a retry, and marks what was delivered", async () => {
  const { clock, environment, before, restart } = await unanswered();
  const stopped = environment.close(5 * SECOND_MS);
  await pass(clock, 10 * SECOND_MS);
  await stopped;
  await expectAllRetried(await restart(), before);
});

test("what may have been sent goes again as it was, though an operator has discarded some of it since", async () => {
  const first = await withDeadLetters(15);
  // The vendor takes it, and the relay never hears of it.
  first.emulator.fail({ kind: "resetAfter", forMs: 20 * SECOND_MS });
  await first.environment.replays.begin("emulator", { deadLetters: {} }, undefined);
  await turns(first.clock, () => first.emulator.received > 0);
  const [sent] = first.emulator.posts.slice(-1);
  await first.environment.destination("emulator")?.deadLetters.mark([3, 12], "discarded");
  const requests = first.emulator.posts.length;
  const second = await first.restart();
  second.emulator.recover();
  await turns(second.clock, () => second.environment.replays.views()[0]?.state === "done");
  // The first process is not there any more, but its timers are.
  const posts = new Set(second.emulator.posts.slice(requests).map((post) => idsIn(post).join()));
  expect([...posts]).toEqual([idsIn(sent).join(), "m-10,m-11,m-13,m-14"]);
  expect(second.environment.replays.views()).toMatchObject([
    { account: { delivered: 14, expired: 1, balanced: true } },
  ]);
  const counts = second.environment.destination("emulator")?.deadLetters.counts();
  expect(counts).toMatchObject({ waiting: 0, retried: 14, discarded: 1 });
});

test("a replay gives way to live traffic and waits where the lane waits", async () => {
  const { clock, environment, append, emulator } = await open();
  await append(100);
  await pass(clock, MINUTE_MS);
  emulator.fail({ kind: "status", status: 503, forMs: 20 * SECOND_MS });
  await append(50);
  await pass(clock, SECOND_MS);
  await environment.replays.begin("emulator", all, undefined);
  await pass(clock, 10 * SECOND_MS);
  expect(emulator.duplicates).toBe(0);
  await pass(clock, MINUTE_MS);
  const live = emulator.events.map(({ messageId }) => messageId);
  expect(live).toEqual(Array.from({ length: 150 }, (_, index) => `m-${index}`));
  expect(emulator.duplicates).toBe(100);
  expect(environment.lanes(clock.now())[0]?.account).toMatchObject({ accepted: 150, delivered: 150, balanced: true });
});

test("of an environment 64 replays may be going, however many are begun at once", async () => {
  const { clock, environment, append } = await open();
  await append(30);
  await pass(clock, SECOND_MS);
  const begun = await Promise.allSettled(
    Array.from({ length: 100 }, () => environment.replays.begin("emulator", all, 0.001)),
  );
  const refused = begun.flatMap((one) => (one.status === "rejected" ? [String(one.reason)] : []));
  expect([environment.replays.views().length, refused.length]).toEqual([64, 36]);
  expect(refused[0]).toContain("There are 64 replays that are not over; at most 64 may be");
  const [first] = environment.replays.views();
  const cancelled = environment.replays.cancel(first?.id ?? "");
  await pass(clock, SECOND_MS);
  expect(await cancelled).toBe(true);
  await environment.replays.begin("emulator", all, undefined);
  await expect(environment.replays.begin("emulator", all, undefined)).rejects.toThrow("at most 64");
});

test("a replay goes on after a kill, and a cancelled one does not", async () => {
  const first = await open();
  await first.append(100);
  await pass(first.clock, MINUTE_MS);
  await first.environment.replays.begin("emulator", all, 20);
  const { id } = await first.environment.replays.begin("emulator", all, 20);
  await pass(first.clock, SECOND_MS);
  const cancelled = first.environment.replays.cancel(id);
  await pass(first.clock, SECOND_MS);
  expect(await cancelled).toBe(true);
  expect(await first.environment.replays.cancel("nobody")).toBe(false);
  const second = await first.restart();
  await pass(second.clock, MINUTE_MS);
  const views = second.environment.replays.views();
  expect(views.find((view) => view.id !== id)).toMatchObject({
    state: "done",
    account: { delivered: 100, balanced: true },
  });
  expect(views.find((view) => view.id === id)).toMatchObject({ state: "cancelled" });
  expect(views.find((view) => view.id === id)?.account.pending).toBeGreaterThan(0);
  await second.environment.retain({ maxAgeMs: 1, maxBytes: 1e9, hardMaxBytes: 1e9 }, second.clock.now() + MINUTE_MS);
  expect(second.environment.replays.views()).toEqual([]);
});

test("a lane that falls behind says how long it is until retention takes its first event", async () => {
  const { clock, environment, append, emulator } = await open();
  const hardMaxBytes = 1_000_000;
  emulator.fail({ kind: "status", status: 503 });
  for (let second = 0; second < 120; second++) {
    await append(2);
    await environment.sync();
    await pass(clock, SECOND_MS);
  }
  const [lane] = environment.lanes(clock.now(), hardMaxBytes);
  const bytesPerSecond = (lane?.pendingBytes ?? 0) / 120;
  const expectedMs = ((hardMaxBytes - (lane?.pendingBytes ?? 0)) / bytesPerSecond) * SECOND_MS;
  expect((lane?.timeUntilLossMs ?? 0) / expectedMs).toBeCloseTo(1, 1);
  emulator.recover();
  await pass(clock, MINUTE_MS);
  expect(environment.lanes(clock.now(), hardMaxBytes)[0]).not.toHaveProperty("timeUntilLossMs");
});

test("the state of something else among the replays harms nothing", async () => {
  const disk = new SimDisk();
  await (await LaneState.open(disk, "/data/replays", "lane", () => ({ base: 0, position: 3 }))).close();
  const { clock, environment, append } = await open(new VirtualClock(), disk);
  expect(environment.replays.views()).toEqual([]);
  await append(1);
  await pass(clock, SECOND_MS);
  expect((await environment.trace("m-0")).events).toMatchObject([{ destinations: [{ outcome: "delivered" }] }]);
});
