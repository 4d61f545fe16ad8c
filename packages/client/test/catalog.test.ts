/**
 * Typed events: the compiler is the test (a line marked as an expected error that compiles fails
 * `npm run check`), the run time is the rest.
 */
import { emulators, SeededRandom, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, expectTypeOf, test } from "vitest";
import {
  type Catalog,
  type ClientOptions,
  createClient,
  segment,
  type TypedTrackEvent,
  type WaybillError,
} from "waybill";
import { z } from "zod";
import { createClientOn } from "../src/client.ts";

interface Events {
  readonly "Order Completed": { readonly total: number; readonly currency?: "EUR" | "USD" };
  readonly "Signed Up": { readonly plan?: string };
}

const relay = { url: "http://127.0.0.1:9", writeKey: "dev" };

test("a catalogue of types checks names and properties", async () => {
  const client = createClient<Events>({ relay });
  client.track({ userId: "u", event: "Order Completed", properties: { total: 42, currency: "EUR" } });
  client.track({ userId: "u", event: "Signed Up" });
  // @ts-expect-error: total is required
  client.track({ userId: "u", event: "Order Completed" });
  // @ts-expect-error: total is a number
  client.track({ userId: "u", event: "Order Completed", properties: { total: "42" } });
  // @ts-expect-error: no such event
  client.track({ userId: "u", event: "Order Complete", properties: { total: 42 } });
  // @ts-expect-error: no such property
  client.track({ userId: "u", event: "Signed Up", properties: { paln: "pro" } });
  client.identify({ userId: "u", traits: { anything: true } });
  expectTypeOf<TypedTrackEvent<Events>["event"]>().toEqualTypeOf<"Order Completed" | "Signed Up">();
  expect((await client.close({ deadlineMs: 1 })).left).toBe(7);
});

test("a catalogue of Standard Schema validators gives the same types", async () => {
  const catalog = { "Order Completed": z.object({ total: z.number() }), "Signed Up": z.object({}) };
  const client = createClient({ relay, catalog });
  client.track({ userId: "u", event: "Order Completed", properties: { total: 42 } });
  client.track({ userId: "u", event: "Signed Up" });
  // @ts-expect-error: total is a number
  client.track({ userId: "u", event: "Order Completed", properties: { total: "42" } });
  // @ts-expect-error: total is required
  client.track({ userId: "u", event: "Order Completed" });
  // @ts-expect-error: no such event
  client.track({ userId: "u", event: "Other" });
  type Given = Parameters<typeof client.track>[0];
  expectTypeOf<Given["event"]>().toEqualTypeOf<"Order Completed" | "Signed Up">();
  type Properties = NonNullable<Extract<Given, { readonly event: "Order Completed" }>["properties"]>;
  expectTypeOf<Properties["total"]>().toEqualTypeOf<number>();
  // The same as from types alone, and types alone: nothing is dropped at run time.
  interface SameEvents {
    readonly "Order Completed": { readonly total: number };
    readonly "Signed Up": object;
  }
  const same = createClient<SameEvents>({ relay });
  expectTypeOf<Given["event"]>().toEqualTypeOf<Parameters<typeof same.track>[0]["event"]>();
  expect((await client.close({ deadlineMs: 1 })).left).toBe(5);
  await same.close({ deadlineMs: 1 });
});

test("without a catalogue any name and any properties are taken", async () => {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimNetwork({ clock, random });
  const emulator = new emulators.SegmentEmulator({ clock });
  network.serve("http://a.test", emulator.handle);
  const client = createClientOn(
    { runtime: { clock, random, transport: network.transport }, byteLength: (text) => Buffer.byteLength(text) },
    { destinations: [segment({ url: "http://a.test", writeKey: "k" })], validate: "drop" },
  );
  client.track({ userId: "u", event: "Anything", properties: { goes: [1], at: { any: "depth" } } });
  client.track({ userId: "u", event: "toString" });
  client.track({ userId: "u", event: "Without properties" });
  await clock.advance(1_000);
  expect(emulator.events.map(({ event }) => event)).toMatchObject([
    { event: "Anything", properties: { goes: [1], at: { any: "depth" } } },
    { event: "toString" },
    { event: "Without properties" },
  ]);
  expectTypeOf<Parameters<typeof client.track>[0]["event"]>().toEqualTypeOf<string>();
});

async function run(
  options: Partial<ClientOptions>,
): Promise<{ readonly arrived: unknown[]; readonly errors: string[]; readonly invalid: number | undefined }> {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimNetwork({ clock, random });
  const emulator = new emulators.SegmentEmulator({ clock });
  network.serve("http://a.test", emulator.handle);
  const errors: string[] = [];
  const catalog: Catalog = {
    Order: z.object({ total: z.number(), items: z.array(z.object({ sku: z.string() })).optional() }),
  };
  const client = createClientOn(
    { runtime: { clock, random, transport: network.transport }, byteLength: (text) => Buffer.byteLength(text) },
    {
      destinations: [segment({ url: "http://a.test", writeKey: "k" })],
      catalog,
      onError: (error: WaybillError) => errors.push(error.message),
      ...options,
    },
  );
  client.track({ userId: "u", event: "Order", properties: { total: 1 } });
  client.track({ userId: "u", event: "Order", properties: { total: 1, items: [{ sku: 5 }] } });
  client.track({ userId: "u", event: "Odrer", properties: { total: 1 } });
  await clock.advance(1_000);
  return { arrived: emulator.events, errors, invalid: client.accounts()["segment"]?.dropped.invalid };
}

test("at run time a catalogue does nothing, reports, or drops", async () => {
  expect(await run({})).toMatchObject({ arrived: { length: 3 }, errors: [] });
  const report = await run({ validate: "report" });
  expect(report).toMatchObject({ arrived: { length: 3 } });
  expect(report.errors).toEqual([
    expect.stringContaining('track(): "Order" at items.0.sku: '),
    'track(): "Odrer" is not in the catalog',
  ]);
  expect(await run({ validate: "drop" })).toMatchObject({ arrived: { length: 1 }, invalid: 2 });
});

test("what is not an event is refused as such, whatever the catalogue", async () => {
  const clock = new VirtualClock();
  const transport = new SimNetwork({ clock, random: new SeededRandom(1) }).transport;
  const runtime = { clock, random: new SeededRandom(1), transport };
  for (const validate of ["off", "report", "drop"] as const) {
    const errors: string[] = [];
    const client = createClientOn(
      { runtime, byteLength: (text) => Buffer.byteLength(text) },
      { relay, catalog: { Order: z.object({}) }, validate, onError: ({ message }) => errors.push(message) },
    );
    for (const event of [undefined, null, "Order"]) client.track(event as never);
    expect(errors).toEqual(new Array(3).fill("track(): the event is not an object"));
    expect(client.accounts()["relay"]).toMatchObject({ accepted: 3, dropped: { invalid: 3 } });
  }
});

test("a validator that needs to wait cannot be used at run time, and says so", async () => {
  const catalog: Catalog = { Order: z.object({ total: z.number() }).refine(async () => true), Odrer: z.object({}) };
  const { errors, arrived } = await run({ catalog, validate: "report" });
  expect(errors[0]).toContain("rder");
  expect(arrived).toHaveLength(3);
});
