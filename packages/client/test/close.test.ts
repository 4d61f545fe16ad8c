/**
 * `close` and `flush` end within their deadline whatever transports and callbacks do, and what
 * comes later changes nothing.
 */
import type { HttpResponse, Outcome, Transport } from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { type ClientOptions, type Drop, segment, type WaybillError } from "waybill";
import { type Client, createClientOn } from "../src/client.ts";
import { hostOf } from "./lib/scripted-vendor.ts";

const OK: HttpResponse = { status: 200, headers: {}, body: "{}" };

interface World {
  readonly clock: VirtualClock;
  readonly client: Client;
  readonly drops: Drop[];
  readonly errors: WaybillError[];
}

function setUp(transport: Transport, options: Partial<ClientOptions> = {}): World {
  const clock = new VirtualClock();
  const drops: Drop[] = [];
  const errors: WaybillError[] = [];
  const client = createClientOn(hostOf(clock, new SeededRandom(3)), {
    destinations: [segment({ name: "a", url: "http://a.test", writeKey: "k" })],
    transport,
    onDrop: (drop) => drops.push(drop),
    onError: (error) => errors.push(error),
    ...options,
  });
  return { clock, client, drops, errors };
}

function track(client: Client, events: number): Promise<Outcome>[] {
  return Array.from({ length: events }, () => client.track({ userId: "u", event: "E" }).delivered);
}

/** What the promise has given by now. */
async function nowOf<T>(promise: Promise<T>): Promise<T | "not yet"> {
  return Promise.race([promise, new Promise<"not yet">((resolve) => setImmediate(() => resolve("not yet")))]);
}

const NEVER = (): Promise<never> => new Promise(() => undefined);
/** What makes a thenable; an application may give one back. */
const THEN: string = ["th", "en"].join("");
/** A promise that settles in several ways, several times. */
const twice: Transport = () =>
  ({
    [THEN](resolve: (response: HttpResponse) => void, reject: (error: unknown) => void) {
      reject(new Error("first"));
      resolve(OK);
      resolve(OK);
      throw new Error("and thrown");
    },
  }) as unknown as Promise<HttpResponse>;

const BAD_TRANSPORTS: Readonly<Record<string, Transport>> = {
  "never settles and ignores the abort": NEVER,
  "throws synchronously": () => {
    throw new Error("at once");
  },
  "throws nothing": () => {
    throw undefined;
  },
  "rejects with undefined": () => Promise.reject(undefined),
  "rejects with what throws at every look": () =>
    Promise.reject(
      new Proxy(
        {},
        {
          get() {
            throw new Error("get");
          },
          has() {
            throw new Error("has");
          },
          getPrototypeOf() {
            throw new Error("getPrototypeOf");
          },
        },
      ),
    ),
  "calls back twice": twice,
  "gives back nothing": () => Promise.resolve(undefined as never),
  "gives back what throws at every look": () =>
    Promise.resolve(
      new Proxy({} as HttpResponse, {
        get(_target, name) {
          if (name === "then") return undefined;
          throw new Error("get");
        },
      }),
    ),
  "is not a promise": () => 200 as never,
};

test.each(Object.entries(BAD_TRANSPORTS))(
  "close ends at its deadline, with the events counted, when the transport %s",
  async (_name, transport) => {
    const { clock, client, drops } = setUp(transport);
    const outcomes = track(client, 50);
    await clock.advance(300);
    const closed = client.close({ deadlineMs: 1_000 });
    await clock.advance(999);
    expect(await nowOf(closed)).toBe("not yet");
    await clock.advance(1);
    expect(await nowOf(closed)).toMatchObject({ delivered: 0, rejected: 0, dropped: 0, left: 50 });
    for (const outcome of outcomes)
      expect(await nowOf(outcome)).toEqual({ status: "retryable", reason: "left at close" });
    expect(drops).toEqual([]);
    expect(client.accounts()["a"]).toMatchObject({ accepted: 50, pending: 50, balanced: true });
    await clock.advance(60_000);
    expect(clock.timers).toBe(0);
  },
);

