/**
 * Amplitude as a destination against its emulator: its contract, and what each of its refusals
 * makes of each event.
 */
import { createSender, fullJitter, type Outcome, TextBatch } from "@waybill/core";
import { emulators, SeededRandom, type ServerHandler, SimNetwork, VirtualClock } from "@waybill/testing";
import { testVendor } from "@waybill/testing/suites";
import { expect, test } from "vitest";
import { encodeAmplitude } from "../../src/amplitude/metadata.ts";
import { type AmplitudeSettings, amplitudeProtocol } from "../../src/amplitude/outbound.ts";

const ORIGIN = "http://amplitude.test";
const version = "1.2.3";
const HOUR_MS = 3_600_000;
const DAY_MS: number = 24 * HOUR_MS;

for (const api of ["v2", "batch"] as const)
  testVendor(`amplitude, ${api}`, {
    origin: ORIGIN,
    protocol: (apiKey) => amplitudeProtocol({ url: `${ORIGIN}/`, apiKey, api, version }),
    emulator(clock) {
      const emulator = new emulators.AmplitudeEmulator({ clock, apiKeys: ["right"] });
      return {
        handle: emulator.handle,
        fail: (failure) => emulator.fail(failure),
        ids: () => emulator.events.map((event) => String(event["insert_id"])),
      };
    },
    event: (insertId, bytes = 0) =>
      eventOf(insertId, { user_id: `user-${insertId}`, event_properties: { p: "x".repeat(bytes) } }),
  });

interface World {
  readonly clock: VirtualClock;
  readonly emulator: emulators.AmplitudeEmulator;
  /** Begins to send; what it returns gives the outcomes once there are some. */
  begin(texts: readonly string[], metadata?: string): () => readonly Outcome[] | undefined;
  send(texts: readonly string[], metadata?: string): Promise<readonly Outcome[]>;
}

function setUp(settings: Partial<AmplitudeSettings> = {}, handle?: ServerHandler): World {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimNetwork({ clock, random });
  const emulator = new emulators.AmplitudeEmulator({ clock, apiKeys: ["right"], dailyQuota: 10 });
  network.serve(ORIGIN, handle ?? emulator.handle);
  const sender = createSender({
    protocol: amplitudeProtocol({ url: ORIGIN, apiKey: "right", version, ...settings }),
    runtime: { clock, random, transport: network.transport },
    timeoutMs: 5_000,
    backoff: fullJitter(100, 10_000),
    maxAttempts: Number.POSITIVE_INFINITY,
  });
  const never = new AbortController().signal;
  const watch = { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined };
  const begin: World["begin"] = (texts, metadata = "amplitude") => {
    const sizes = texts.map((text) => Buffer.byteLength(text));
    const batch = new TextBatch({ key: "k", metadata, oldestAtMs: 0, texts, sizes });
    let outcomes: readonly Outcome[] | undefined;
    void sender.send(batch, { soon: never, now: never, watch }).then((result) => {
      outcomes = result;
    });
    return () => outcomes;
  };
  return {
    clock,
    emulator,
    begin,
    async send(texts, metadata) {
      const outcomes = begin(texts, metadata);
      await clock.until(() => outcomes() !== undefined, 2 * DAY_MS);
      return outcomes() as readonly Outcome[];
    },
  };
}

function eventOf(insertId: string, more: object = {}): string {
  return JSON.stringify({ event_type: "E", user_id: "user-1", insert_id: insertId, ...more });
}

const eventsOf = (count: number, more: (index: number) => object = () => ({})): string[] =>
  Array.from({ length: count }, (_, index) => eventOf(`id-${index}`, more(index)));
const insertIds = ({ events }: emulators.AmplitudeEmulator): string[] =>
  events.map((event) => String(event["insert_id"]));
const statuses = (outcomes: readonly Outcome[]): string[] => outcomes.map(({ status }) => status);

test.each([
  ["v2", 6],
  ["batch", 2],
] as const)(
  "five bad events of a hundred are rejected and the others delivered once, by %s in %i requests",
  async (api, requests) => {
    const { emulator, send } = setUp({ api });
    const bad = new Set([3, 17, 18, 60, 99]);
    const outcomes = await send(
      eventsOf(100, (index) => (bad.has(index) ? { time: "soon" } : { user_id: `user-${index}` })),
    );
    for (const [index, outcome] of outcomes.entries())
      expect(outcome).toEqual(
        bad.has(index) ? { status: "rejected", reason: "400 invalid field: time" } : { status: "delivered" },
      );
    expect(insertIds(emulator)).toEqual(
      eventsOf(100)
        .map((_, index) => `id-${index}`)
        .filter((_, index) => !bad.has(index)),
    );
    expect(emulator).toMatchObject({ requests, duplicates: 0 });
  },
);

