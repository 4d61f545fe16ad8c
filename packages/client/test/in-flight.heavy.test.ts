/** Several batches on their way at once: rate at a distance, order per user, flush and close. */
import { type HttpRequest, type HttpResponse, type Protocol, type Transport, WaybillError } from "@waybill/core";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { type ClientOptions, type Destination, segment } from "waybill";
import { type Client, createClientOn } from "../src/client.ts";
import { inFlight, MAX_IN_FLIGHT } from "../src/in-flight.ts";
import { createSpool } from "../src/spool/spool-pipeline.ts";

const OK: HttpResponse = { status: 200, headers: {}, body: "{}" };

interface Seen {
  readonly key: string;
  readonly ids: readonly string[];
}

/** What the vendor does with a request: it may wait, and may fail after it acted. */
type Vendor = (seen: Seen) => Promise<HttpResponse>;

interface World {
  readonly clock: VirtualClock;
  readonly client: Client;
  /** Requests that the vendor got, in order. */
  readonly seen: Seen[];
  /** The most that were on their way at once. */
  readonly most: () => number;
}

function setUp(
  vendor: (clock: VirtualClock) => Vendor,
  maxEvents: number,
  options: Partial<ClientOptions> = {},
): World {
  const clock = new VirtualClock();
  const answer = vendor(clock);
  const seen: Seen[] = [];
  let now = 0;
  let most = 0;
  const transport: Transport = async ({ headers, body }: HttpRequest, signal) => {
    const text = body.join("");
    const one = {
      key: headers["key"] as string,
      ids: [...text.matchAll(/"messageId":"([^"]+)"/g)].map(([, id]) => id as string),
    };
    seen.push(one);
    most = Math.max(most, ++now);
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () =>
        reject(new WaybillError("WAYBILL_TRANSPORT", "aborted", { retryable: true })),
      );
    });
    try {
      return await Promise.race([answer(one), aborted]);
    } finally {
      now -= 1;
    }
  };
  const host = {
    runtime: { clock, random: new SeededRandom(7), transport },
    byteLength: (text: string) => text.length,
  };
  const client = createClientOn(host, { destinations: [destination(maxEvents)], ...options } as ClientOptions);
  return { clock, client, seen, most: () => most };
}

/** Segment with smaller batches, whose key is in a header. */
function destination(maxEvents: number): Destination {
  const given = segment({ name: "a", url: "http://a.test", writeKey: "k" });
  const protocol: Protocol = {
    ...given.protocol,
    limits: { ...given.protocol.limits, maxEvents },
    request(batch, nowMs) {
      const request = given.protocol.request(batch, nowMs);
      return { ...request, headers: { ...request.headers, key: batch.key } };
    },
  };
  return { ...given, protocol };
}

const after = (clock: VirtualClock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.after(ms, resolve);
  });

async function until(clock: VirtualClock, promise: Promise<unknown>, stepMs = 10): Promise<void> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  promise.then(over, over);
  for (let steps = 0; !isOver; steps++) {
    expect(steps).toBeLessThan(200_000);
    await clock.advance(stepMs);
  }
}

test("a destination 100 ms away gets more than ten times what it got with one request at a time", async () => {
  const { clock, client, seen, most } = setUp(
    (ownClock) => async () => {
      await after(ownClock, 100);
      return OK;
    },
    250,
  );
  for (let index = 0; index < 80_000; index++)
    client.track({ userId: `user ${index % 10_000}`, event: "E", messageId: `${index}` });
  const startedAt = clock.monotonic();
  await until(clock, client.flush());
  const tookMs = clock.monotonic() - startedAt;
  expect(seen.flatMap(({ ids }) => ids).length).toBe(80_000);
  expect(most()).toBe(MAX_IN_FLIGHT);
  expect(seen.length).toBeLessThanOrEqual(325);
  expect(tookMs).toBeLessThan((seen.length * 100) / 10);
});

