/**
 * One client, many vendors: what canonical events become at each, and that one's outage is nobody
 * else's.
 */
import { emulators, SeededRandom, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { type ClientOptions, createClient, type Drop, segment } from "waybill";
import { getfluxly } from "waybill/getfluxly";
import { letter } from "waybill/letter";
import { trophy } from "waybill/trophy";
import { valued } from "waybill/valued";
import { type Client, createClientOn } from "../src/client.ts";

interface World {
  readonly clock: VirtualClock;
  readonly client: Client;
  readonly drops: Drop[];
  readonly letter: emulators.LetterEmulator;
  readonly getfluxly: emulators.GetFluxlyEmulator;
  readonly trophy: emulators.TrophyEmulator;
  readonly valued: emulators.ValuedEmulator;
  readonly segment: emulators.SegmentEmulator;
  finish(): Promise<void>;
}

function setUp(options: Partial<ClientOptions> = {}): World {
  const clock = new VirtualClock();
  const random = new SeededRandom(5);
  const network = new SimNetwork({ clock, random });
  const vendors = {
    letter: new emulators.LetterEmulator({ clock }),
    getfluxly: new emulators.GetFluxlyEmulator({ clock }),
    trophy: new emulators.TrophyEmulator({ clock, metrics: ["words", "order-completed"], eventAttributes: ["source"] }),
    valued: new emulators.ValuedEmulator({ clock }),
    segment: new emulators.SegmentEmulator({ clock }),
  };
  for (const [name, emulator] of Object.entries(vendors)) network.serve(`http://${name}.test`, emulator.handle);
  const drops: Drop[] = [];
  const client = createClientOn(
    { runtime: { clock, random, transport: network.transport }, byteLength: (text) => Buffer.byteLength(text) },
    {
      destinations: [
        letter({ apiKey: "lt_live_1", url: "http://letter.test" }),
        getfluxly({ token: "gflux_secret_1", url: "http://getfluxly.test" }),
        trophy({
          apiKey: "k",
          url: "http://trophy.test/v1",
          metrics: {
            "Order Completed": "order-completed",
            Wrote: { metric: "words", value: "count", attributes: ["source"] },
          },
        }),
        valued({ token: "t", url: "http://valued.test/events" }),
        segment({ writeKey: "w", url: "http://segment.test" }),
      ],
      onDrop: (drop) => drops.push(drop),
      ...options,
    },
  );
  return {
    clock,
    client,
    drops,
    ...vendors,
    async finish() {
      let over = false;
      void client.close().then(() => {
        over = true;
      });
      await clock.until(() => over);
    },
  };
}

const AT = "2026-03-01T10:00:00.250Z";

test("each kind of event reaches each vendor in its own format", async () => {
  const world = setUp({ context: { timezone: "Europe/Rome" } });
  const { client } = world;
  client.identify({
    userId: "u",
    anonymousId: "a",
    traits: { email: "ada@b.test", name: "Ada", plan: "pro" },
    timestamp: AT,
    messageId: "m-identify",
  });
  client.group({ userId: "u", groupId: "acct", traits: { name: "Engines", size: 3 }, timestamp: AT });
  client.track({
    userId: "u",
    event: "Order Completed",
    properties: { value: 42, id: 1 },
    context: { groupId: "acct" },
    timestamp: AT,
    messageId: "01890a5d-ac96-774b-bcce-b302099a8057",
  });
  client.track({ userId: "u", event: "Wrote", properties: { count: 250, source: "web" } });
  client.page({ userId: "u", name: "Home", properties: { url: "https://x.test/", title: "Start" }, timestamp: AT });
  client.alias({ userId: "u", previousId: "before" });
  await world.finish();

  expect(world.letter.contacts.get("u")).toEqual({
    userId: "u",
    email: "ada@b.test",
    timezone: "Europe/Rome",
    traits: { email: "ada@b.test", name: "Ada", plan: "pro" },
  });
  expect(world.letter.accounts.get("acct")).toMatchObject({ name: "Engines", traits: { size: 3 } });
  expect(world.letter.events).toMatchObject([
    {
      type: "track",
      userId: "u",
      event: "Order Completed",
      properties: { value: 42 },
      timestamp: AT,
      messageId: "01890a5d-ac96-774b-bcce-b302099a8057",
    },
    { event: "Wrote" },
  ]);

  expect(world.getfluxly.events.map(({ event }) => event)).toEqual([
    "$identify",
    "order_completed",
    "wrote",
    "page_viewed",
  ]);
  expect(world.getfluxly.events[1]).toMatchObject({
    user_id: "u",
    properties: { value: 42, id: 1 },
    occurred_at: AT,
    message_id: "01890a5d-ac96-474b-bcce-b302099a8057",
  });
  expect(world.getfluxly.events[3]).toMatchObject({ properties: { name: "Home", url: "https://x.test/" } });
  expect(world.getfluxly.posts.at(-1)).toMatchObject({
    path: "/v1/identify/alias",
    body: '{"user_id":"u","previous_id":"before"}',
  });

  expect(world.trophy.users.get("u")?.fields).toMatchObject({ email: "ada@b.test", name: "Ada", tz: "Europe/Rome" });
  expect(world.trophy.events).toMatchObject([
    { metric: "order-completed", value: 42, idempotencyKey: "01890a5d-ac96-774b-bcce-b302099a8057" },
    { metric: "words", value: 250, attributes: { source: "web" } },
  ]);

  expect(world.valued.events.map(({ category }) => String(category)).toSorted()).toEqual([
    "action",
    "action",
    "pageview",
    "sync",
    "sync",
  ]);
  expect(world.valued.users.get("u")).toMatchObject({ plan: "pro" });
  expect(world.valued.customers.get("acct")).toMatchObject({ size: 3, memberships: [{ user_id: "u" }] });
  expect(world.valued.events.find(({ key }) => key === "Order Completed")).toMatchObject({
    user: { id: "u" },
    customer: { id: "acct" },
    attributes: { value: 42 },
    occured_at: "2026-03-01T10:00:00Z",
  });
  expect(world.valued.events.find(({ category }) => category === "pageview")).toMatchObject({
    attributes: { source: { url: "https://x.test/", page_title: "Start" } },
  });
  expect(world.valued.rejected).toEqual([]);
  expect(world.segment.events).toHaveLength(6);
});

test("what a vendor cannot say is dropped with a reason, the ledgers balance, and a handle is not worse for it", async () => {
  const world = setUp();
  const { delivered } = world.client.screen({ userId: "u", name: "Main" });
  world.client.track({ anonymousId: "a", event: "Seen" });
  world.client.track({ userId: "u", event: "Только" });
  world.client.track({ userId: "u", event: "Chosen", integrations: { All: false, Letter: true } });
  await world.finish();
  expect(await delivered).toEqual({ status: "delivered" });
  const accounts = world.client.accounts();
  for (const account of Object.values(accounts))
    expect(account).toMatchObject({ accepted: 4, balanced: true, pending: 0 });
  expect(accounts["letter"]).toMatchObject({ delivered: 2, dropped: { unsupported: 2 } });
  expect(accounts["getfluxly"]).toMatchObject({ delivered: 2, dropped: { unsupported: 1, filtered: 1 } });
  expect(accounts["trophy"]).toMatchObject({ delivered: 0, dropped: { unsupported: 3, filtered: 1 } });
  expect(accounts["valued"]).toMatchObject({ delivered: 1, dropped: { unsupported: 2, filtered: 1 } });
  expect(world.drops.filter(({ destination }) => destination === "letter")).toMatchObject([
    { reason: "unsupported" },
    { reason: "unsupported" },
  ]);
});

test("the mapping of an event can be replaced by name: another name, nothing, or the vendor's own event", async () => {
  const world = setUp({
    destinations: [
      letter({
        apiKey: "lt_live_1",
        url: "http://letter.test",
        events: {
          Debug: false,
          Bought: "Order Completed",
          $page: ({ userId = "", name, messageId }) => ({
            type: "track",
            userId,
            event: `Saw ${name}`,
            properties: {},
            messageId,
          }),
          Broken: () => {
            throw new Error("from the application");
          },
        },
      }),
    ],
  });
  world.client.track({ userId: "u", event: "Debug" });
  world.client.track({ userId: "u", event: "Bought" });
  world.client.page({ userId: "u", name: "Home" });
  const { delivered } = world.client.track({ userId: "u", event: "Broken" });
  await world.finish();
  expect(world.letter.events.map(({ event }) => event)).toEqual(["Order Completed", "Saw Home"]);
  expect(await delivered).toEqual({
    status: "rejected",
    reason: 'the mapping of "Broken" threw: from the application',
  });
  expect(world.client.accounts()["letter"]).toMatchObject({ delivered: 2, rejected: 1, dropped: { filtered: 1 } });
});

test("one vendor's outage touches no other, and nothing is lost when it is over", async () => {
  const world = setUp();
  const { clock, client } = world;
  world.letter.fail({ kind: "status", status: 503 });
  world.trophy.fail({ kind: "hang" });
  world.valued.fail({ kind: "status", status: 401 });
  const numbers = Array.from({ length: 300 }, (_, index) => index);
  for (const index of numbers) {
    // Valued has no ids: the number tells which events came.
    client.track({ userId: `u-${index % 7}`, event: "Order Completed", properties: { value: 1, number: index } });
    if (index % 50 === 0) await clock.advance(300);
  }
  await clock.advance(2_000);
  expect(world.getfluxly.events).toHaveLength(300);
  expect(world.segment.received).toBe(300);
  expect(world.letter.events).toHaveLength(0);
  for (const emulator of [world.letter, world.trophy, world.valued]) emulator.recover();
  await clock.advance(120_000);
  await world.finish();
  expect(new Set(world.letter.events.map(({ messageId }) => messageId)).size).toBe(300);
  expect(new Set(world.trophy.events.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(300);
  expect(world.letter.events).toHaveLength(300);
  expect(world.trophy.events).toHaveLength(300);
  const arrived = world.valued.events.map(({ attributes }) => (attributes as { readonly number: number }).number);
  expect(arrived.toSorted((a, b) => a - b)).toEqual(numbers);
  for (const account of Object.values(client.accounts()))
    expect(account).toMatchObject({ delivered: 300, balanced: true });
});

test("Trophy gets the events of one user one after another, those of several users at the same time", async () => {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimNetwork({ clock, random, latencyMs: 10 });
  const emulator = new emulators.TrophyEmulator({ clock });
  network.serve("http://trophy.test", emulator.handle);
  const open = new Map<string, number>();
  let together = 0;
  let sameUser = 0;
  const client = createClientOn(
    { runtime: { clock, random, transport: network.transport }, byteLength: (text) => Buffer.byteLength(text) },
    {
      destinations: [trophy({ apiKey: "k", url: "http://trophy.test" })],
      transport: async (request, signal) => {
        const user = /"id":"([^"]+)"/.exec(String(request.body[0]))?.[1] ?? "";
        open.set(user, (open.get(user) ?? 0) + 1);
        sameUser = Math.max(sameUser, open.get(user) ?? 0);
        together = Math.max(
          together,
          [...open.values()].reduce((sum, count) => sum + count, 0),
        );
        try {
          return await network.transport(request, signal);
        } finally {
          open.set(user, (open.get(user) ?? 1) - 1);
        }
      },
    },
  );
  for (let index = 0; index < 60; index++)
    client.track({ userId: `u-${index % 6}`, event: "Wrote", properties: { value: index } });
  await clock.advance(5_000);
  expect(emulator.events).toHaveLength(60);
  expect(sameUser).toBe(1);
  expect(together).toBeGreaterThan(3);
  for (let user = 0; user < 6; user++) {
    const values = emulator.events.filter((event) => event.user === `u-${user}`).map(({ value }) => value);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  }
});

test("an event that is larger than its vendor takes is rejected alone and beside others alike", async () => {
  for (const others of [0, 3]) {
    const destinations = [getfluxly({ token: "gflux_secret_1", url: "http://getfluxly.test" })];
    const { client, drops, finish } = setUp({ destinations, eventMaxBytes: 100_000 });
    const track = (length: number): string =>
      client.track({ userId: "u", event: "report_exported", properties: { text: "x".repeat(length) } }).messageId;
    for (let count = 0; count < others; count++) track(10);
    const messageId = track(40_000);
    await finish();
    const detail = expect.stringMatching(/^event of 40\d+ bytes;/);
    expect(drops).toEqual([{ reason: "rejected", detail, messageId, destination: "getfluxly" }]);
    expect(client.accounts()["getfluxly"]).toMatchObject({ delivered: others, rejected: 1, pending: 0 });
  }
});

test("wrong options of a destination are refused with the nearest name", () => {
  expect(() => letter({ apiKey: "" })).toThrow('letter: option "apiKey" is ""; it must be a string that is not empty');
  expect(() => getfluxly({ tokn: "x" } as never)).toThrow('did you mean "token"');
  expect(() => trophy({ apiKey: "k", url: "ftp://x" })).toThrow("must be an http or https URL");
  expect(() => valued({ token: "t", events: [] as never })).toThrow("events");
  for (const make of [
    () => letter({ apiKey: "secret\n" }),
    () => getfluxly({ token: "secret\n" }),
    () => trophy({ apiKey: "secret\n" }),
    () => trophy({ apiKey: "k", tenantId: "secret\n" }),
  ])
    expect(make).toThrow(/^\w+: option "(?:apiKey|token|tenantId)" has a character that HTTP does not allow/);
});

test("a defect of one destination is reported, keeps its events and ends nothing; the other destination and close go on", async () => {
  const errors: { readonly code: string; readonly message: string }[] = [];
  const posts: string[] = [];
  const protocol = {
    limits: { maxEvents: 10, maxBytes: 10_000 },
    maxEventBytes: 10_000,
    request: () => ({ method: "POST", url: "http://x.test/", headers: {}, body: [] }) as const,
    // Too few outcomes: nobody can say what became of the events.
    classify: () => [],
  };
  const client = createClient({
    destinations: [{ name: "broken", protocol }, segment({ writeKey: "k", name: "whole" })],
    transport: async ({ url }) => {
      posts.push(url);
      return { status: 200, headers: {}, body: "" };
    },
    onError: (error) => errors.push(error),
  });
  client.track({ event: "E", userId: "u" });
  await client.flush();
  expect(errors).toEqual([
    expect.objectContaining({ code: "WAYBILL_DEFECT", message: expect.stringContaining("broken failed") }),
  ]);
  expect(client.accounts()).toMatchObject({
    broken: { pending: 1, balanced: true },
    whole: { delivered: 1, pending: 0 },
  });
  expect(await client.close({ deadlineMs: 1_000 })).toMatchObject({ delivered: 1, left: 1 });
  expect(posts).toContain("https://api.segment.io/v1/batch");
});