test("an answer that comes after the deadline of close changes no count, no outcome, and reports nothing", async () => {
  for (const late of [OK, { ...OK, body: '{"rejected":[{"index":0,"code":"bad","message":"late"}]}' }]) {
    let answer: (response: HttpResponse) => void = () => undefined;
    const { clock, client, drops } = setUp(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const [outcome] = track(client, 1);
    await clock.advance(300);
    const closed = client.close({ deadlineMs: 100 });
    await clock.advance(100);
    const summary = await nowOf(closed);
    expect(summary).toMatchObject({ delivered: 0, left: 1 });
    answer(late);
    await clock.advance(10_000);
    expect(await outcome).toEqual({ status: "retryable", reason: "left at close" });
    expect(client.accounts()["a"]).toMatchObject({ delivered: 0, rejected: 0, pending: 1, balanced: true });
    expect(drops).toEqual([]);
    // A call after the close is still counted.
    client.track({ userId: "u", event: "E" });
    expect(client.accounts()["a"]).toMatchObject({ accepted: 2, droppedTotal: 1, pending: 1, balanced: true });
  }
});

test("close ends in every state of a destination", async () => {
  const answers: Readonly<Record<string, Transport>> = {
    idle: async () => OK,
    waiting: async () => ({ ...OK, status: 503 }),
    halted: async () => ({ ...OK, status: 401 }),
  };
  for (const [state, transport] of Object.entries(answers)) {
    const { clock, client } = setUp(transport);
    if (state !== "idle") void track(client, 3);
    await clock.advance(400);
    expect(client.accounts()["a"]?.mode).toBe(state);
    const closed = client.close({ deadlineMs: 500 });
    await clock.advance(500);
    expect(await nowOf(closed)).toMatchObject({ left: state === "idle" ? 0 : 3 });
  }
  // A destination that a defect stopped.
  const { clock, client, errors } = setUp(async () => OK, {
    destinations: [
      {
        ...segment({ name: "a", url: "http://a.test", writeKey: "k" }),
        translate: () => ({
          send: async () => {
            throw new TypeError("a defect");
          },
        }),
      },
    ],
  });
  const [outcome] = track(client, 3);
  await clock.advance(400);
  expect(client.accounts()["a"]).toMatchObject({ mode: "failed", reason: "a defect", pending: 3 });
  expect(errors).toMatchObject([{ code: "WAYBILL_DEFECT", message: "a failed: a defect" }]);
  const closed = client.close({ deadlineMs: 500 });
  await clock.advance(500);
  expect(await nowOf(closed)).toMatchObject({ left: 3, destinations: { a: { mode: "failed", reason: "a defect" } } });
  expect(await outcome).toMatchObject({ reason: "left at close" });
});

test("close tries a halted destination once more: flush does not, and what halts again ends at once", async () => {
  for (const isOver of [true, false]) {
    let status = 404;
    let requests = 0;
    const { clock, client } = setUp(async () => {
      requests += 1;
      return { ...OK, status };
    });
    const [outcome] = track(client, 3);
    await clock.advance(400);
    expect(await nowOf(client.flush())).toMatchObject({ left: 3 });
    expect(requests).toBe(1);
    if (isOver) status = 200;
    const closed = client.close({ deadlineMs: 8_000 });
    await clock.advance(0);
    expect(await nowOf(closed)).toMatchObject(
      isOver ? { delivered: 3, left: 0 } : { left: 3, destinations: { a: { mode: "halted" } } },
    );
    expect(await nowOf(outcome as Promise<Outcome>)).toMatchObject({ status: isOver ? "delivered" : "retryable" });
    expect(requests).toBe(2);
  }
});

test("close may be called from a callback, from a getter of an event, and while it runs", async () => {
  let close = (): unknown => undefined;
  const { clock, client, drops } = setUp(async () => ({ ...OK, status: 503 }), { onError: () => close() as never });
  close = () => client.close({ deadlineMs: 100 });
  void track(client, 1);
  await clock.advance(1_000);
  expect(await client.close()).toMatchObject({ left: 1 });
  const hostile = setUp(async () => OK);
  const { messageId } = hostile.client.track({
    userId: "u",
    event: "E",
    get properties() {
      void hostile.client.close();
      return {};
    },
  });
  await hostile.clock.advance(100);
  expect(messageId).toBe("");
  expect(hostile.drops).toMatchObject([{ reason: "closed" }]);
  expect(hostile.client.accounts()["a"]).toMatchObject({ accepted: 1, droppedTotal: 1, balanced: true });
  expect(drops).toEqual([]);
});

test("flush ends at its deadline, and deadlines that are none are the default", async () => {
  const { clock, client } = setUp(NEVER);
  void track(client, 2);
  for (const deadlineMs of [Number.NaN, -1, "soon", null, {}] as never[]) {
    const flushed = client.flush({ deadlineMs });
    await clock.advance(29_999);
    expect(await nowOf(flushed)).toBe("not yet");
    await clock.advance(1);
    expect(await nowOf(flushed)).toMatchObject({ left: 2 });
  }
  const flushed = client.flush(null as never);
  await clock.advance(30_000);
  expect(await nowOf(flushed)).toMatchObject({ left: 2 });
  const closed = client.close({ deadlineMs: 0 });
  await clock.advance(0);
  expect(await nowOf(closed)).toMatchObject({ left: 2 });
});

test("callbacks that throw, reject, or never end reach neither the caller nor the events", async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => {
    unhandled.push(reason);
  };
  process.on("unhandledRejection", note);
  onTestFinished(() => {
    process.off("unhandledRejection", note);
  });
  const misdeeds: readonly (() => unknown)[] = [
    () => {
      throw new Error("thrown");
    },
    async () => {
      throw new Error("rejected");
    },
    NEVER,
    () => ({
      get [THEN]() {
        throw new Error("a getter");
      },
    }),
  ];
  for (const misdeed of misdeeds) {
    let answers = 0;
    const { clock, client } = setUp(async () => (answers++ === 0 ? { ...OK, status: 503 } : OK), {
      onDrop: misdeed as never,
      onError: misdeed as never,
      waitUntil: misdeed as never,
      flushAt: 1,
    });
    client.track({ event: "without an id" } as never);
    const [outcome] = track(client, 1);
    await clock.advance(5_000);
    expect(await nowOf(outcome as Promise<Outcome>)).toEqual({ status: "delivered" });
    expect(client.accounts()["a"]).toMatchObject({ accepted: 2, delivered: 1, droppedTotal: 1, balanced: true });
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled).toEqual([]);
});

test("what waitUntil throws is reported", async () => {
  const { client, errors } = setUp(async () => OK, {
    waitUntil: () => {
      throw new Error("not in a request");
    },
  });
  void track(client, 1);
  expect(errors).toMatchObject([{ code: "WAYBILL_EVENT", message: "waitUntil(): not in a request" }]);
});
