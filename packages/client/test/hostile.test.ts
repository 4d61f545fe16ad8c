/**
 * Events as only a hostile or broken application makes them: none throws into the host, harms
 * another event, or goes uncounted.
 */
import { emulators, SeededRandom, VirtualClock } from "@waybill/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type ClientOptions, type Drop, segment, type WaybillError } from "waybill";
import { z } from "zod";
import { type Client, createClientOn } from "../src/client.ts";
import { hostOf } from "./lib/scripted-vendor.ts";

interface World {
  readonly clock: VirtualClock;
  readonly client: Client;
  readonly drops: Drop[];
  readonly errors: WaybillError[];
  readonly emulator: emulators.SegmentEmulator;
}

function setUp(options: Partial<ClientOptions> = {}): World {
  const clock = new VirtualClock();
  const emulator = new emulators.SegmentEmulator({ clock });
  const drops: Drop[] = [];
  const errors: WaybillError[] = [];
  const client = createClientOn(hostOf(clock, new SeededRandom(3)), {
    destinations: [segment({ name: "a", url: "http://a.test", writeKey: "k" })],
    transport: async ({ method, url, headers, body }) =>
      emulator.handle({
        method,
        path: new URL(url).pathname,
        headers,
        body: new TextEncoder().encode(body.join("")),
      }) as never,
    onDrop: (drop) => drops.push(drop),
    onError: (error) => errors.push(error),
    ...options,
  });
  return { clock, client, drops, errors, emulator };
}

function throwing(): never {
  throw new Error("from the application");
}
const cyclic: Record<string, unknown> = {};
cyclic["self"] = { cyclic };
let deep: Record<string, unknown> = {};
for (let depth = 0; depth < 100_000; depth++) deep = { deep };
const everyTrap = new Proxy({}, new Proxy({}, { get: () => throwing }));
const withoutText = { toJSON: () => throwNothing() };
function throwNothing(): never {
  throw Object.create(null);
}

/** Each is the only event of its kind that is lost. */
const INVALID: Readonly<Record<string, (client: Client) => unknown>> = {
  nothing: (client) => client.track(undefined as never),
  null: (client) => client.identify(null as never),
  "a text": (client) => client.page("home" as never),
  "a number": (client) => client.group(5 as never),
  "a getter that throws": (client) =>
    client.track({
      userId: "u",
      get event(): string {
        return throwing();
      },
    }),
  "a getter in the properties that throws": (client) =>
    client.track({
      userId: "u",
      event: "E",
      properties: {
        get total() {
          return throwing();
        },
      },
    }),
  "an event that is a proxy of traps": (client) => client.track(everyTrap as never),
  "properties that are a proxy of traps": (client) => client.track({ userId: "u", event: "E", properties: everyTrap }),
  "a BigInt": (client) => client.track({ userId: "u", event: "E", properties: { total: 1n } }),
  cycles: (client) => client.identify({ userId: "u", traits: cyclic }),
  "100,000 levels": (client) => client.identify({ userId: "u", traits: deep }),
  "a toJSON that throws": (client) => client.track({ userId: "u", event: "E", properties: { toJSON: throwing } }),
  "a toJSON that throws what has no text": (client) =>
    client.track({ userId: "u", event: "E", properties: { a: withoutText } }),
  "a toJSON that gives nothing": (client) =>
    client.track({ userId: "u", event: "E", properties: { toJSON: () => undefined } }),
  "a toJSON that gives a text": (client) =>
    client.track({ userId: "u", event: "E", properties: { toJSON: () => "text" } }),
  "a list as properties": (client) => client.track({ userId: "u", event: "E", properties: [1] as never }),
  "a function as context": (client) => client.track({ userId: "u", event: "E", context: throwing as never }),
  "a symbol as id": (client) => client.track({ userId: Symbol("u") as never, event: "E" }),
  "a text object as id": (client) => client.track({ userId: new String("u") as never, event: "E" }),
  "a number as message id": (client) => client.track({ userId: "u", event: "E", messageId: 7 as never }),
  "an invalid Date": (client) => client.track({ userId: "u", event: "E", timestamp: new Date(Number.NaN) }),
  "a text that is not a time": (client) => client.track({ userId: "u", event: "E", timestamp: "soon" }),
  "an object as time": (client) =>
    client.track({ userId: "u", event: "E", timestamp: { toISOString: () => '","userId":"other' } as never }),
};