test("each of the vendor's maps rejects its events, with the field as reason", async () => {
  const { send } = setUp();
  const texts = [
    eventOf("id-0"),
    eventOf("id-1", { event_type: undefined }),
    eventOf("id-2", { user_id: "u" }),
    eventOf("id-3", { groups: [] }),
    eventOf("id-4", { user_id: "anonymous" }),
  ];
  expect(await send(texts)).toEqual([
    { status: "delivered" },
    { status: "rejected", reason: "400 missing field: event_type" },
    { status: "rejected", reason: "400 id too short: user_id" },
    { status: "rejected", reason: "400 invalid field: groups" },
    { status: "rejected", reason: "400 invalid field: user_id" },
  ]);
});

test("events of a silenced device are rejected, those of others go on", async () => {
  const { emulator, send } = setUp();
  emulator.silence("device-9");
  const outcomes = await send(eventsOf(4, (index) => (index % 2 === 1 ? { device_id: "device-9" } : {})));
  expect(statuses(outcomes)).toEqual(["delivered", "rejected", "delivered", "rejected"]);
  expect(outcomes[1]).toMatchObject({ reason: "400 silenced device" });
});

test("a throttled user waits half a minute, in order; the events of others in the request go at once", async () => {
  const { begin, clock, emulator, send } = setUp();
  await send(Array.from({ length: 450 }, (_, index) => eventOf(`first-${index}`)));
  await send(Array.from({ length: 450 }, (_, index) => eventOf(`second-${index}`)));
  const startedAt = clock.monotonic();
  const outcomes = begin(eventsOf(6, (index) => (index % 2 === 0 ? {} : { user_id: "user-2" })));
  await clock.until(() => emulator.events.length === 903);
  expect(clock.monotonic() - startedAt).toBeLessThan(1_000);
  expect(insertIds(emulator).slice(900)).toEqual(["id-1", "id-3", "id-5"]);
  await clock.until(() => outcomes() !== undefined);
  expect(statuses(outcomes() ?? [])).toEqual(new Array(6).fill("delivered"));
  expect(clock.monotonic() - startedAt).toBeGreaterThanOrEqual(30_000);
  expect(insertIds(emulator).slice(903)).toEqual(["id-0", "id-2", "id-4"]);
  expect(emulator.duplicates).toBe(0);
});

test("later events of a user that waits are not sent before, although the vendor does not name them", async () => {
  const sent: unknown[][] = [];
  const { send } = setUp({}, ({ body }) => {
    const { events } = JSON.parse(new TextDecoder().decode(body)) as { events: { insert_id: string }[] };
    sent.push(events.map(({ insert_id: id }) => id));
    const answer = sent.length > 1 ? { code: 200 } : { code: 429, throttled_events: [1] };
    return { status: answer.code, headers: {}, body: JSON.stringify(answer) };
  });
  const users = ["user-1", "user-2", "user-3", "user-2"];
  expect(statuses(await send(eventsOf(4, (index) => ({ user_id: users[index] }))))).toEqual(
    new Array(4).fill("delivered"),
  );
  expect(sent).toEqual([["id-0", "id-1", "id-2", "id-3"], ["id-0", "id-2"], ["id-1"], ["id-3"]]);
});

test("events above a daily quota are held, tried every hour, and not dropped", async () => {
  const { clock, emulator, send } = setUp({ api: "batch" });
  emulator.flag("user-1");
  await send(eventsOf(10));
  const startedAt = clock.monotonic();
  const { requests } = emulator;
  expect(statuses(await send([eventOf("held"), eventOf("other", { user_id: "user-2" })]))).toEqual([
    "delivered",
    "delivered",
  ]);
  expect(clock.monotonic() - startedAt).toBeGreaterThanOrEqual(DAY_MS - HOUR_MS);
  expect(emulator.requests - requests).toBeLessThan(30);
  expect(insertIds(emulator).slice(10)).toEqual(["other", "held"]);
});

