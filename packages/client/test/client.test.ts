import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeClock } from "@waybill/node";
import { SeededRandom, SegmentEmulator, SimNetwork, startServer, VirtualClock } from "@waybill/testing";
import { testStore } from "@waybill/testing/suites";
import { expect, onTestFinished, test } from "vitest";
import { type ClientOptions, createClient, type Drop, segment, type WaybillError } from "waybill";
import { spool } from "waybill/spool";
import { type Client, createClientOn } from "../src/client.ts";
import { QueueStore } from "../src/queue-store.ts";

testStore("queue store", async (texts) => {
  const store = new QueueStore({ makeKey: () => "key", metadata: "", onSettled: () => undefined });
  const push = async (more: readonly string[]): Promise<void> => {
    for (const text of more) store.push({ text, bytes: Buffer.byteLength(text), atMs: 1 });
  };
  await push(texts);
  return { store, push };
});

interface World {
  readonly clock: VirtualClock;
  readonly emulators: Readonly<Record<"a" | "b", SegmentEmulator>>;
  readonly network: SimNetwork;
  readonly client: Client;
  readonly drops: Drop[];
  readonly errors: WaybillError[];
}

function setUp(options: Partial<ClientOptions> = {}): World {
  const clock = new VirtualClock();
  const random = new SeededRandom(5);
  const network = new SimNetwork({ clock, random });
  const emulators = { a: new SegmentEmulator({ clock }), b: new SegmentEmulator({ clock }) };
  network.serve("http://a.test", emulators.a.handle);
  network.serve("http://b.test", emulators.b.handle);
  const drops: Drop[] = [];
  const errors: WaybillError[] = [];
  const client = createClientOn(
    { runtime: { clock, random, transport: network.transport }, byteLength: (text) => Buffer.byteLength(text) },
    {
      destinations: [segment({ name: "a", url: "http://a.test", writeKey: "k" })],
      onDrop: (drop) => drops.push(drop),
      onError: (error) => errors.push(error),
      ...options,
    },
  );
  return { clock, emulators, network, client, drops, errors };
}

const event = (index = 0): { userId: string; event: string; properties: Record<string, unknown> } => ({
  userId: "u",
  event: "E",
  properties: { index },
});
const both = [
  segment({ name: "a", url: "http://a.test", writeKey: "k" }),
  segment({ name: "b", url: "http://b.test", writeKey: "k" }),
];

test("each call arrives as the Segment spec has it", async () => {
  const { client, clock, emulators } = setUp();
  client.identify({ userId: "u", traits: { plan: "pro" } });
  client.group({ userId: "u", groupId: "g", traits: { size: 3 } });
  client.track({
    anonymousId: "anon",
    event: "Order",
    properties: { total: 1.5 },
    context: { ip: "1.2.3.4" },
    integrations: { All: false },
  });
  client.page({ userId: "u", name: "Home", category: "Docs", properties: { path: "/" } });
  client.screen({ userId: "u", name: "Main" });
  client.alias({ userId: "u", previousId: "before", messageId: "own-id", timestamp: "2026-01-01T00:00:00.123456Z" });
  await clock.advance(1_000);
  expect(
    emulators.a.events.map(({ event: { messageId: _messageId, timestamp: _timestamp, ...rest } }) => rest),
  ).toEqual([
    { type: "identify", userId: "u", traits: { plan: "pro" } },
    { type: "group", userId: "u", groupId: "g", traits: { size: 3 } },
    {
      type: "track",
      anonymousId: "anon",
      event: "Order",
      properties: { total: 1.5 },
      context: { ip: "1.2.3.4" },
      integrations: { All: false },
    },
    { type: "page", userId: "u", name: "Home", category: "Docs", properties: { path: "/" } },
    { type: "screen", userId: "u", name: "Main" },
    { type: "alias", userId: "u", previousId: "before" },
  ]);
  expect(emulators.a.events.at(-1)).toMatchObject({
    messageId: "own-id",
    event: { timestamp: "2026-01-01T00:00:00.123456Z" },
  });
});

test("an event is a snapshot: what the caller changes afterwards does not arrive", async () => {
  const { client, clock, emulators } = setUp();
  const properties = { list: [1] };
  client.track({ userId: "u", event: "E", properties });
  properties.list.push(2);
  await clock.advance(1_000);
  expect(emulators.a.events[0]?.event).toMatchObject({ properties: { list: [1] } });
});

