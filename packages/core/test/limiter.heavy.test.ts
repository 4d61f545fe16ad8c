import {
  createSender,
  doubled,
  type HttpResponse,
  Limiter,
  type LimiterOptions,
  type Outcome,
  type Sender,
  type SendWatch,
  TextBatch,
  type Transport,
} from "@waybill/core";
import { settle, VirtualClock } from "@waybill/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ONE_EVENT } from "./limiter-vendors.ts";

interface Answer {
  /** 0: the connection breaks. */
  readonly status: number;
  readonly afterMs: number;
  readonly retryAfterS?: number;
}

interface World {
  readonly clock: VirtualClock;
  readonly limiter: Limiter;
  /** When each request left, and how many were on their way then. */
  readonly sent: { readonly atMs: number; readonly inFlight: number }[];
  /** From when nothing may be sent until when. */
  readonly stops: { readonly fromMs: number; readonly untilMs: number }[];
  answer: (number: number) => Answer;
  /** Batches that know that they wait. */
  waiting(): number;
  send(soon?: AbortSignal): Promise<readonly Outcome[]>;
  /**
   * Sends whatever the window allows until `done`, each batch until it is delivered. The result
   * tells whether all has ended; somebody has to move the clock.
   */
  start(done: () => boolean, mostFlights?: number): () => boolean;
  /** The same, and moves the clock until all has ended. */
  keepBusy(done: () => boolean): Promise<void>;
}

const MANY = { maxInFlight: 64 };
const FAST: Answer = { status: 200, afterMs: 100 };

function setUp(options: LimiterOptions = MANY): World {
  const clock = new VirtualClock();
  const limiter = new Limiter(clock, options);
  const sent: World["sent"] = [];
  const stops: World["stops"] = [];
  let inFlight = 0;
  const transport: Transport = async (): Promise<HttpResponse> => {
    inFlight += 1;
    sent.push({ atMs: clock.monotonic(), inFlight });
    const { status, afterMs, retryAfterS } = world.answer(sent.length);
    await new Promise<void>((resolve) => clock.after(afterMs, resolve));
    inFlight -= 1;
    if (status === 0) throw new Error("reset");
    if (retryAfterS === undefined) return { status, headers: {}, body: "" };
    const fromMs = clock.monotonic();
    if (status >= 300) stops.push({ fromMs, untilMs: fromMs + retryAfterS * 1_000 });
    return { status, headers: { "retry-after": String(retryAfterS) }, body: "" };
  };
  const senderOf = (maxAttempts: number): Sender =>
    createSender({
      protocol: ONE_EVENT,
      runtime: { clock, random: { next: () => 0.5, fill: () => undefined }, transport },
      timeoutMs: 60_000,
      backoff: (attempt, retryAfterMs) => retryAfterMs ?? doubled(100, attempt, 2_000),
      maxAttempts,
      exhausted: "keep",
      limit: limiter.stage,
    });
  const [once, untilDelivered] = [senderOf(1), senderOf(Number.POSITIVE_INFINITY)];
  let waiting = 0;
  /** As a lane does: a batch may not begin or end a wait twice. */
  const watchOf = (): SendWatch => {
    let waits = false;
    const turn = (to: boolean) => (): void => {
      if (waits === to) throw new Error("begins or ends a wait twice");
      waits = to;
      waiting += to ? 1 : -1;
    };
    return { attempted: () => undefined, waiting: turn(true), resumed: turn(false) };
  };
  let batches = 0;
  const batch = (): TextBatch =>
    new TextBatch({ key: `b${batches++}`, metadata: "", oldestAtMs: 0, texts: ["{}"], sizes: [2] });
  const context = (soon: AbortSignal) => ({ soon, now: new AbortController().signal, watch: watchOf() });
  const world: World = {
    clock,
    limiter,
    sent,
    stops,
    answer: () => FAST,
    waiting: () => waiting,
    send: (soon = new AbortController().signal) => once.send(batch(), context(soon)),
    start(done, mostFlights = Number.POSITIVE_INFINITY) {
      let flights = 0;
      const fill = (): void => {
        while (!done() && flights < Math.min(mostFlights, limiter.width)) {
          flights += 1;
          void untilDelivered.send(batch(), context(new AbortController().signal)).then(() => {
            flights -= 1;
            fill();
          });
        }
      };
      fill();
      return () => done() && flights === 0;
    },
    keepBusy: (done) => clock.until(world.start(done)),
  };
  return world;
}