test("a 403 for one event isolates it", async () => {
  const { emulator, send } = setUp();
  emulator.forbid("<script>");
  const outcomes = await send(eventsOf(64, (index) => (index === 21 ? { event_properties: { p: "<script>" } } : {})));
  expect(statuses(outcomes)).toEqual(outcomes.map((_, index) => (index === 21 ? "rejected" : "delivered")));
  expect(insertIds(emulator)).toHaveLength(63);
  expect(emulator.requests).toBeLessThan(20);
});

test("a 403 for everything halts and rejects nothing, in two requests", async () => {
  const { emulator, send } = setUp();
  emulator.forbid("");
  expect(statuses(await send(eventsOf(64)))).toEqual(new Array(64).fill("halted"));
  expect(emulator.requests).toBe(2);
});

test("an error after the events were stored makes no duplicates", async () => {
  const { emulator, send } = setUp();
  for (const status of [500, 502, 504] as const) {
    emulator.failAfterStoring({ status, times: 1 });
    expect(statuses(await send([eventOf(`id-${status}`)]))).toEqual(["delivered"]);
  }
  expect(insertIds(emulator)).toEqual(["id-500", "id-502", "id-504"]);
  expect(emulator.duplicates).toBe(3);
});

test("a gateway's page instead of an answer is sent again", async () => {
  const { emulator, send } = setUp();
  emulator.hasGatewayFace = true;
  for (const status of [502, 503]) {
    emulator.fail({ kind: "status", status, times: 2 });
    expect(statuses(await send([eventOf(`id-${status}`)]))).toEqual(["delivered"]);
  }
});

test("of a success the code in the body counts; an HTTP error is one whatever its body has", () => {
  const { classify } = amplitudeProtocol({ apiKey: "k", version });
  const batch = new TextBatch({ key: "k", metadata: "amplitude", oldestAtMs: 0, texts: ["{}"], sizes: [2] });
  const meaning = (status: number, body: string): string | undefined => {
    const verdict = classify({ status, headers: {}, body }, batch, 0);
    return "split" in verdict ? "split" : verdict[0]?.status;
  };
  expect(meaning(200, '{"code":200}')).toBe("delivered");
  expect(meaning(200, '{"success":true}')).toBe("delivered");
  expect(meaning(200, "success")).toBe("delivered");
  expect(meaning(200, '{"code":500}')).toBe("retryable");
  expect(meaning(200, '{"code":400,"error":"Invalid API key: k"}')).toBe("halted");
  expect(meaning(500, '{"code":200}')).toBe("retryable");
  expect(meaning(400, '{"code":400,"error":"Request missing required field","missing_field":"api_key"}')).toBe(
    "halted",
  );
  expect(meaning(413, '{"code":413}')).toBe("split");
  expect(meaning(302, "")).toBe("halted");
});

test("a wrong key is not part of a reason", async () => {
  const { send } = setUp({ apiKey: "a-secret" });
  expect(await send([eventOf("id")])).toEqual([{ status: "halted", reason: "400 Invalid API key" }]);
});

test("the sender's options and its clock go with its events", async () => {
  const { emulator, send } = setUp();
  const metadata = encodeAmplitude({ kind: "events", options: '{"min_id_length":1}', skewMs: 60_000 });
  expect(statuses(await send([eventOf("id", { user_id: "u" })], metadata))).toEqual(["delivered"]);
  const body = JSON.parse(emulator.posts[0]?.body ?? "") as Record<string, unknown>;
  expect(body["options"]).toEqual({ min_id_length: 1 });
  const lateMs = (emulator.posts[0]?.atMs ?? 0) - Date.parse(String(body["client_upload_time"]));
  // The request was a millisecond on its way.
  expect(Math.abs(lateMs - 60_000)).toBeLessThanOrEqual(1);
});

test.each(["identify", "groupidentify"] as const)("elements of /%s leave by the same endpoint", async (kind) => {
  const { emulator, send } = setUp();
  const item =
    kind === "identify"
      ? '{"user_id":"user-1","user_properties":{"$set":{"a":"ä&=+ 💧"}}}'
      : '{"group_type":"company","group_value":"acme","group_properties":{"seats":5}}';
  expect(statuses(await send([item], encodeAmplitude({ kind })))).toEqual(["delivered"]);
  expect(emulator.identifications).toEqual([JSON.parse(item)]);
  expect(emulator.posts[0]).toMatchObject({
    path: `/${kind}`,
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  expect(kind === "identify" ? emulator.propertiesOf("user-1") : emulator.groupPropertiesOf("company", "acme")).toEqual(
    kind === "identify" ? { a: "ä&=+ 💧" } : { seats: 5 },
  );
});
