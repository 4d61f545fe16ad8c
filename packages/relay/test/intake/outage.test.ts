/**
 * A destination's troubles on a virtual clock: nothing lost, nothing out of order, the other
 * destination unaffected.
 */
import type { DiskRuntime } from "@waybill/core";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import {
  type EmulatorFailure,
  SeededRandom,
  SegmentEmulator,
  SimDisk,
  SimNetwork,
  VirtualClock,
} from "@waybill/testing";
import { expect, test } from "vitest";
import type { DestinationConfig } from "../../src/config/types.ts";

interface World {
  readonly clock: VirtualClock;
  readonly environment: Environment;
  readonly emulators: Readonly<Record<"a" | "b", SegmentEmulator>>;
  append(count: number): Promise<void>;
}

async function setUp(): Promise<World> {
  const clock = new VirtualClock();
  const random = new SeededRandom(7);
  const network = new SimNetwork({ clock, random });
  const emulators = { a: new SegmentEmulator({ clock }), b: new SegmentEmulator({ clock }) };
  network.serve("http://a.test", emulators.a.handle);
  network.serve("http://b.test", emulators.b.handle);
  const runtime: DiskRuntime = { clock, random, disk: new SimDisk(), transport: network.transport };
  const ignore = (): void => undefined;
  const environment = await Environment.open({
    config: { name: "e", sources: [], destinations: [destination("a"), destination("b")] },
    directory: "/data",
    runtime,
    dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
    observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
  });
  environment.start();
  let next = 0;
  return {
    clock,
    environment,
    emulators,
    async append(count) {
      for (let index = 0; index < count; index++) {
        const body = Buffer.from(`{"type":"track","messageId":"m-${next++}","userId":"u"}`);
        await environment.log.append({
          source: "s",
          receivedAtMs: clock.now(),
          metadata: "",
          body: [body],
          ends: Uint32Array.of(body.length),
        });
      }
    },
  };
}

function destination(name: string): DestinationConfig {
  const { destinations } = resolveEnvironment("e", {
    sources: {},
    destinations: {
      [name]: {
        vendor: "segment",
        url: `http://${name}.test`,
        writeKey: "k",
        timeout: 5_000,
        batch: { linger: 10, maxEvents: 10, maxBytes: 100_000 },
      },
    },
  });
  return destinations[0] as DestinationConfig;
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `m-${index}`);

test.each<[string, EmulatorFailure]>([
  ["503 for 30 s", { kind: "status", status: 503, forMs: 30_000 }],
  ["429 with Retry-After for 30 s", { kind: "status", status: 429, retryAfter: "3", forMs: 30_000 }],
  ["resets before acting", { kind: "reset", times: 7 }],
  ["resets after acting", { kind: "resetAfter", times: 7 }],
  ["hangs for 30 s", { kind: "hang", forMs: 30_000 }],
  ["answers slowly", { kind: "slow", delayMs: 4_000, forMs: 30_000 }],
])("%s: nothing is lost or out of order, the other destination is not delayed", async (_name, failure) => {
  const { clock, environment, emulators, append } = await setUp();
  emulators.a.fail(failure);
  for (let step = 0; step < 20; step++) {
    await append(5);
    await clock.advance(100);
  }
  expect(emulators.b.events.map(({ messageId }) => messageId)).toEqual(ids(100));
  expect(emulators.a.received).toBeLessThan(100);
  await clock.until(() => emulators.a.received === 100);
  await clock.advance(1_000);
  expect(emulators.a.events.map(({ messageId }) => messageId)).toEqual(ids(100));
  for (const { account } of environment.lanes(clock.now()))
    expect(account).toMatchObject({ accepted: 100, delivered: 100, balanced: true });
});

test("a backoff never waits longer than 60 s unless the vendor asks for more", async () => {
  const { clock, emulators, append } = await setUp();
  emulators.a.fail({ kind: "status", status: 503, forMs: 4 * 3_600_000 });
  await append(1);
  let requests = emulators.a.requests;
  let quietMs = 0;
  for (let second = 0; second < 3_600; second++) {
    await clock.advance(1_000);
    quietMs = emulators.a.requests === requests ? quietMs + 1_000 : 0;
    requests = emulators.a.requests;
    expect(quietMs).toBeLessThanOrEqual(61_000);
  }
  emulators.a.recover();
  emulators.a.fail({ kind: "status", status: 429, retryAfter: "300", times: 1 });
  await clock.until(() => emulators.a.requests > requests);
  const asked = emulators.a.requests;
  await clock.advance(299_000);
  expect(emulators.a.requests).toBe(asked);
  await clock.advance(5_000);
  expect(emulators.a.received).toBe(1);
});

test("401 halts the lane; it probes now and then, and goes on when the key is taken again", async () => {
  const { clock, environment, emulators, append } = await setUp();
  emulators.a.rotate(["another"]);
  await append(25);
  await clock.advance(1_000);
  expect(environment.lanes(clock.now())[0]).toMatchObject({ mode: "halted", account: { pending: 25, rejected: 0 } });
  const requests = emulators.a.requests;
  await clock.advance(120_000);
  expect(emulators.a.requests - requests).toBeGreaterThan(1);
  expect(emulators.a.requests - requests).toBeLessThan(10);
  emulators.a.rotate(["k"]);
  await clock.advance(60_000);
  expect(emulators.a.events.map(({ messageId }) => messageId)).toEqual(ids(25));
});

test("a full disk refuses new events and delivers old ones; both resume by themselves", async () => {
  const { clock, environment, emulators, append } = await setUp();
  await append(10);
  const disk = (environment as unknown as { log: { disk: SimDisk } }).log.disk;
  disk.capacityBytes = disk.usedBytes;
  await expect(append(1)).rejects.toMatchObject({ code: "WAYBILL_LOG_FULL" });
  expect(environment.component()).toMatchObject({ ready: false });
  await clock.advance(1_000);
  expect(emulators.a.received).toBe(10);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await append(1);
  await clock.advance(1_000);
  expect(emulators.a.received).toBe(11);
  expect(environment.component()).toMatchObject({ ready: true });
});

test("a disk that is full at the start, or later, is unready before a request finds out, and ready again without one", async () => {
  const { clock, environment, emulators, append } = await setUp();
  await append(1);
  const disk = (environment as unknown as { log: { disk: SimDisk } }).log.disk;
  disk.capacityBytes = disk.usedBytes;
  // As a start does.
  environment.start();
  await clock.advance(1);
  expect(environment.component()).toMatchObject({ ready: false });
  await clock.advance(30_000);
  expect(environment.component()).toMatchObject({ ready: false });
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  await clock.advance(2_000);
  expect(environment.component()).toMatchObject({ ready: true });
  expect(environment.log.head).toBe(1);
  expect(emulators.a.received).toBe(1);
});