test.each(Object.entries(INVALID))("%s is dropped as invalid, and the events beside it arrive", async (_name, call) => {
  const { clock, client, drops, errors, emulator } = setUp();
  client.track({ userId: "u", event: "Before" });
  expect(call(client)).toMatchObject({ messageId: "" });
  client.track({ userId: "u", event: "After" });
  await clock.advance(1_000);
  expect(emulator.events.map(({ event }) => event["event"])).toEqual(["Before", "After"]);
  expect(drops).toEqual([{ reason: "invalid", destination: "a" }]);
  expect(errors).toMatchObject([{ code: "WAYBILL_EVENT" }]);
  expect(client.accounts()["a"]).toMatchObject({ accepted: 3, delivered: 2, dropped: { invalid: 1 }, balanced: true });
});

test("what is odd and can be written arrives as JSON has it", async () => {
  const { clock, client, drops, emulator } = setUp();
  const odd = {
    lone: "\ud800",
    ["key \udc00"]: 1,
    [Symbol("s")]: "not seen",
    invalid: new Date(Number.NaN),
    nan: Number.NaN,
    undefined,
    function: throwing,
    nothing: Object.create(null) as object,
    quote: '"}]}',
    separator: "\u2028",
  };
  Object.defineProperty(odd, "__proto__", { value: { polluted: true }, enumerable: true });
  client.track({ userId: "__proto__", event: 'constructor"', messageId: 'id \ud800 " }', properties: odd });
  class Event {
    readonly userId = "of a class";
    get event(): string {
      return "E";
    }
  }
  client.track(new Event());
  client.track(Object.assign(Object.create({ userId: "inherited" }) as { userId: string }, { event: "E" }));
  client.track({ userId: "u", event: "E", timestamp: "1 Jan 2026 12:00 UTC (a comment)" });
  await clock.advance(1_000);
  expect(drops).toEqual([]);
  expect(emulator.events.map(({ event }) => event["userId"])).toEqual(["__proto__", "of a class", "inherited", "u"]);
  expect(emulator.events[3]?.event["timestamp"]).toBe("2026-01-01T12:00:00.000Z");
  const properties = emulator.events[0]?.event["properties"] as object;
  expect(Object.entries(properties)).toEqual([
    ["lone", "\ud800"],
    ["key \udc00", 1],
    ["invalid", null],
    ["nan", null],
    ["nothing", {}],
    ["quote", '"}]}'],
    ["separator", "\u2028"],
    ["__proto__", { polluted: true }],
  ]);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test("an event that is something else at each look is what it was at the first", async () => {
  const { clock, client, emulator } = setUp();
  let looks = 0;
  const { messageId, delivered } = client.track({
    get messageId() {
      return `id-${looks++}`;
    },
    get userId() {
      return looks++ % 2 === 1 ? "u" : (Symbol("u") as never);
    },
    event: "E",
  });
  await clock.advance(1_000);
  expect(messageId).toBe("id-0");
  expect(await delivered).toEqual({ status: "delivered" });
  expect(emulator.events).toMatchObject([{ messageId: "id-0", event: { userId: "u" } }]);
});

test("a validator that throws, waits or gives nonsense is reported, and drops or sends as it was configured", async () => {
  const validators = {
    Throws: { "~standard": { version: 1, validate: throwing } },
    Waits: { "~standard": { version: 1, validate: () => Promise.reject(new Error("late")) } },
    Nonsense: { "~standard": { version: 1, validate: () => undefined } },
    Hostile: {
      "~standard": {
        version: 1,
        validate: () => ({
          get issues() {
            return throwing();
          },
        }),
      },
    },
    Good: z.object({}),
  } as never;
  for (const [validate, arrived] of [
    ["drop", 1],
    ["report", 4],
  ] as const) {
    const { clock, client, errors, emulator } = setUp({ catalog: validators, validate });
    for (const event of ["Throws", "Waits", "Nonsense", "Hostile", "Good"]) client.track({ userId: "u", event });
    await clock.advance(1_000);
    expect(errors).toHaveLength(4);
    // Whether a result that throws at every look names a fault cannot be known: the event is not
    // taken.
    expect(emulator.received).toBe(arrived);
    expect(client.accounts()["a"]).toMatchObject({ accepted: 5, delivered: arrived, balanced: true });
  }
});

test("whatever the properties are, track() neither throws nor loses another event", async () => {
  const { clock, client, emulator, drops } = setUp();
  let calls = 0;
  fc.assert(
    fc.property(
      fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withSparseArray: true,
        withNullPrototype: true,
      }),
      fc.anything({ withBigInt: true }),
      (properties, userId) => {
        calls += 1;
        client.track({ userId, event: "Anything", properties } as never);
        client.track({ userId: "u", event: "Good" });
      },
    ),
    { numRuns: 500 },
  );
  await clock.advance(60_000);
  expect(emulator.events.filter(({ event }) => event["event"] === "Good")).toHaveLength(calls);
  expect(emulator.received + drops.length).toBe(2 * calls);
  expect(client.accounts()["a"]).toMatchObject({ accepted: 2 * calls, pending: 0, balanced: true });
});
