import type { AccountView, DropReason, Outcome, Transport } from "@waybill/core";
import { expect, test } from "vitest";
import { SeededRandom } from "../seeded-random.ts";
import type { ServerHandler } from "../server.ts";
import { SimNetwork } from "../sim-network.ts";
import { VirtualClock } from "../virtual-clock.ts";

/** An event that a destination does not get, as it is reported to the application. */
export interface LostEvent {
  readonly reason: string;
  readonly messageId?: string | undefined;
  readonly destination: string;
}

export type QueueOverflow = "drop-newest" | "drop-oldest" | "throw";

/** What a pipeline is made of, for one test. */
export interface PipelineWorld {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly transport: Transport;
  /** Segment's protocol, each at `http://<name>.test`. */
  readonly destinations: readonly string[];
  readonly queueMaxEvents: number;
  readonly overflow: QueueOverflow;
  /** No backoff is longer. */
  readonly backoffMaxMs: number;
  readonly onDrop: (lost: LostEvent) => void;
}

/** A pipeline, and what the client around it does. */
export interface PipelineUnderTest {
  /** Captures an event of this text; gives back its outcome, as the handle of an event does. */
  push(text: string): Promise<Outcome>;
  drop(reason: DropReason, messageId: string | undefined): void;
  flush(): Promise<unknown>;
  close(deadlineMs: number): Promise<unknown>;
  /** The client is closed: nothing is counted any more. */
  freeze(): void;
  accounts(): Readonly<Record<string, AccountView>>;
}

export type MakePipeline = (world: PipelineWorld) => PipelineUnderTest;

const BACKOFF_MAX_MS = 1_000;
/** Of virtual time: longer than any wait here. */
const PATIENCE_MS = 120_000;
const STEP_MS = 10;
/** Within the time of a request. */
const SLOW_MS = 6_000;
const SEEDS = 15;

/** The contract of the client's pipeline: a new one passes by this call. */
export function testPipeline(name: string, make: MakePipeline): void {
  testDelivery(name, make);
  testBounds(name, make);
  testEnd(name, make);
  testFreeze(name, make);
  testBalance(name, make);
}

function testDelivery(name: string, make: MakePipeline): void {
  test(`${name}: every destination gets each event once, in the order of the calls`, async () => {
    const { pipeline, vendors, drops, ended } = setUp(make);
    const outcomes = pushAll(pipeline, 50);
    await ended(pipeline.flush());
    for (const vendor of vendors) expect(vendor.taken).toEqual(ids(50));
    expect(statuses(await Promise.all(outcomes))).toEqual(["delivered"]);
    for (const account of Object.values(pipeline.accounts()))
      expect(account).toMatchObject({ accepted: 50, delivered: 50, pending: 0, balanced: true });
    expect(drops).toEqual([]);
  });

  test(`${name}: a destination that is down delays no other, and gets everything later`, async () => {
    const { pipeline, vendors, clock, ended } = setUp(make);
    const [down, up] = vendors;
    down.mode = "down";
    const outcomes = pushAll(pipeline, 10);
    await pass(clock, 3_000);
    expect([up.taken, down.taken]).toEqual([ids(10), []]);
    expect(pipeline.accounts()).toMatchObject({
      a: { accepted: 10, delivered: 0, pending: 10, balanced: true },
      b: { accepted: 10, delivered: 10, pending: 0, balanced: true },
    });
    down.mode = "up";
    await ended(pipeline.flush());
    expect(down.taken).toEqual(ids(10));
    expect(statuses(await Promise.all(outcomes))).toEqual(["delivered"]);
  });

  test(`${name}: an event that one destination refuses is reported once, and harms no other`, async () => {
    const { pipeline, vendors, drops, ended } = setUp(make);
    vendors[0].refuses.add("id-3");
    const outcomes = pushAll(pipeline, 6);
    await ended(pipeline.flush());
    expect(vendors[0].taken).toEqual(ids(6).filter((id) => id !== "id-3"));
    expect(vendors[1].taken).toEqual(ids(6));
    expect((await Promise.all(outcomes)).map(({ status }) => status === "delivered")).toEqual(
      ids(6).map((id) => id !== "id-3"),
    );
    expect(await outcomes[3]).toMatchObject({ status: "rejected" });
    expect(drops).toMatchObject([{ reason: "rejected", messageId: "id-3", destination: "a" }]);
    expect(pipeline.accounts()["a"]).toMatchObject({ delivered: 5, rejected: 1, pending: 0, balanced: true });
  });

  test(`${name}: an event that was lost before counts as dropped at each destination, and is reported for each one`, async () => {
    const { pipeline, drops, ended } = setUp(make);
    pipeline.drop("invalid", "id-x");
    await ended(pipeline.flush());
    for (const account of Object.values(pipeline.accounts()))
      expect(account).toMatchObject({ accepted: 1, dropped: { invalid: 1 }, pending: 0, balanced: true });
    expect(drops).toMatchObject([
      { reason: "invalid", messageId: "id-x", destination: "a" },
      { reason: "invalid", messageId: "id-x", destination: "b" },
    ]);
  });
}

