/** A lane with many requests in flight to a vendor that is 100 ms away, on a virtual clock. */
import type { DiskRuntime, HttpResponse, Transport } from "@waybill/core";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import type { LaneView } from "../../src/admin/views.ts";
import type { DestinationConfig } from "../../src/config/types.ts";

const ANSWER_MS = 100;
const BATCH_EVENTS = 5;
const USERS = 200;
const SECOND_MS = 1_000;

interface World {
  readonly clock: VirtualClock;
  readonly environment: Environment;
  /** When each request left, and how many were on their way then. */
  readonly sent: { readonly atMs: number; readonly inFlight: number }[];
  /** Message ids that the vendor took, in the order of the answers. */
  readonly taken: string[];
  status: number;
  append(count: number): Promise<void>;
  /** Requests that left from `fromMs` to `toMs`. */
  between(fromMs: number, toMs: number): World["sent"];
}

async function setUp(): Promise<World> {
  const clock = new VirtualClock();
  const random = new SeededRandom(7);
  const sent: World["sent"] = [];
  const taken: string[] = [];
  let inFlight = 0;
  const transport: Transport = async ({ body }): Promise<HttpResponse> => {
    inFlight += 1;
    sent.push({ atMs: clock.monotonic(), inFlight });
    const { status } = world;
    await new Promise<void>((resolve) => clock.after(ANSWER_MS, resolve));
    inFlight -= 1;
    const text = body.map((chunk) => (typeof chunk === "string" ? chunk : Buffer.from(chunk).toString())).join("");
    if (status === 200) for (const [, id = ""] of text.matchAll(/"messageId":"([^"]+)"/g)) taken.push(id);
    return { status, headers: {}, body: status === 200 ? '{"success":true}' : "" };
  };
  const runtime: DiskRuntime = { clock, random, disk: new SimDisk(), transport };
  const ignore = (): void => undefined;
  const environment = await Environment.open({
    config: { name: "e", sources: [], destinations: [destination()] },
    directory: "/data",
    runtime,
    dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
    observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
  });
  environment.start();
  let next = 0;
  const world: World = {
    clock,
    environment,
    sent,
    taken,
    status: 200,
    async append(count) {
      const texts = Array.from({ length: count }, () => {
        const index = next++;
        return `{"type":"track","messageId":"${index % USERS}-${index}","userId":"u${index % USERS}","event":"E"}`;
      });
      const ends = new Uint32Array(count);
      let end = -1;
      for (const [index, text] of texts.entries()) {
        end += 1 + text.length;
        ends[index] = end;
      }
      const body = [Buffer.from(texts.join(","))];
      await environment.log.append({ source: "s", receivedAtMs: clock.now(), metadata: "", body, ends });
    },
    between: (fromMs, toMs) => sent.filter(({ atMs }) => atMs >= fromMs && atMs < toMs),
  };
  return world;
}

function destination(): DestinationConfig {
  const { destinations } = resolveEnvironment("e", {
    sources: {},
    destinations: {
      far: {
        vendor: "segment",
        url: "http://far.test",
        writeKey: "k",
        timeout: 5_000,
        batch: { linger: 10, maxEvents: BATCH_EVENTS, maxBytes: 100_000 },
      },
    },
  });
  return destinations[0] as DestinationConfig;
}

const most = (sent: World["sent"]): number => Math.max(...sent.map(({ inFlight }) => inFlight));

test("an outage is waited out with few requests, one at a time; then the lane is back at its rate within seconds", async () => {
  const world = await setUp();
  const { clock, environment, sent } = world;
  await world.append(16_000);
  await clock.advance(3 * SECOND_MS);
  const view = (): LaneView => environment.lanes(0)[0] as LaneView;
  expect(most(sent)).toBe(64);
  const rate = world.between(2 * SECOND_MS, 3 * SECOND_MS).length;
  expect(rate).toBeGreaterThan(500);

  world.status = 503;
  const outAtMs = clock.monotonic();
  await clock.advance(600 * SECOND_MS);
  const later = world.between(outAtMs + SECOND_MS, clock.monotonic());
  expect(most(later)).toBe(1);
  expect(later.length).toBeLessThan(40);
  expect(world.between(clock.monotonic() - 60 * SECOND_MS, clock.monotonic()).length).toBeLessThanOrEqual(3);
  expect(view()).toMatchObject({ mode: "waiting", inFlightLimit: 1, limitReason: "most requests fail" });

  world.status = 200;
  const before = sent.length;
  await clock.until(() => sent.length > before);
  const backAtMs = sent[before]?.atMs ?? 0;
  await clock.advance(3 * SECOND_MS);
  expect(world.between(backAtMs + SECOND_MS, backAtMs + 2 * SECOND_MS).length).toBeGreaterThan(0.85 * rate);
  await clock.until(() => world.taken.length === 16_000);
  await clock.advance(SECOND_MS);
  expect(view().account).toMatchObject({ delivered: 16_000, balanced: true });
  // Each user's events in their order.
  const last = new Map<string, number>();
  for (const id of world.taken) {
    const [user = "", index] = id.split("-");
    expect(Number(index)).toBeGreaterThan(last.get(user) ?? -1);
    last.set(user, Number(index));
  }
  await environment.close(SECOND_MS);
});

test("an operator who resumes the lane ends the wait for a vendor that is out", async () => {
  const world = await setUp();
  const { clock, environment, sent } = world;
  world.status = 500;
  await world.append(1_000);
  await clock.advance(300 * SECOND_MS);
  const lane = environment.destination("far");
  lane?.pause();
  await clock.advance(SECOND_MS);
  world.status = 200;
  const before = sent.length;
  lane?.resume();
  await clock.advance(2 * SECOND_MS);
  expect(sent.length).toBeGreaterThan(before + 50);
  await environment.close(SECOND_MS);
});
