/**
 * Hard retention takes events that a lane or a replay still needs: the ledgers have it at once, and
 * it is reported.
 */
import type { DiskRuntime } from "@waybill/core";
import { defer } from "@waybill/node";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SegmentEmulator, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { HASH_WORDS } from "../../src/intake/id-window.ts";
import { scopeOf } from "../../src/intake/scope.ts";

const SECOND_MS = 1_000;
const PART_MS = 20;
const NEVER = Number.POSITIVE_INFINITY;
const HARD = { maxAgeMs: NEVER, maxBytes: NEVER, hardMaxBytes: 4_000 };

interface World {
  readonly clock: VirtualClock;
  readonly disk: SimDisk;
  readonly emulator: SegmentEmulator;
  readonly environment: Environment;
  readonly warnings: string[];
  append(count: number, event?: (number: number) => string, padBytes?: number): Promise<void>;
  pass(ms: number): Promise<void>;
  retain(limits?: typeof HARD): Promise<number>;
}

async function open(
  disk = new SimDisk(),
  clock = new VirtualClock(),
  emulator = new SegmentEmulator({ clock, limits: "none" }),
): Promise<World> {
  const random = new SeededRandom(7);
  const network = new SimNetwork({ clock, random, latencyMs: 5 });
  network.serve("http://emulator.test", emulator.handle);
  const runtime: DiskRuntime = { clock, random, disk, transport: network.transport };
  const ignore = (): void => undefined;
  const warnings: string[] = [];
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
        },
      },
    }),
    directory: "/data",
    runtime,
    dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
    observer: {
      attempted: ignore,
      modeChanged: ignore,
      stateNotWritten: ignore,
      expired: ({ events, destination }) => warnings.push(`retention took ${events} events from ${destination}`),
    },
    report: (code, fields) => warnings.push(`${code} ${JSON.stringify(fields)}`),
    segmentMaxBytes: 2_000,
  });
  environment.start();
  let next = environment.log.head;
  return {
    clock,
    disk,
    emulator,
    environment,
    warnings,
    async append(count, event = () => "E", padBytes = 0) {
      for (let index = 0; index < count; index++, next++) {
        const fields = { type: "track", event: event(next), messageId: `m-${next}`, pad: "x".repeat(padBytes) };
        const body = Buffer.from(JSON.stringify(fields));
        const ends = Uint32Array.of(body.length);
        await environment.log.append({ source: "s", receivedAtMs: clock.now(), metadata: "", body: [body], ends });
      }
    },
    // In small parts: code that awaits much needs many turns to come to rest.
    async pass(ms) {
      for (let part = 0; part < ms; part += PART_MS) await clock.advance(PART_MS);
    },
    retain: (limits = HARD) => environment.retain(limits, clock.now()),
  };
}

const account = ({ environment, clock }: World): object | undefined => environment.lanes(clock.now())[0]?.account;

test("of 900 events of a paused lane, those that are gone are expired at once, after a restart too", async () => {
  const world = await open();
  const { environment, warnings } = world;
  environment.destination("emulator")?.pause();
  await world.append(900);
  await world.retain();
  const { first, head } = environment.log;
  expect(first).toBeGreaterThan(600);
  const expected = { accepted: 900, delivered: 0, expired: first, pending: head - first, balanced: true };
  expect(account(world)).toEqual({ ...expected, rejected: 0, dropped: 0, droppedByReason: {} });
  expect(environment.lanes(world.clock.now())[0]).toMatchObject({ mode: "paused" });
  expect(warnings.join()).toMatch(/retention took \d+ events from emulator/);
  await environment.sync();
  world.disk.killProcess();
  const again = await open(world.disk, world.clock, world.emulator);
  expect(account(again)).toMatchObject({ accepted: 900, expired: first, pending: head - first, balanced: true });
  await again.pass(30 * SECOND_MS);
  expect(account(again)).toMatchObject({ delivered: head - first, expired: first, pending: 0, balanced: true });
  expect(again.emulator.received).toBe(head - first);
});

test("an event that retention took is known as a duplicate after a restart", async () => {
  const before = await open();
  await before.append(300);
  before.disk.killProcess();
  const world = await open(before.disk, before.clock, before.emulator);
  await world.retain();
  const { first } = world.environment.log;
  expect(first).toBeGreaterThan(100);
  world.disk.killProcess();
  const { environment } = await open(world.disk, world.clock, world.emulator);
  const { window } = environment.ids;
  const hashes = { scope: scopeOf("e", "s"), words: new Uint32Array(HASH_WORDS) };
  for (const position of [0, first - 1, first]) {
    const id = Buffer.from(`m-${position}`);
    window.hash(id, { idStart: 0, idEnd: id.length }, hashes, 0);
    expect(window.positionOf(hashes, 0)).toBe(position);
  }
});

test.each([
  ["waits for a vendor that is down", 503],
  ["is halted by a refused credential", 401],
])("a lane that %s has its loss at once, and nothing twice", async (_name, status) => {
  const world = await open();
  const { environment, emulator } = world;
  emulator.fail({ kind: "status", status });
  await world.append(20);
  await world.pass(SECOND_MS);
  for (let round = 0; round < 10; round++) {
    await world.append(30);
    await world.retain();
    expect(account(world)).toMatchObject({ accepted: environment.log.head, balanced: true });
    expect((account(world) as { pending: number }).pending).toBeLessThanOrEqual(
      environment.log.head - environment.log.first + 10,
    );
  }
  emulator.recover();
  await world.pass(120 * SECOND_MS);
  const ledger = account(world) as { readonly delivered: number; readonly expired: number };
  expect(ledger).toMatchObject({ accepted: 320, pending: 0, balanced: true });
  expect(emulator.received).toBe(ledger.delivered);
  expect(ledger.expired).toBe(320 - emulator.received);
});