const LOST: Readonly<Record<QueueOverflow, readonly string[]>> = {
  "drop-newest": ["id-5", "id-6", "id-7"],
  "drop-oldest": ["id-0", "id-1", "id-2"],
  throw: ["id-5", "id-6", "id-7"],
};

function testBounds(name: string, make: MakePipeline): void {
  for (const overflow of Object.keys(LOST) as QueueOverflow[])
    test(`${name}: of eight events at once for a queue of five, three are lost by the policy ${overflow}`, async () => {
      const { pipeline, vendors, drops, ended } = setUp(make, { queueMaxEvents: 5, overflow });
      const refused: string[] = [];
      const outcomes = new Map<string, Promise<Outcome>>();
      for (const id of ids(8))
        try {
          outcomes.set(id, pipeline.push(textOf(id)));
        } catch (error) {
          expect(error).toMatchObject({ code: "WAYBILL_QUEUE_FULL", retryable: true });
          refused.push(id);
        }
      await ended(pipeline.flush());
      const kept = ids(8).filter((id) => !LOST[overflow].includes(id));
      expect(refused).toEqual(overflow === "throw" ? LOST[overflow] : []);
      for (const [id, outcome] of outcomes)
        expect((await outcome).status, id).toBe(kept.includes(id) ? "delivered" : "dropped");
      for (const vendor of vendors) expect(vendor.taken).toEqual(kept);
      for (const destination of ["a", "b"]) {
        const reported = drops.filter((lost) => lost.destination === destination && lost.reason === "queue_full");
        expect(reported.map(({ messageId }) => messageId)).toEqual(LOST[overflow]);
        const counts = { accepted: 8, delivered: 5, dropped: { queue_full: 3 }, pending: 0, balanced: true };
        expect(pipeline.accounts()[destination]).toMatchObject(counts);
      }
    });
}