test("what is not an event never throws: it is dropped, counted and reported", () => {
  const { client, drops, errors } = setUp();
  const circular: Record<string, unknown> = {};
  circular["self"] = circular;
  const bad = [
    () => client.track({ userId: "u", event: "E", properties: circular }),
    () => client.track({ userId: "u", event: "E", properties: { big: 1n } }),
    () =>
      client.track({
        userId: "u",
        event: "E",
        properties: {
          toJSON: () => {
            throw new Error("no");
          },
        },
      }),
    () => client.track({ event: "E" } as never),
    () => client.track({ userId: "u", event: "" }),
    () => client.track(undefined as never),
    () => client.track({ userId: 7 as never, event: "E" }),
    () => client.group({ userId: "u" } as never),
    () => client.alias({ userId: "u" } as never),
    () => client.page({ userId: "u", timestamp: "never" }),
  ];
  for (const call of bad) expect(call().messageId).toBe("");
  expect(drops).toEqual(bad.map(() => ({ reason: "invalid", destination: "a" })));
  expect(errors.every(({ code }) => code === "WAYBILL_EVENT")).toBe(true);
  expect(client.accounts()["a"]).toMatchObject({ accepted: bad.length, droppedTotal: bad.length, balanced: true });
});

test("callbacks that throw do not reach the caller", () => {
  const { client } = setUp({
    onDrop: () => {
      throw new Error("x");
    },
    onError: () => {
      throw new Error("y");
    },
  });
  expect(() => client.track({ event: "E" } as never)).not.toThrow();
});

test("an event above the limit is dropped with its reason", () => {
  const { client, drops } = setUp({ eventMaxBytes: 200 });
  const { messageId } = client.track({ userId: "u", event: "E", properties: { pad: "ä".repeat(100) } });
  expect(messageId).toBe("");
  expect(drops).toMatchObject([{ reason: "event_too_large" }]);
});

test("a full queue drops the newest, or the oldest, or throws, as configured; never silently", async () => {
  const newest = setUp({ queueMaxEvents: 3, flushAt: 100 });
  const ids = Array.from({ length: 5 }, (_, index) => newest.client.track(event(index)).messageId);
  expect(newest.drops.map(({ reason, messageId }) => [reason, messageId])).toEqual([
    ["queue_full", ids[3]],
    ["queue_full", ids[4]],
  ]);
  const oldest = setUp({ queueMaxEvents: 3, flushAt: 100, overflow: "drop-oldest" });
  const oldIds = Array.from({ length: 5 }, (_, index) => oldest.client.track(event(index)).messageId);
  expect(oldest.drops.map(({ messageId }) => messageId)).toEqual(oldIds.slice(0, 2));
  const throwing = setUp({ queueMaxBytes: 200, flushAt: 100, overflow: "throw" });
  throwing.client.track(event());
  expect(() => throwing.client.track(event())).toThrow(
    expect.objectContaining({ code: "WAYBILL_QUEUE_FULL", retryable: true }),
  );
  for (const { client } of [newest, oldest, throwing]) expect(client.accounts()["a"]?.balanced).toBe(true);
});

test("with overflow throw an event that one destination has no room for is taken by none", async () => {
  const { client, clock, emulators, drops } = setUp({ destinations: both, queueMaxEvents: 2, overflow: "throw" });
  emulators.a.fail({ kind: "hang", times: 1 });
  client.track(event(0));
  client.track(event(1));
  await clock.advance(1_000);
  const full = expect.objectContaining({
    code: "WAYBILL_QUEUE_FULL",
    message: expect.stringContaining("queue of a is"),
  });
  expect(() => client.track(event(2))).toThrow(full);
  expect(drops).toMatchObject([
    { reason: "queue_full", destination: "a" },
    { reason: "queue_full", destination: "b" },
  ]);
  await clock.advance(60_000);
  client.track(event(2));
  await clock.advance(60_000);
  for (const { events } of [emulators.a, emulators.b])
    expect(events.map(({ event: { properties } }) => properties)).toEqual([0, 1, 2].map((index) => ({ index })));
  const account = { accepted: 4, delivered: 3, dropped: { queue_full: 1 }, pending: 0, balanced: true };
  expect(client.accounts()).toMatchObject({ a: account, b: account });
});

test("delivers through 503, 429, resets and silence, in order, each once", async () => {
  const { client, clock, emulators } = setUp({ flushAt: 5, timeoutMs: 1_000 });
  for (const kind of ["status", "reset", "resetAfter", "hang"] as const) {
    emulators.a.fail({ kind, status: 503, times: 2 });
    for (let index = 0; index < 20; index++) client.track(event(index));
    await clock.advance(60_000);
  }
  expect(emulators.a.events.map(({ event: one }) => (one["properties"] as { index: number }).index)).toEqual(
    [0, 1, 2, 3].flatMap(() => Array.from({ length: 20 }, (_, index) => index)),
  );
  expect(client.accounts()["a"]).toMatchObject({ accepted: 80, delivered: 80, pending: 0, balanced: true });
});

