/** `retry.maxAge`: what was received too long ago is not sent any more, event by event. */
import type { DiskRuntime } from "@waybill/core";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SegmentEmulator, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const PART_MS = 20;

interface World {
  readonly clock: VirtualClock;
  readonly emulator: SegmentEmulator;
  readonly environment: Environment;
  /** Ids in the order in which the vendor got them. */
  readonly ids: () => readonly unknown[];
  /** Ids of the dead letters, and each reason once. */
  readonly dead: () => Promise<{ readonly ids: readonly unknown[]; readonly reasons: readonly string[] }>;
  append(ids: readonly string[], receivedAtMs?: number): Promise<void>;
  pass(ms: number): Promise<void>;
  account(): object | undefined;
}

async function open(more: Readonly<Record<string, unknown>> = { retry: { maxAge: MINUTE_MS } }): Promise<World> {
  const clock = new VirtualClock();
  const random = new SeededRandom(7);
  const emulator = new SegmentEmulator({ clock, limits: "none" });
  const network = new SimNetwork({ clock, random, latencyMs: 5 });
  network.serve("http://emulator.test", emulator.handle);
  const runtime: DiskRuntime = { clock, random, disk: new SimDisk(), transport: network.transport };
  const ignore = (): void => undefined;
  const environment = await Environment.open({
    config: resolveEnvironment("e", {
      sources: {},
      destinations: {
        emulator: {
          vendor: "segment",
          url: "http://emulator.test",
          writeKey: "k",
          timeout: 2_000,
          backoff: { base: 100, max: 5_000 },
          batch: { linger: 20, maxEvents: 10 },
          ...more,
        },
      },
    } as never),
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
    ids: () => emulator.events.map(({ messageId }) => messageId),
    async dead() {
      const dead: [unknown, string][] = [];
      for await (const { event, reason } of environment.destination("emulator")?.deadLetters.list() ?? [])
        dead.push([(JSON.parse(Buffer.from(event).toString()) as Record<string, unknown>)["messageId"], reason]);
      return { ids: dead.map(([id]) => id), reasons: [...new Set(dead.map(([, reason]) => reason))] };
    },
    async append(ids, receivedAtMs = clock.now()) {
      const texts = ids.map((messageId) => JSON.stringify({ type: "track", event: "E", userId: "u", messageId }));
      let end = -1;
      const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
      const body = [Buffer.from(texts.join(","))];
      await environment.log.append({ source: "s", receivedAtMs, metadata: "", body, ends });
    },
    async pass(ms) {
      for (let part = 0; part < ms; part += PART_MS) await clock.advance(PART_MS);
    },
    account: () => environment.lanes(clock.now())[0]?.account,
  };
}

const ids = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => `m-${from + index}`);
const TOO_OLD = ["too_old: it was received longer ago than retry.maxAge"];

test("what becomes too old in an outage is not sent when the vendor recovers; what is younger is", async () => {
  const world = await open();
  world.emulator.fail({ kind: "status", status: 503 });
  await world.append(ids(25));
  await world.pass(30 * SECOND_MS);
  await world.append(ids(5, 25));
  expect(world.account()).toMatchObject({ rejected: 0, pending: 30 });
  await world.pass(40 * SECOND_MS);
  world.emulator.recover();
  await world.pass(10 * SECOND_MS);
  expect(world.ids()).toEqual(ids(5, 25));
  expect(await world.dead()).toEqual({ ids: ids(25), reasons: TOO_OLD });
  expect(world.account()).toMatchObject({ delivered: 5, rejected: 25, pending: 0, balanced: true });
});

test("without it nothing is ever too old", async () => {
  const world = await open({});
  world.emulator.fail({ kind: "status", status: 503, forMs: 90 * MINUTE_MS });
  await world.append(ids(5), 0);
  await world.pass(SECOND_MS);
  await world.clock.advance(91 * MINUTE_MS);
  expect(world.ids()).toEqual(ids(5));
});

test("a batch of which a part is too old is sent without it, whatever lies in between", async () => {
  // As they are, and as translations.
  for (const more of [{}, { redact: ["context.ip"] }]) {
    const world = await open({ retry: { maxAge: MINUTE_MS }, ...more });
    world.environment.destination("emulator")?.pause();
    const old = world.clock.now() - MINUTE_MS - 1;
    await world.append(ids(2), old);
    await world.append(ids(2, 2));
    // The clock was set meanwhile.
    await world.append(ids(1, 4), old);
    await world.append(ids(2, 5));
    world.environment.destination("emulator")?.resume();
    await world.pass(SECOND_MS);
    expect(world.ids()).toEqual(["m-2", "m-3", "m-5", "m-6"]);
    expect(await world.dead()).toEqual({ ids: ["m-0", "m-1", "m-4"], reasons: TOO_OLD });
    expect(world.account()).toMatchObject({ delivered: 4, rejected: 3, pending: 0, balanced: true });
  }
});

test("what waits for a rate limit, the vendor's or one's own, may become too old there", async () => {
  const own = await open({
    retry: { maxAge: MINUTE_MS },
    maxRequestsPerSecond: 0.1,
    batch: { linger: 20, maxEvents: 1 },
  });
  await own.append(ids(12));
  await own.pass(3 * MINUTE_MS);
  const { delivered } = own.account() as { readonly delivered: number };
  expect(delivered).toBeGreaterThanOrEqual(6);
  expect(delivered).toBeLessThanOrEqual(7);
  expect(own.ids()).toEqual(ids(delivered));
  expect(await own.dead()).toEqual({ ids: ids(12 - delivered, delivered), reasons: TOO_OLD });
  const vendors = await open();
  vendors.emulator.fail({ kind: "status", status: 429, retryAfter: "90", times: 1 });
  await vendors.append(ids(5));
  await vendors.pass(2 * MINUTE_MS);
  expect(vendors.emulator.requests).toBe(1);
  expect(await vendors.dead()).toEqual({ ids: ids(5), reasons: TOO_OLD });
});

test("a halted lane that is resumed late gives up what is too old and sends the rest", async () => {
  const world = await open();
  world.emulator.fail({ kind: "status", status: 401 });
  await world.append(ids(3));
  await world.pass(20 * SECOND_MS);
  expect(world.environment.lanes(world.clock.now())[0]).toMatchObject({ mode: "halted" });
  await world.append(ids(3, 3));
  await world.pass(50 * SECOND_MS);
  world.emulator.recover();
  world.environment.destination("emulator")?.resume();
  await world.pass(SECOND_MS);
  expect(world.ids()).toEqual(ids(3, 3));
  expect(await world.dead()).toEqual({ ids: ids(3), reasons: TOO_OLD });
  expect(world.account()).toMatchObject({ delivered: 3, rejected: 3, pending: 0, balanced: true });
});

test("a replay and a dead letter that is sent again are somebody's wish, however old", async () => {
  const world = await open();
  await world.append(ids(2));
  await world.append(ids(2, 2), world.clock.now() - 2 * MINUTE_MS);
  await world.pass(2 * MINUTE_MS);
  expect(world.ids()).toEqual(ids(2));
  await world.environment.replays.begin("emulator", { deadLetters: { state: "waiting" } }, undefined);
  await world.pass(5 * SECOND_MS);
  expect(world.ids()).toEqual(ids(4));
  await world.environment.replays.begin("emulator", { log: { from: 0, to: 4 } }, undefined);
  await world.pass(5 * SECOND_MS);
  expect(world.emulator.duplicates).toBe(4);
});