function testEnd(name: string, make: MakePipeline): void {
  test(`${name}: without events a flush and a close end at once`, async () => {
    const { pipeline, clock, ended } = setUp(make);
    const startedAt = clock.monotonic();
    await ended(pipeline.flush());
    await ended(pipeline.close(5_000));
    expect(clock.monotonic() - startedAt).toBeLessThan(1_000);
    for (const account of Object.values(pipeline.accounts()))
      expect(account).toMatchObject({ accepted: 0, pending: 0 });
  });

  test(`${name}: a flush does not wait for a destination that takes nothing before somebody acts`, async () => {
    const { pipeline, vendors, ended } = setUp(make);
    vendors[0].mode = "unauthorized";
    void pushAll(pipeline, 3);
    await ended(pipeline.flush());
    expect(pipeline.accounts()).toMatchObject({
      a: { pending: 3, rejected: 0, balanced: true },
      b: { delivered: 3, pending: 0, balanced: true },
    });
  });

  test(`${name}: a close delivers what waits, without waiting for the interval`, async () => {
    const { pipeline, vendors, clock, ended } = setUp(make);
    const outcomes = pushAll(pipeline, 20);
    const startedAt = clock.monotonic();
    await ended(pipeline.close(5_000));
    expect(clock.monotonic() - startedAt).toBeLessThan(1_000);
    for (const vendor of vendors) expect(vendor.taken).toEqual(ids(20));
    expect(statuses(await Promise.all(outcomes))).toEqual(["delivered"]);
  });

  test(`${name}: a close ends with its deadline, and what comes after counts no more`, async () => {
    const { pipeline, vendors, clock, ended } = setUp(make);
    vendors[0].mode = "hang";
    void pushAll(pipeline, 4);
    await pass(clock, 1_000);
    const startedAt = clock.monotonic();
    await ended(pipeline.close(2_000));
    expect(clock.monotonic() - startedAt).toBeLessThanOrEqual(2_500);
    pipeline.freeze();
    const accounts = pipeline.accounts();
    expect(accounts).toMatchObject({ a: { pending: 4, balanced: true }, b: { delivered: 4, balanced: true } });
    vendors[0].mode = "up";
    await pass(clock, 60_000);
    expect(pipeline.accounts()["a"]).toMatchObject({ accepted: 4, delivered: 0, pending: 4, balanced: true });
  });
}

function testFreeze(name: string, make: MakePipeline): void {
  test(`${name}: an answer that comes after the freeze counts no more, and nothing of it is reported`, async () => {
    const { pipeline, vendors, clock, drops } = setUp(make);
    vendors[0].mode = "slow";
    vendors[0].refuses.add("id-1");
    void pushAll(pipeline, 4);
    await pass(clock, 1_000);
    const closed = pipeline.close(2 * SLOW_MS);
    await pass(clock, 1_000);
    pipeline.freeze();
    const left = { accepted: 4, delivered: 0, rejected: 0, pending: 4, balanced: true };
    expect(pipeline.accounts()["a"]).toMatchObject(left);
    await pass(clock, 3 * SLOW_MS);
    await closed;
    expect(vendors[0].taken).toEqual(["id-0", "id-2", "id-3"]);
    expect(pipeline.accounts()["a"]).toMatchObject(left);
    expect(drops).toEqual([]);
  });
}

function testBalance(name: string, make: MakePipeline): void {
  test(`${name}: through outages, resets and refusals the ledgers balance, and each event has its outcome`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = setUp(make, { seed });
      const { pipeline, vendors, network, clock, ended } = world;
      const random = new SeededRandom(seed);
      network.faults = { refuse: 0.1, resetBefore: 0.1, resetAfter: 0.1 };
      const outcomes: Promise<Outcome>[] = [];
      for (let step = 0; step < 30; step++) {
        for (const vendor of vendors) vendor.mode = random.chance(0.3) ? "down" : "up";
        for (let more = random.below(4); more > 0; more--) {
          const id = `id-${outcomes.length}`;
          if (random.chance(0.2)) vendors[random.below(2) as 0 | 1].refuses.add(id);
          outcomes.push(pipeline.push(textOf(id)));
        }
        await pass(clock, random.below(400));
        for (const [destination, account] of Object.entries(pipeline.accounts()))
          expect(account, `seed ${seed}, step ${step}, ${destination}`).toMatchObject({ balanced: true });
      }
      for (const vendor of vendors) vendor.mode = "up";
      network.faults = {};
      await ended(pipeline.flush());
      expectAllSettled(world, await Promise.all(outcomes));
    }
  });
}