/** The most requests in any second, its end excluded. */
function mostInASecond(times: readonly number[]): number {
  let most = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while ((times[last] as number) - (times[first] as number) >= 1_000) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/** Keeps the lane busy for so long. */
function busyFor(world: World, ms: number): Promise<void> {
  const until = world.clock.monotonic() + ms;
  return world.keepBusy(() => world.clock.monotonic() >= until);
}

test("begins with two requests and reaches 64 within two seconds when answers take 100 ms", async () => {
  const world = setUp();
  expect(world.limiter.width).toBe(2);
  await busyFor(world, 2_000);
  expect(world.limiter.view()).toEqual({ inFlight: 0, limit: 64, perSecond: undefined, reason: "at maxInFlight" });
  expect(Math.max(...world.sent.map(({ inFlight }) => inFlight))).toBe(64);
});

test("does not grow while it is not used", async () => {
  const world = setUp();
  for (let number = 0; number < 100; number++) {
    const sending = world.send();
    await world.clock.advance(100);
    await sending;
  }
  expect(world.limiter.width).toBeLessThanOrEqual(4);
});

test("other limits hold from the next request on", async () => {
  const world = setUp();
  await busyFor(world, 2_000);
  world.limiter.reconfigure({ maxInFlight: 5, maxPerSecond: 20 });
  expect(world.limiter.view()).toMatchObject({ limit: 5, perSecond: 20 });
  const before = world.sent.length;
  await busyFor(world, 5_000);
  const after = world.sent.slice(before);
  expect(Math.max(...after.map(({ inFlight }) => inFlight))).toBeLessThanOrEqual(5);
  expect(mostInASecond(after.map(({ atMs }) => atMs))).toBeLessThanOrEqual(20);
});

test("uses a documented limit of requests per second, and never exceeds it", async () => {
  for (const maxPerSecond of [1, 10, 200]) {
    const world = setUp({ ...MANY, maxPerSecond });
    await busyFor(world, 20_000);
    expect(mostInASecond(world.sent.map(({ atMs }) => atMs))).toBeLessThanOrEqual(maxPerSecond);
    expect(world.sent.length).toBeGreaterThan(maxPerSecond * 20 * 0.95);
  }
});

test("an interrupted wait leaves the batch retryable, and no timer", async () => {
  const world = setUp({ maxInFlight: 1, maxPerSecond: 1 });
  const soon = new AbortController();
  const first = world.send();
  await world.clock.advance(100);
  await first;
  const waiting = world.send(soon.signal);
  await settle();
  expect(world.clock.timers).toBe(1);
  soon.abort();
  expect(await waiting).toEqual([
    { status: "retryable", reason: "interrupted while waiting for a request to be allowed" },
  ]);
  expect(world.clock.timers).toBe(0);
  expect(world.sent).toHaveLength(1);
});

test("Retry-After stops every request, and the reason names the answer", async () => {
  const world = setUp();
  await busyFor(world, 1_000);
  world.answer = () => ({ status: 429, afterMs: 100, retryAfterS: 30 });
  const refused = world.send();
  await world.clock.advance(100);
  await refused;
  world.answer = () => FAST;
  expect(world.limiter.view().reason).toMatch(/^429 at 2026-01-01T00:00:.*, waiting as the vendor requests$/);
  const before = world.sent.length;
  const next = world.send();
  await world.clock.advance(29_999);
  expect(world.sent).toHaveLength(before);
  await world.clock.advance(200);
  await next;
  expect(world.limiter.view().reason).toMatch(/^429 at [^,]*$/);
});

test("a Retry-After of a day stops for an hour", async () => {
  const world = setUp();
  world.answer = () => ({ status: 429, afterMs: 1, retryAfterS: 86_400 });
  const refused = world.send();
  await world.clock.advance(1);
  await refused;
  world.answer = () => FAST;
  void world.send();
  await world.clock.advance(3_599_000);
  expect(world.sent).toHaveLength(1);
  await world.clock.advance(1_001);
  expect(world.sent).toHaveLength(2);
});

test("one refusal lowers the pace by a tenth at most", async () => {
  const world = setUp();
  await busyFor(world, 3_000);
  const refusedAt = world.sent.length + 200;
  world.answer = (number) => (number === refusedAt ? { status: 429, afterMs: 100, retryAfterS: 1 } : FAST);
  await busyFor(world, 2_000);
  const { perSecond } = world.limiter.view();
  expect(perSecond).toBeGreaterThan(0.9 * 640);
  expect(perSecond).toBeLessThan(640);
});

test("where a number in flight is refused it is the limit, and the pace is none", async () => {
  const world = setUp();
  world.answer = (number) =>
    (world.sent[number - 1]?.inFlight ?? 0) > 8 ? { status: 429, afterMs: 1, retryAfterS: 1 } : FAST;
  await busyFor(world, 10_000);
  expect(world.limiter.view()).toMatchObject({ limit: 8 });
  expect(world.limiter.view().perSecond).toBeGreaterThan(80);
  // A batch more is prepared than may be in flight.
  expect(world.limiter.width).toBe(9);
  const before = world.sent.length;
  await busyFor(world, 10_000);
  expect(world.sent.length - before).toBeGreaterThanOrEqual(0.99 * 800);
});

test("an outage leaves one request at a time, and the first success begins to grow again", async () => {
  for (const status of [0, 500, 503]) {
    const world = setUp();
    let over = false;
    const ended = world.start(() => over);
    await world.clock.advance(2_000);
    expect(world.limiter.width).toBe(64);
    world.answer = () => ({ status, afterMs: 100 });
    await world.clock.advance(1_000);
    expect(world.limiter.width).toBe(1);
    const duringOutage = world.sent.length;
    await world.clock.advance(10 * 60_000);
    const probes = world.sent.slice(duringOutage);
    expect(Math.max(...probes.map(({ inFlight }) => inFlight))).toBe(1);
    // Every wait is half of what has passed, up to half a minute.
    expect(probes.length).toBeLessThanOrEqual(35);
    expect(probes.length).toBeGreaterThanOrEqual(20);
    expect(world.limiter.view().reason).toBe("most requests fail");
    world.answer = () => FAST;
    const before = world.sent.length;
    await world.clock.advance(35_000);
    const firstAtMs = world.sent[before]?.atMs as number;
    expect(world.limiter.width).toBe(64);
    const within = (fromMs: number, toMs: number): number =>
      world.sent.filter(({ atMs }) => atMs >= firstAtMs + fromMs && atMs < firstAtMs + toMs).length;
    expect(within(2_000, 4_000)).toBeGreaterThan(0.9 * 2 * 640);
    over = true;
    await world.clock.until(ended);
  }
});

test("the wait of an outage ends when an operator wants it to, and batches that wait know that they do", async () => {
  const world = setUp();
  let over = false;
  const ended = world.start(() => over);
  world.answer = () => ({ status: 500, afterMs: 100 });
  await world.clock.advance(5 * 60_000);
  expect(world.waiting()).toBeGreaterThan(0);
  world.answer = () => FAST;
  const before = world.sent.length;
  world.limiter.retryNow();
  await world.clock.advance(3_000);
  expect(world.sent.length).toBeGreaterThan(before + 10);
  expect(world.limiter.view().reason).not.toContain("fail");
  over = true;
  await world.clock.until(ended);
  expect(world.waiting()).toBe(0);
});

test("a batch that fails alone has its own backoff, and makes nobody else wait", async () => {
  const world = setUp();
  await busyFor(world, 2_000);
  world.answer = () => ({ status: 500, afterMs: 100 });
  let over = false;
  const ended = world.start(() => over, 1);
  await world.clock.advance(60_000);
  expect(world.limiter.width).toBe(64);
  world.answer = () => FAST;
  const before = world.sent.length;
  const other = world.send();
  await settle();
  expect(world.sent).toHaveLength(before + 1);
  await world.clock.advance(100);
  expect(await other).toEqual([{ status: "delivered" }]);
  over = true;
  await world.clock.until(ended);
});

test("the parts of a batch that fail one after another are one failure, not an outage", async () => {
  const reasonAfter = async (soon?: AbortSignal): Promise<string> => {
    const world = setUp();
    world.answer = () => ({ status: 500, afterMs: 100 });
    for (let part = 0; part < 12; part++) {
      void world.send(soon);
      await world.clock.advance(100_000);
    }
    return world.limiter.view().reason;
  };
  expect(await reasonAfter(new AbortController().signal)).not.toBe("most requests fail");
  expect(await reasonAfter()).toBe("most requests fail");
});

test("where a part of each batch passes, the parts that fail are not an outage, however many", async () => {
  const world = setUp();
  const batches = Array.from({ length: 8 }, () => new AbortController().signal);
  for (const batch of batches) void world.send(batch);
  await world.clock.advance(1_000);
  world.answer = () => ({ status: 500, afterMs: 100 });
  for (let part = 0; part < 5; part++) {
    for (const batch of batches) void world.send(batch);
    await world.clock.advance(1_000);
  }
  expect(world.sent).toHaveLength(6 * batches.length);
  expect(world.limiter.view().reason).not.toBe("most requests fail");
});

test("single events that are answered with 500 among successes shrink nothing", async () => {
  const world = setUp();
  await busyFor(world, 2_000);
  world.answer = (number) => (number % 10 === 0 ? { status: 500, afterMs: 100 } : FAST);
  await busyFor(world, 10_000);
  expect(world.limiter.width).toBe(64);
});

test("a single 503 without Retry-After is not congestion; a third of all is", async () => {
  const world = setUp();
  await busyFor(world, 2_000);
  world.answer = (number) => (number % 200 === 0 ? { status: 503, afterMs: 100 } : FAST);
  await busyFor(world, 5_000);
  expect(world.limiter.view().perSecond).toBeUndefined();
  world.answer = (number) => (number % 3 === 0 ? { status: 503, afterMs: 100 } : FAST);
  await busyFor(world, 5_000);
  expect(world.limiter.view().perSecond).toBeLessThan(640);
});

test("a vendor that moved further away is believed, whatever is in flight", async () => {
  const world = setUp();
  await busyFor(world, 2_000);
  world.answer = () => ({ status: 200, afterMs: 400 });
  await busyFor(world, 20_000);
  expect(world.limiter.width).toBe(64);
});

test("what was learned is kept while idle: the window for a minute, the pace for ten", async () => {
  const world = setUp();
  await busyFor(world, 2_000);
  await world.clock.advance(59_000);
  const sent = world.send();
  await world.clock.advance(100);
  await sent;
  expect(world.limiter.width).toBe(64);
  await world.clock.advance(61_000);
  void world.send();
  expect(world.limiter.width).toBe(2);
});

test("without anything that waits there is no timer", async () => {
  const world = setUp({ ...MANY, maxPerSecond: 50 });
  await busyFor(world, 1_000);
  expect(world.clock.timers).toBe(0);
});

const ANSWER: fc.Arbitrary<Answer> = fc.record(
  {
    status: fc.constantFrom(200, 200, 200, 400, 429, 500, 503, 0),
    afterMs: fc.integer({ min: 0, max: 2_000 }),
    retryAfterS: fc.integer({ min: 0, max: 20 }),
  },
  { requiredKeys: ["status", "afterMs"] },
);

test("whatever is answered: limits and Retry-After hold, everything drains, and it recovers", {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(ANSWER, { minLength: 1, maxLength: 60 }),
      fc.record({
        maxInFlight: fc.integer({ min: 1, max: 24 }),
        maxPerSecond: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
      }),
      fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 20 }),
      async (answers, { maxInFlight, maxPerSecond }, interruptions) => {
        const world = setUp({ maxInFlight, ...(maxPerSecond === undefined ? {} : { maxPerSecond }) });
        world.answer = (number) => answers[number - 1] ?? FAST;
        let interrupted = 0;
        for (const afterMs of interruptions) {
          const soon = new AbortController();
          world.clock.after(afterMs, () => soon.abort());
          void world.send(soon.signal).then(() => (interrupted += 1));
        }
        await world.keepBusy(() => {
          expect(world.limiter.width).toBeGreaterThanOrEqual(1);
          expect(world.limiter.width).toBeLessThanOrEqual(maxInFlight);
          return world.sent.length >= answers.length;
        });
        await world.clock.until(() => interrupted === interruptions.length);
        await busyFor(world, 40_000);
        expect(world.limiter.view().inFlight).toBe(0);
        expect(world.clock.timers).toBe(0);
        expect(world.sent.filter(({ inFlight }) => inFlight > maxInFlight)).toEqual([]);
        if (maxPerSecond !== undefined)
          expect(mostInASecond(world.sent.map(({ atMs }) => atMs))).toBeLessThanOrEqual(maxPerSecond);
        const stopped = ({ atMs }: { readonly atMs: number }): boolean =>
          world.stops.some(({ fromMs, untilMs }) => atMs > fromMs && atMs < untilMs - 0.001);
        expect(world.sent.filter(stopped)).toEqual([]);
        // Once everything is answered well requests flow again.
        const lately = world.sent.filter(({ atMs }) => atMs > world.clock.monotonic() - 10_000).length;
        expect(lately).toBeGreaterThanOrEqual(5);
      },
    ),
    { numRuns: 15, seed: 13 },
  );
});