test("what comes slower than full batches goes one request at a time, as large as it comes", async () => {
  const { clock, client, seen, most } = setUp(
    (ownClock) => async () => {
      await after(ownClock, 100);
      return OK;
    },
    500,
    { flushAt: 50 },
  );
  for (let index = 0; index < 4_000; index++) {
    client.track({ userId: `user ${index}`, event: "E", messageId: `${index}` });
    if (index % 4 === 0) await clock.advance(1);
  }
  await until(clock, client.close());
  expect(most()).toBe(1);
  expect(seen.length).toBeLessThan(20);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "whatever the answers and however long they take, each user's events arrive in order, each once at least (seed %i)",
  async (seed) => {
    const random = new SeededRandom(seed);
    const arrived: string[] = [];
    const vendor =
      (clock: VirtualClock): Vendor =>
      async ({ ids }) => {
        await after(clock, random.next() * 400);
        const chance = random.next();
        if (chance < 0.1) return { status: 429, headers: { "retry-after": "1" }, body: "" };
        if (chance < 0.2) return { status: 503, headers: {}, body: "" };
        if (chance < 0.25 && ids.length > 1) return { status: 413, headers: {}, body: "" };
        if (chance < 0.3) throw new WaybillError("WAYBILL_TRANSPORT", "reset", { retryable: true });
        arrived.push(...ids);
        await after(clock, random.next() * 100);
        if (chance < 0.4) throw new WaybillError("WAYBILL_TRANSPORT", "reset", { retryable: true });
        return OK;
      };
    const { clock, client, seen, most } = setUp(vendor, 10, { flushAt: 10, backoffMaxMs: 1_000 });
    const users = 40;
    const total = 3_000;
    for (let index = 0; index < total; index++) {
      const userId = `${Math.floor(random.next() * users)}`;
      client.track({ userId, event: "E", messageId: `${userId}:${index}` });
      if (index % 100 === 0) await clock.advance(50);
    }
    await until(clock, client.close({ deadlineMs: 3_600_000 }), 50);
    expect(client.accounts()["a"]).toMatchObject({ delivered: total, pending: 0, balanced: true });
    const first = [...new Set(arrived)];
    expect(first.length).toBe(total);
    const last = new Map<string, number>();
    for (const id of first) {
      const [user, index] = id.split(":") as [string, string];
      expect(Number(index)).toBeGreaterThan(last.get(user) ?? -1);
      last.set(user, Number(index));
    }
    expect(most()).toBeGreaterThan(3);
    // The same events, the same key; other events, another one.
    const keys = new Map<string, string>();
    for (const { key, ids } of seen) {
      expect(keys.get(key) ?? ids.join()).toBe(ids.join());
      keys.set(key, ids.join());
    }
  },
);

test("what an anonymous user did arrives before the identify and the alias that say who it was", async () => {
  const arrived: string[] = [];
  const random = new SeededRandom(3);
  const { clock, client, most } = setUp(
    (ownClock) =>
      async ({ ids }) => {
        await after(ownClock, random.next() * 300);
        arrived.push(...ids);
        return OK;
      },
    5,
    { flushAt: 5 },
  );
  // Fills the width first.
  for (let index = 0; index < 500; index++) client.track({ userId: `w${index}`, event: "E" });
  for (let index = 0; index < 300; index++) {
    client.track({ anonymousId: `a${index}`, event: "E", messageId: `${index}:0` });
    client.track({ userId: `x${index}`, event: "E" });
    if (index % 2 === 0) client.identify({ userId: `u${index}`, anonymousId: `a${index}`, messageId: `${index}:1` });
    else client.alias({ userId: `u${index}`, previousId: `a${index}`, messageId: `${index}:1` });
    client.track({ userId: `u${index}`, event: "E", messageId: `${index}:2` });
  }
  await until(clock, client.close({ deadlineMs: 60_000 }));
  expect(most()).toBeGreaterThan(3);
  for (let index = 0; index < 300; index++)
    expect(arrived.filter((id) => id.startsWith(`${index}:`))).toEqual([`${index}:0`, `${index}:1`, `${index}:2`]);
});

test("flush waits for what was there when it was called, however much overtakes it, and for no more", async () => {
  let release = (): void => undefined;
  const { clock, client } = setUp(
    (ownClock) =>
      async ({ ids }) => {
        if (ids.includes("slow"))
          await new Promise<void>((resolve) => {
            release = resolve;
          });
        else await after(ownClock, 20);
        return OK;
      },
    10,
    { flushAt: 10, timeoutMs: 3_600_000 },
  );
  // Answers that were good: the width is open.
  for (let index = 0; index < 500; index++) client.track({ userId: `${index}`, event: "E" });
  await until(clock, client.flush());
  client.track({ userId: "slow", event: "E", messageId: "slow" });
  for (let index = 0; index < 99; index++) client.track({ userId: `${index}`, event: "E" });
  let flushed = 0;
  const flush = client.flush({ deadlineMs: 3_600_000 }).then(() => {
    flushed += 1;
  });
  for (let index = 0; index < 500; index++) {
    client.track({ userId: `${index}`, event: "E" });
    await clock.advance(10);
  }
  expect(client.accounts()["a"]?.delivered).toBeGreaterThan(900);
  expect(flushed).toBe(0);
  client.track({ userId: "later", event: "E", messageId: "slow too" });
  release();
  await clock.advance(1);
  await flush;
  expect(flushed).toBe(1);
});

test("close at its deadline leaves what is on its way, and counts each of it", async () => {
  const { clock, client, most } = setUp(
    (ownClock) => {
      let answers = 0;
      return async () => {
        await after(ownClock, 50);
        if (++answers > 20) await new Promise(() => undefined);
        return OK;
      };
    },
    10,
    { flushAt: 10 },
  );
  const handles = Array.from({ length: 1_000 }, (_, index) => client.track({ userId: `${index}`, event: "E" }));
  const closed = client.close({ deadlineMs: 2_000 });
  await until(clock, closed);
  expect(most()).toBeGreaterThan(5);
  expect(await closed).toMatchObject({ delivered: 200, rejected: 0, dropped: 0, left: 800 });
  const statuses = await Promise.all(handles.map(({ delivered }) => delivered.then(({ status }) => status)));
  expect(statuses.filter((status) => status === "retryable").length).toBe(800);
});

test("with several requests on their way drop-oldest gives up what waits, and what is on its way arrives", async () => {
  const dropped: string[] = [];
  const arrived: string[] = [];
  const { clock, client } = setUp(
    (ownClock) =>
      async ({ ids }) => {
        await after(ownClock, 100);
        arrived.push(...ids);
        return OK;
      },
    10,
    {
      flushAt: 10,
      queueMaxEvents: 100,
      overflow: "drop-oldest",
      onDrop: ({ messageId }) => dropped.push(messageId as string),
    },
  );
  for (let index = 0; index < 3_000; index++) {
    client.track({ userId: `${index % 70}`, event: "E", messageId: `${index}` });
    if (index % 10 === 0) await clock.advance(2);
  }
  await until(clock, client.close());
  expect(dropped.length).toBeGreaterThan(500);
  expect(arrived.length + dropped.length).toBe(3_000);
  expect(new Set([...arrived, ...dropped]).size).toBe(3_000);
});

test("the width grows by one per good answer while it is used, halves once per round trip, and is never below one", () => {
  const clock = new VirtualClock();
  let events = 1_000_000;
  const store = { pending: () => ({ events, bytes: 0, oldestAtMs: 0 }) };
  const { width, observe } = inFlight(store, { maxEvents: 100, maxBytes: 1_000 }, clock);
  const attempt = { bytes: 1, events: 1, durationMs: 1, retryable: 0, rejected: 0, halted: 0, reason: undefined };
  const answer = (status: number | undefined, atMs = clock.now()): void =>
    observe({ ...attempt, atMs, status, delivered: status === 200 ? 1 : 0 });
  expect(width()).toBe(1);
  for (let answers = 0; answers < 15; answers++) answer(200);
  expect(width()).toBe(16);
  events = 550;
  expect(width()).toBe(5);
  // There was no use for more.
  answer(200);
  events = 0;
  expect(width()).toBe(1);
  events = 1_000_000;
  expect(width()).toBe(16);
  const leftAt = clock.now() - 50;
  answer(429, leftAt);
  expect(width()).toBe(8);
  // Of the same round trip.
  answer(429, leftAt);
  expect(width()).toBe(8);
  clock.jump(100);
  answer(503);
  expect(width()).toBe(4);
  for (let answers = 0; answers < 5; answers++) {
    clock.jump(100);
    answer(undefined);
  }
  expect(width()).toBe(1);
  for (let answers = 0; answers < 100; answers++) answer(200);
  expect(width()).toBe(MAX_IN_FLIGHT);
});

test("a spool has several requests on their way, each user's in order, over close and opening again", async () => {
  const disk = new SimDisk();
  const lock = async (): Promise<{ release(): Promise<void> }> => ({ release: async () => undefined });
  const open = (): World =>
    setUp(
      (ownClock) => async () => {
        await after(ownClock, 100);
        return OK;
      },
      50,
      { spool: createSpool({ disk, lock }, { directory: "/spool", maxBytes: 1024 ** 3 }) },
    );
  const first = open();
  const handles = Array.from({ length: 20_000 }, (_, index) =>
    first.client.track({ userId: `user ${index % 100}`, event: "E", messageId: `${index}` }),
  );
  const outcomes = Promise.all(handles.map(({ delivered }) => delivered));
  for (let step = 0; step < 200; step++) await first.clock.advance(20);
  expect(first.most()).toBeGreaterThan(2);
  const closed = first.client.close({ deadlineMs: 2_000 });
  await until(first.clock, closed);
  const settled = (await outcomes).flatMap(({ status }, index) => (status === "delivered" ? [index] : []));
  expect(settled.length).toBeGreaterThan(0);
  expect(settled.length).toBe((await closed).delivered);
  const arrived = new Set(first.seen.flatMap(({ ids }) => ids));
  expect(settled.filter((index) => !arrived.has(`${index}`))).toEqual([]);

  const second = open();
  await until(second.clock, second.client.flush({ deadlineMs: 1_000_000 }), 50);
  await until(second.clock, second.client.close());
  const firstTimes = new Set([...first.seen, ...second.seen].flatMap(({ ids }) => ids));
  expect(firstTimes.size).toBe(20_000);
  const last = new Map<number, number>();
  const late = [...firstTimes].map(Number).filter((index) => {
    const before = last.get(index % 100) ?? -1;
    last.set(index % 100, index);
    return index <= before;
  });
  expect(late).toEqual([]);
  // What had its outcome is not sent again.
  const again = new Set(second.seen.flatMap(({ ids }) => ids));
  expect(settled.filter((index) => again.has(`${index}`))).toEqual([]);
});