function expectAllSettled({ pipeline, vendors }: World, outcomes: readonly Outcome[]): void {
  const all = ids(outcomes.length);
  for (const { name, taken, refuses } of vendors) {
    // Sent again under the same id where an answer was lost, and never out of order.
    expect([...new Set(taken)]).toEqual(all.filter((id) => !refuses.has(id)));
    expect(pipeline.accounts()[name]).toMatchObject({
      accepted: all.length,
      delivered: all.length - refuses.size,
      rejected: refuses.size,
      pending: 0,
      balanced: true,
    });
  }
  const isRefused = (id: string): boolean => vendors.some(({ refuses }) => refuses.has(id));
  expect(outcomes.map(({ status }) => status)).toEqual(all.map((id) => (isRefused(id) ? "rejected" : "delivered")));
}

interface Vendor {
  readonly name: string;
  mode: "up" | "down" | "unauthorized" | "hang" | "slow";
  /** Ids of events that it refuses for good. */
  readonly refuses: Set<string>;
  /** Ids of what it took, in order, with what came again. */
  readonly taken: string[];
  readonly handle: ServerHandler;
}

function vendorCalled(name: string): Vendor {
  const vendor: Vendor = {
    name,
    mode: "up",
    refuses: new Set(),
    taken: [],
    handle: ({ body }) => {
      if (vendor.mode === "down") return { status: 503, headers: {}, body: "{}" };
      if (vendor.mode === "unauthorized") return { status: 401, headers: {}, body: "{}" };
      if (vendor.mode === "hang") return { status: 200, headers: {}, body: "{}", fault: "hang" };
      const { batch } = JSON.parse(Buffer.from(body).toString()) as { readonly batch: { messageId: string }[] };
      const rejected: object[] = [];
      for (const [index, { messageId }] of batch.entries())
        if (vendor.refuses.has(messageId)) rejected.push({ index, code: "refused", message: "not this one" });
        else vendor.taken.push(messageId);
      const answer = { status: 200, headers: {}, body: JSON.stringify({ success: true, rejected }) };
      return vendor.mode === "slow" ? { ...answer, delayMs: SLOW_MS } : answer;
    },
  };
  return vendor;
}

interface World {
  readonly pipeline: PipelineUnderTest;
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly vendors: readonly [Vendor, Vendor];
  readonly drops: readonly LostEvent[];
  /** Lets time pass until the promise has settled. */
  readonly ended: (promise: Promise<unknown>) => Promise<void>;
}

interface Settings {
  readonly queueMaxEvents?: number;
  readonly overflow?: QueueOverflow;
  readonly seed?: number;
}

function setUp(make: MakePipeline, settings: Settings = {}): World {
  const { queueMaxEvents = 1_000, overflow = "drop-newest", seed = 1 } = settings;
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const network = new SimNetwork({ clock, random });
  const vendors = [vendorCalled("a"), vendorCalled("b")] as const;
  for (const { name, handle } of vendors) network.serve(`http://${name}.test`, handle);
  const drops: LostEvent[] = [];
  const pipeline = make({
    clock,
    random,
    transport: network.transport,
    destinations: vendors.map(({ name }) => name),
    queueMaxEvents,
    overflow,
    backoffMaxMs: BACKOFF_MAX_MS,
    onDrop: (lost) => drops.push(lost),
  });
  const ended = async (promise: Promise<unknown>): Promise<void> => {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    promise.then(over, over);
    await pass(clock, 0);
    for (let ms = 0; !isOver && ms < PATIENCE_MS; ms += STEP_MS) await clock.advance(STEP_MS);
    expect(isOver).toBe(true);
    await promise;
  };
  return { pipeline, clock, network, vendors, drops, ended };
}

/** In small steps: each lets what a disk does go on for a while. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let step = 0; step < 20; step++) await clock.advance(ms / 20);
}

function ids(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `id-${index}`);
}

/** As the client serialises one: its type and its id come first. */
function textOf(id: string): string {
  return JSON.stringify({ type: "track", messageId: id, userId: "u", event: "E", properties: {} });
}

function pushAll(pipeline: PipelineUnderTest, count: number): Promise<Outcome>[] {
  return ids(count).map((id) => pipeline.push(textOf(id)));
}

function statuses(outcomes: readonly Outcome[]): string[] {
  return [...new Set(outcomes.map(({ status }) => status))];
}