test("one destination that is down does not delay the other", async () => {
  const { client, clock, emulators } = setUp({ destinations: both });
  emulators.a.fail({ kind: "hang" });
  for (let index = 0; index < 250; index++) client.track(event(index));
  await clock.advance(1_000);
  expect([emulators.a.received, emulators.b.received]).toEqual([0, 250]);
  expect(client.accounts()).toMatchObject({
    a: { pending: 250, balanced: true },
    b: { delivered: 250, balanced: true },
  });
});

test("flush is a barrier over everything captured before it", async () => {
  const { client, clock, emulators } = setUp();
  for (let index = 0; index < 7; index++) client.track(event(index));
  const flushed = client.flush();
  await clock.advance(100);
  expect(await flushed).toEqual({ delivered: 7, rejected: 0, dropped: 0, left: 0 });
  expect(emulators.a.received).toBe(7);
});

test("flush gives up at its deadline and says what is left", async () => {
  const { client, clock, emulators } = setUp();
  emulators.a.fail({ kind: "status", status: 503 });
  client.track(event());
  const flushed = client.flush({ deadlineMs: 2_000 });
  await clock.advance(2_001);
  expect(await flushed).toMatchObject({ delivered: 0, left: 1 });
});

test("close delivers what is there, is idempotent, and refuses what comes later", async () => {
  const { client, clock, emulators, drops } = setUp();
  for (let index = 0; index < 3; index++) client.track(event(index));
  const closed = client.close();
  expect(client.close()).toBe(closed);
  await clock.advance(100);
  expect(await closed).toEqual({ delivered: 3, rejected: 0, dropped: 0, left: 0 });
  client.track(event());
  expect(drops).toEqual([{ reason: "closed", destination: "a" }]);
  expect(emulators.a.received).toBe(3);
});

test("close during an outage ends at its deadline and says what was left", async () => {
  const { client, clock, emulators } = setUp();
  emulators.a.fail({ kind: "hang" });
  for (let index = 0; index < 150; index++) client.track(event(index));
  const closed = client.close({ deadlineMs: 3_000 });
  await clock.advance(3_001);
  expect(await closed).toEqual({
    delivered: 0,
    rejected: 0,
    dropped: 0,
    left: 150,
    destinations: { a: { mode: "waiting", reason: "no answer from http://a.test: No answer: aborted", left: 150 } },
  });
});

test("a handle's promise ends with the outcome, the worst of several destinations", async () => {
  const { client, clock, emulators } = setUp({ destinations: both });
  emulators.b.fail({ kind: "status", status: 422, times: 1 });
  const good = client.track(event());
  const outcome = good.delivered;
  await clock.advance(1_000);
  expect(await outcome).toMatchObject({ status: "rejected" });
  const next = client.track(event()).delivered;
  await clock.advance(1_000);
  expect(await next).toEqual({ status: "delivered" });
  expect(await client.track({ event: "no id" } as never).delivered).toMatchObject({
    status: "dropped",
    reason: "invalid",
  });
});

test("a rejected event is reported with what the vendor said", async () => {
  const { client, clock, emulators, drops } = setUp();
  emulators.a.fail({ kind: "status", status: 422, times: 1 });
  const { messageId } = client.track(event());
  await clock.advance(1_000);
  expect(drops).toEqual([
    { reason: "rejected", detail: "422 unavailable: injected failure", messageId, destination: "a" },
  ]);
});

test("waitUntil is given a promise that ends when the event is delivered", async () => {
  const waiting: Promise<unknown>[] = [];
  const { client, clock, emulators } = setUp({ flushAt: 1, waitUntil: (promise) => waiting.push(promise) });
  client.track(event());
  expect(waiting).toHaveLength(1);
  await clock.advance(100);
  await waiting[0];
  expect(emulators.a.received).toBe(1);
});

test("wrong options are refused with everything that is wrong and the nearest names", () => {
  expect(() => createClient({ flushat: 1, relay: { url: "http://x", writeKey: "k" } } as never)).toThrow(
    'unknown option "flushat"; did you mean "flushAt"?',
  );
  expect(() => createClient({} as never)).toThrow("give either destinations or relay");
  expect(() => createClient({ relay: { url: "x", writeKey: "k" } })).toThrow(
    'relay: option "url" is "x"; it must be an http or https URL',
  );
  expect(() => createClient({ destinations: [both[0] as never, both[0] as never] })).toThrow("same name");
  expect(() => segment({ writeKey: "" })).toThrow('option "writeKey" is ""; it must be a string that is not empty');
});