test("a replay of chosen events has in its ledger which of them are gone, while it waits and when it goes on", async () => {
  const world = await open();
  const { environment, emulator, warnings } = world;
  await world.append(300, (number) => (number % 3 === 0 ? "Chosen" : "Other"));
  await world.pass(60 * SECOND_MS);
  expect(emulator.received).toBe(300);
  emulator.fail({ kind: "status", status: 503 });
  await environment.replays.begin("emulator", { log: { from: 0, to: 300, event: "Chosen" } }, undefined);
  await world.pass(5 * SECOND_MS);
  await world.retain();
  const { first } = environment.log;
  const [view] = environment.replays.views();
  // The first ten are on their way.
  const expired = Math.ceil(first / 3) - 10;
  expect(expired).toBeGreaterThan(10);
  expect(view?.account).toMatchObject({ accepted: 100, delivered: 0, expired, pending: 100 - expired, balanced: true });
  expect(warnings.join()).toContain(`replay_expired {"environment":"e","events":${expired}}`);
  const duplicates = emulator.duplicates;
  emulator.recover();
  await world.pass(60 * SECOND_MS);
  expect(environment.replays.views()).toMatchObject([
    { state: "done", account: { delivered: 100 - expired, expired, pending: 0, balanced: true } },
  ]);
  expect(emulator.duplicates - duplicates).toBe(100 - expired);
});

test("a replay of dead letters has in its ledger which of them are gone", { timeout: 60_000 }, async () => {
  const world = await open();
  const { environment, emulator, clock } = world;
  emulator.fail({ kind: "status", status: 400 });
  // Two segments of dead letters have 16 MiB.
  await world.append(600, undefined, 30_000);
  await world.pass(60 * SECOND_MS);
  expect(environment.lanes(clock.now())[0]).toMatchObject({
    account: { rejected: 600 },
    deadLetters: { waiting: 600 },
  });
  emulator.recover();
  emulator.fail({ kind: "status", status: 503 });
  await environment.replays.begin("emulator", { deadLetters: {} }, undefined);
  await world.pass(5 * SECOND_MS);
  await world.retain({ maxAgeMs: NEVER, maxBytes: 1, hardMaxBytes: 1 });
  const gone = environment.destination("emulator")?.deadLetters.log.first ?? 0;
  expect(gone).toBeGreaterThan(10);
  const [view] = environment.replays.views();
  expect(view?.account).toMatchObject({ accepted: 600, balanced: true });
  const expired = view?.account.expired ?? 0;
  // All that are gone but what is on its way.
  expect(gone - expired).toBeLessThanOrEqual(10);
  expect(view?.account.pending).toBe(600 - expired);
  emulator.recover();
  for (let turn = 0; turn < 100 && environment.replays.views()[0]?.state !== "done"; turn++) {
    await world.pass(SECOND_MS);
    // They are read in turns of the event loop.
    await new Promise<void>((resolve) => defer(resolve));
  }
  expect(environment.replays.views()).toMatchObject([
    { state: "done", account: { delivered: 600 - expired, expired, pending: 0, balanced: true } },
  ]);
});

test("a lane whose cursor cannot be synced keeps its events from soft retention, and nothing ends", async () => {
  const world = await open();
  const { environment, disk, warnings, clock } = world;
  await world.append(300);
  await world.pass(30 * SECOND_MS);
  disk.onOperation = (operation, path) => {
    if (operation === "sync" && path.includes("/lanes/")) throw new Error("EIO");
  };
  await world.append(1);
  await world.pass(SECOND_MS);
  await environment.sync();
  await environment.sync();
  expect(warnings.filter((one) => one.startsWith("cursor_not_durable "))).toHaveLength(1);
  expect(await environment.retain({ maxAgeMs: 0, maxBytes: 0, hardMaxBytes: NEVER }, clock.now() + 1)).toBe(0);
  expect(await world.retain()).toBeGreaterThan(0);
  disk.onOperation = undefined;
  expect(await environment.retain({ maxAgeMs: 0, maxBytes: 0, hardMaxBytes: NEVER }, clock.now() + 1)).toBeGreaterThan(
    0,
  );
});

test.each(["remove", "list", "syncDirectory", "open", "write", "sync"] as const)(
  "maintenance never rejects when the disk refuses to %s",
  async (operation) => {
    const world = await open();
    await world.append(200);
    await world.pass(20 * SECOND_MS);
    await world.environment.replays.begin("emulator", { log: { from: 0, to: 10 } }, undefined);
    await world.pass(20 * SECOND_MS);
    world.disk.onOperation = (one) => {
      if (one === operation) throw new Error("EIO");
    };
    const later = world.clock.now() + 1_000_000;
    await world.environment.sync();
    await world.environment.retain({ maxAgeMs: 1, maxBytes: 1, hardMaxBytes: 1 }, later);
    world.disk.onOperation = undefined;
    await world.environment.retain({ maxAgeMs: 1, maxBytes: 1, hardMaxBytes: 1 }, later);
    expect(account(world)).toMatchObject({ accepted: 200, balanced: true });
    world.disk.onOperation = () => {
      throw new Error("EIO");
    };
    await world.environment.close(1_000);
  },
);
