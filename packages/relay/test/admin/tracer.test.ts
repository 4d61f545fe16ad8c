/** A trace of an id that senders use for everything: bounded, and true of each event. */
import type { DiskRuntime } from "@waybill/core";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const PART_MS = 20;

interface World {
  readonly disk: SimDisk;
  readonly environment: Environment;
  append(texts: readonly string[]): Promise<void>;
  pass(ms: number): Promise<void>;
}

/** The vendor refuses every event whose number is odd, and is down from event 40 on. */
async function open(): Promise<World> {
  const clock = new VirtualClock();
  const random = new SeededRandom(7);
  const network = new SimNetwork({ clock, random, latencyMs: 5 });
  network.serve("http://vendor.test", async ({ body }) => {
    const numbers = [
      ...Buffer.from(body)
        .toString()
        .matchAll(/"number":(\d+)/g),
    ].map((match) => Number(match[1]));
    const status = numbers.some((one) => one >= 40) ? 503 : numbers.some((one) => one % 2 === 1) ? 400 : 200;
    return { status, headers: {}, body: "{}" };
  });
  const disk = new SimDisk();
  const runtime: DiskRuntime = { clock, random, disk, transport: network.transport };
  const ignore = (): void => undefined;
  const environment = await Environment.open({
    config: resolveEnvironment("e", {
      sources: {},
      destinations: {
        vendor: {
          vendor: "segment",
          url: "http://vendor.test",
          writeKey: "k",
          batch: { linger: 20, maxEvents: 10 },
          backoff: { base: 100, max: 100 },
        },
      },
    }),
    directory: "/data",
    runtime,
    dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
    observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
  });
  environment.start();
  return {
    disk,
    environment,
    async append(texts) {
      let end = -1;
      const ends = Uint32Array.from(texts, (text) => (end += 1 + Buffer.byteLength(text)));
      const body = [Buffer.from(texts.join(","))];
      await environment.log.append({ source: "s", receivedAtMs: clock.now(), metadata: "", body, ends });
    },
    async pass(ms) {
      for (let part = 0; part < ms; part += PART_MS) await clock.advance(PART_MS);
    },
  };
}

const event = (number: number, more: object = {}): string =>
  JSON.stringify({ type: "track", messageId: "often", event: "E", userId: "u", number, ...more });

test("each event of a frequent id has its own outcome, attempts and dead letter", async () => {
  const { environment, append, pass } = await open();
  await append(Array.from({ length: 60 }, (_, number) => event(number)));
  await pass(5_000);
  await environment.replays.begin("vendor", { log: { from: 0, to: 3 } }, undefined);
  await pass(60_000);
  const { events, isCut } = await environment.trace("often");
  expect(isCut).toBe(false);
  expect(events.map(({ position }) => position)).toEqual(Array.from({ length: 60 }, (_, number) => number));
  for (const { position, destinations } of events) {
    const [vendor] = destinations;
    const outcome = position >= 40 ? "pending" : position % 2 === 1 ? "rejected" : "delivered";
    expect(vendor, String(position)).toMatchObject({ destination: "vendor", outcome });
    // One batch of those that wait is on its way.
    expect((vendor?.attempts.length ?? 0) > 0, String(position)).toBe(position < 50);
    for (const { first, count } of vendor?.attempts ?? [])
      expect(first <= position && position < first + count, `${position} in ${first}+${count}`).toBe(true);
    if (outcome === "rejected") expect(vendor?.deadLetter).toMatchObject({ deadLetterId: (position - 1) / 2 });
    else expect(vendor).not.toHaveProperty("deadLetter");
    expect(vendor?.replays ?? [], String(position)).toHaveLength(position < 3 ? 1 : 0);
  }
});

test("a trace is bounded in events and in bytes, and says that there are more", async () => {
  const { environment, append } = await open();
  await append(Array.from({ length: 1_500 }, (_, number) => event(number)));
  const many = await environment.trace("often");
  expect([many.events.length, many.isCut]).toEqual([1_000, true]);
  const large = await open();
  for (let number = 0; number < 6; number++) await large.append([event(number, { pad: "x".repeat(1_000_000) })]);
  const few = await large.environment.trace("often");
  expect([few.events.length, few.isCut]).toEqual([4, true]);
});

test("a trace ends when nobody waits for it any more, and reads past what is not an event", async () => {
  const { environment, append } = await open();
  await append(["null", "7", '"often"', '["often"]', '{"messageId":"often"', event(0), '{"other":"often"}']);
  expect((await environment.trace("often")).events.map(({ position }) => position)).toEqual([5]);
  const gone = AbortSignal.abort();
  expect((await environment.trace("often", { signal: gone })).events).toEqual([]);
});
