/**
 * Mixpanel's emulator does what the vendor's pages say: two faces, silent drops, partial success,
 * duplicates by four parts.
 */
import { emulators, type ServerResponse, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const DAY_MS = 86_400_000;

interface Sent {
  readonly path: string;
  readonly body?: unknown;
  readonly key?: string;
}

function setUp(options: emulators.MixpanelEmulatorOptions = {}): {
  readonly clock: VirtualClock;
  readonly emulator: emulators.MixpanelEmulator;
  send(sent: Sent): Promise<ServerResponse>;
} {
  const clock = new VirtualClock();
  const emulator = new emulators.MixpanelEmulator({ clock, tokens: ["t"], ...options });
  const send = async ({ path, body, key }: Sent): Promise<ServerResponse> => {
    const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
    const headers = key === undefined ? {} : { authorization: `Basic ${Buffer.from(key).toString("base64")}` };
    return emulator.handle({ method: body === undefined ? "GET" : "POST", path, headers, body: Buffer.from(text) });
  };
  return { clock, emulator, send };
}

const eventOf = (properties: object = {}): object => ({
  event: "E",
  properties: { token: "t", time: 1_767_000_000, distinct_id: "u", $insert_id: "i", ...properties },
});

test("the open path answers 1 whatever becomes of an event, and lists what it dropped", async () => {
  const { clock, emulator, send } = setUp();
  expect(await send({ path: "/track", body: [eventOf({ token: "no" }), eventOf(), { event: "" }] })).toMatchObject({
    status: 200,
    body: "1",
  });
  await clock.advance(6 * DAY_MS);
  expect((await send({ path: "/track?verbose=1", body: eventOf() })).body).toBe('{"status":1,"error":null}');
  expect(emulator.dropped.map(({ reason }) => reason)).toEqual(["unknown_token", "invalid", "too_old"]);
  expect(emulator.events).toHaveLength(1);
  expect((await send({ path: "/track", body: [5] })).body).toBe("0");
  expect((await send({ path: "/track", body: "no json" })).body).toBe("0");
  expect((await send({ path: "/track?callback=f", body: eventOf({ time: undefined }) })).body).toBe("f(1);");
});

test("data comes in URL-encoded bodies and in queries, in base64 and as JSON", async () => {
  const { emulator, send } = setUp();
  const json = JSON.stringify([eventOf({ s: "~~~???>>>" })]);
  const base64 = Buffer.from(json).toString("base64");
  for (const [path, body] of [
    ["/track", `data=${base64}`],
    ["/track/", `data=${encodeURIComponent(base64)}&verbose=1`],
    [`/track?data=${encodeURIComponent(base64)}`, undefined],
    ["/track", new URLSearchParams({ data: json }).toString()],
  ] as const)
    expect((await send({ path, body })).body).toMatch(/^1$|"status":1/);
  expect(emulator.raw).toHaveLength(4);
  expect(emulator.events).toMatchObject([{ properties: { s: "~~~???>>>" } }]);
});

test("import stores the good events of a request that it answers with 400", async () => {
  const { emulator, send } = setUp({ recordId: "insert_id" });
  const long = "x".repeat(300);
  const bad = [
    { $insert_id: undefined },
    { $insert_id: "a_b" },
    { $insert_id: "null" },
    { distinct_id: undefined },
    { distinct_id: "Undefined" },
    { time: undefined },
    { time: 1 },
    { a: { b: { c: { d: { e: 1 } } } } },
    Object.fromEntries(Array.from({ length: 260 }, (_, index) => [`p${index}`, 1])),
  ].map(eventOf);
  const answer = await send({ path: "/import?strict=1", key: "t:", body: [eventOf({ long }), ...bad] });
  expect(answer.status).toBe(400);
  const { failed_records: failed, ...counts } = JSON.parse(answer.body) as {
    failed_records: { index: number; insert_id: unknown }[];
  };
  expect(failed.map(({ index }) => index)).toEqual(bad.map((_, index) => index + 1));
  expect(failed[1]?.insert_id).toBe("a_b");
  expect(counts).toMatchObject({ code: 400, num_records_imported: 1 });
  expect(emulator.events).toMatchObject([{ properties: { long: "x".repeat(255) } }]);
  expect(
    JSON.parse((await send({ path: "/import?strict=1", key: "t:", body: eventOf({ time: 2e9 * 1_000 }) })).body),
  ).toMatchObject({ num_records_imported: 0 });
});

test("a copy that agrees in all four parts is kept in the export and seen once", async () => {
  const { emulator, send } = setUp();
  const key = "t:";
  for (const change of [
    {},
    { other: 1 },
    { time: 1_767_000_000_000 },
    { time: 5e8 },
    { distinct_id: "v" },
    { $insert_id: "j" },
  ])
    await send({ path: "/import?strict=1", key, body: [eventOf(change)] });
  expect([emulator.raw.length, emulator.events.length, emulator.duplicates]).toEqual([6, 4, 2]);
  // Without an id of its own an event is never known again.
  for (let time = 0; time < 2; time++) await send({ path: "/track", body: eventOf({ $insert_id: undefined }) });
  expect(emulator.events).toHaveLength(6);
});

test("import takes a token, a secret, an account of its project or an old key, and nothing else", async () => {
  const account = { username: "n", secret: "s", projectId: "7" };
  const { send } = setUp({ secrets: ["secret"], serviceAccounts: [account] });
  const statusOf = async (path: string, key?: string): Promise<number> =>
    (await send({ path, body: [eventOf()], ...(key === undefined ? {} : { key }) })).status;
  expect(await statusOf("/import?strict=1", "t:")).toBe(200);
  expect(await statusOf("/import?strict=1", "secret:")).toBe(200);
  expect(await statusOf("/import?strict=1&project_id=7", "n:s")).toBe(200);
  expect(await statusOf("/import?api_key=t")).toBe(200);
  for (const [query, key] of [
    ["", "n:s"],
    ["?project_id=8", "n:s"],
    ["?project_id=7", "t:"],
    ["", "no:"],
    ["", undefined],
  ] as const)
    expect(await statusOf(`/import${query}`, key)).toBe(401);
});

test("limits of a request are kept, and a rolling minute of events", async () => {
  const { clock, send } = setUp({ eventsPerMinute: 3, retryAfterS: 2 });
  const statusOf = async (body: unknown): Promise<number> =>
    (await send({ path: "/import?strict=1", key: "t:", body })).status;
  expect(await statusOf(Array.from({ length: 2_001 }, eventOf))).toBe(413);
  expect(await statusOf([eventOf({ a: "x".repeat(2_100_000) })])).toBe(413);
  expect(await statusOf([eventOf(), eventOf()])).toBe(200);
  await clock.advance(30_000);
  expect(await statusOf([eventOf(), eventOf()])).toBe(429);
  expect(await statusOf([eventOf()])).toBe(200);
  await clock.advance(30_000);
  expect(await statusOf([eventOf(), eventOf()])).toBe(200);
  expect((await send({ path: "/track", body: [eventOf()] })).headers).toMatchObject({ "retry-after": "2" });
});

test("operations on profiles are applied as often as they come", async () => {
  const { emulator, send } = setUp();
  const update = async (operation: object, path = "/engage", id: object = { $distinct_id: "u" }): Promise<string> =>
    (await send({ path, body: { $token: "t", ...id, ...operation } })).body;
  for (const operation of [
    { $set: { a: 1, b: 1 } },
    { $set_once: { a: 2, c: 3 } },
    { $add: { n: 2 } },
    { $add: { n: 2 } },
    { $append: { l: 1 } },
    { $union: { l: [1, 2] } },
    { $remove: { l: 1 } },
    { $unset: ["b"] },
  ])
    expect(await update(operation)).toBe("1");
  expect(emulator.profiles.users.get("u")).toEqual({ a: 1, c: 3, n: 4, l: [2] });
  expect(await update({ $set: {} }, "/groups", { $group_key: "company", $group_id: "acme" })).toBe("1");
  expect([...emulator.profiles.groups.keys()]).toEqual(["company:acme"]);
  for (const [operation, id] of [
    [{ $set: {} }, {}],
    [{}, { $distinct_id: "u" }],
    [{ $set: {}, $token: 5 }, { $distinct_id: "u" }],
  ] as const)
    expect(await update(operation, "/engage", id)).toBe("0");
  expect(await update({ $delete: "" })).toBe("1");
  expect(emulator.profiles.users.has("u")).toBe(false);
});