test("whatever createClient is given, it throws WAYBILL_OPTIONS, with every fault", () => {
  const relay = { url: "http://relay.test", writeKey: "k" };
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const wrong: readonly (readonly [given: unknown, message: string])[] = [
    [undefined, "createClient: the options are undefined; they must be an object"],
    [null, "createClient: the options are null; they must be an object"],
    [[], "createClient: the options are an array; they must be an object"],
    [{ destinations: [{}] }, "createClient: each of destinations must be made by segment() or another vendor"],
    [{ destinations: [both[0], null] }, "createClient: each of destinations must be made by segment()"],
    [{ destinations: {} }, 'createClient: option "destinations" is an object; it must be an array'],
    [{ relay: "http://relay.test" }, 'createClient: option "relay" is "http://relay.test"; it must be an object'],
    [{ destinations: null }, 'createClient: option "destinations" is null; it must be an array'],
    [{ relay, context: { at: 1n } }, "createClient: context: "],
    [{ relay, context: cyclic }, "createClient: context: "],
    [{ relay, spool: { directory: "/spool" } }, "createClient: spool must be made by spool() of waybill/spool"],
    [
      { flushAt: 0, relay: { url: "nope", writeKey: "" }, spool: {} },
      'createClient: option "flushAt" is 0; it must be a whole number from 1 to 100000; relay: option "url" is "nope"; it must be an http or https URL; option "writeKey" is ""; it must be a string that is not empty; spool must be made by spool() of waybill/spool',
    ],
  ];
  for (const [given, message] of wrong)
    expect(() => createClient(given as never), message).toThrow(
      expect.objectContaining({ code: "WAYBILL_OPTIONS", message: expect.stringContaining(message) }),
    );
  expect(() => createClient({ relay: "http://relay.test" } as never)).toThrow(/must be an object$/);
});

/** Runs a program against the built package; resolves to its output once it has ended. */
async function program(
  code: string,
  signalAfterLine?: string,
): Promise<{ readonly output: string; readonly signal: string | null; readonly code: number | null }> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    cwd: new URL(".", import.meta.url),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += String(chunk);
    if (signalAfterLine !== undefined && output.includes(signalAfterLine)) child.kill("SIGKILL");
  });
  const [exitCode, signal] = (await once(child, "close")) as [number | null, string | null];
  return { output, signal, code: exitCode };
}

test("nothing keeps the process alive, but flush and close hold it until they are done", async () => {
  const emulator = new SegmentEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const start = `import { createClient } from "waybill"; const client = createClient({ flushIntervalMs: 60000, relay: { url: ${JSON.stringify(server.url)}, writeKey: "k" } }); client.track({ userId: "u", event: "E" });`;
  expect((await program(start)).code).toBe(0);
  expect(emulator.received).toBe(0);
  expect(
    (await program(`${start} client.close().then((summary) => console.log(JSON.stringify(summary)));`)).output,
  ).toBe('{"delivered":1,"rejected":0,"dropped":0,"left":0}\n');
  expect(emulator.received).toBe(1);
});

test("what the spool has outlives SIGKILL, and the next process delivers it once", async () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-spool-"));
  const emulator = new SegmentEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(async () => {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  emulator.fail({ kind: "status", status: 503 });
  const code = `import { createClient } from "waybill"; import { spool } from "waybill/spool"; import { readdirSync, statSync } from "node:fs";
    const client = createClient({ relay: { url: ${JSON.stringify(server.url)}, writeKey: "k" }, spool: spool({ directory: ${JSON.stringify(directory)} }) });
    for (let index = 0; index < 500; index++) client.track({ userId: "u", event: "E", properties: { index } });
    const log = ${JSON.stringify(`${directory}/log`)};
    setInterval(() => { try { if (readdirSync(log).some((name) => statSync(log + "/" + name).size > 50000)) console.log("spooled"); } catch {} }, 5);`;
  expect((await program(code, "spooled")).signal).toBe("SIGKILL");
  expect(emulator.received).toBe(0);
  emulator.recover();
  const client = createClient({ relay: { url: server.url, writeKey: "k" }, spool: spool({ directory }) });
  client.track({ userId: "u", event: "Last" });
  expect(await client.close()).toEqual({ delivered: 501, rejected: 0, dropped: 0, left: 0 });
  expect(emulator.received).toBe(501);
  expect(emulator.events.at(-1)?.event["event"]).toBe("Last");
});

test("what close could not deliver stays in the spool", async () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-spool-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const options = { relay: { url: "http://127.0.0.1:9", writeKey: "k" }, spool: spool({ directory }) };
  const first = createClient(options);
  for (let index = 0; index < 10; index++) first.track(event(index));
  expect(await first.close({ deadlineMs: 2_000 })).toEqual({
    delivered: 0,
    rejected: 0,
    dropped: 0,
    left: 10,
    destinations: { relay: { mode: "waiting", reason: "no answer from http://127.0.0.1:9: refused", left: 10 } },
  });
  const second = createClient(options);
  await second.flush({ deadlineMs: 2_000 });
  expect(second.accounts()["relay"]).toMatchObject({ pending: 10, balanced: true });
  await second.close({ deadlineMs: 50 });
});
