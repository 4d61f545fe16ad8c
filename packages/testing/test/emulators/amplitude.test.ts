/** The emulator of Amplitude: the order of its checks, its limits, and what it keeps. */
import { emulators, type ServerResponse, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const HOUR_MS = 3_600_000;
const DAY_MS: number = 24 * HOUR_MS;

interface World {
  readonly clock: VirtualClock;
  readonly emulator: emulators.AmplitudeEmulator;
  post(
    path: string,
    body: unknown,
  ): Promise<{ readonly status: number; readonly body: Readonly<Record<string, unknown>> }>;
}

function setUp(options: emulators.AmplitudeEmulatorOptions = {}): World {
  const clock = new VirtualClock();
  const emulator = new emulators.AmplitudeEmulator({ clock, apiKeys: ["k"], ...options });
  return {
    clock,
    emulator,
    async post(path, body) {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const bytes = new TextEncoder().encode(text);
      const response: ServerResponse = await emulator.handle({ method: "POST", path, headers: {}, body: bytes });
      return { status: response.status, body: JSON.parse(response.body) as Readonly<Record<string, unknown>> };
    },
  };
}

const event = (insertId: string, more: object = {}): object => ({
  event_type: "E",
  user_id: "user-1",
  insert_id: insertId,
  ...more,
});
const of = (...events: readonly unknown[]): object => ({ api_key: "k", events });

test("checks size, JSON, key and events in this order", async () => {
  const { emulator, post } = setUp();
  const padding = "x".repeat(1_000_001);
  expect((await post("/2/httpapi", `{${padding}`)).status).toBe(413);
  expect((await post("/batch", { ...of(event("a")), padding })).status).toBe(200);
  expect((await post("/batch", "{")).body["error"]).toBe("Invalid JSON request body");
  expect((await post("/batch", "")).body["error"]).toBe("Missing request body");
  expect((await post("/batch", { events: [{}] })).body["missing_field"]).toBe("api_key");
  expect((await post("/batch", { api_key: "no", events: [{}] })).body["error"]).toBe("Invalid API key: no");
  expect((await post("/batch", of(...new Array(2_001).fill({})))).status).toBe(413);
  expect((await post("/elsewhere", of(event("b")))).status).toBe(404);
  expect(emulator.events).toHaveLength(1);
});

test("the real-time endpoint names the first bad event of each field, the batch endpoint all of them; neither stores any", async () => {
  const { emulator, post } = setUp();
  const body = of(
    event("a"),
    event("b", { time: "x" }),
    event("c", { time: 1.5 }),
    event("d", { event_type: undefined }),
  );
  expect((await post("/2/httpapi", body)).body).toMatchObject({
    events_with_invalid_fields: { time: [1] },
    events_with_missing_fields: { event_type: [3] },
  });
  expect((await post("/batch", body)).body).toMatchObject({ events_with_invalid_fields: { time: [1, 2] } });
  expect(emulator.events).toHaveLength(0);
});

test("an insert_id counts once in a request, in two requests and for seven days, per device", async () => {
  const { clock, emulator, post } = setUp();
  await post("/batch", of(event("a"), event("a"), event("a", { device_id: "device-1" })));
  await post("/2/httpapi", of(event("a"), event("a", { device_id: "device-2" })));
  expect(emulator.events).toHaveLength(3);
  expect(emulator.duplicates).toBe(2);
  await clock.advance(7 * DAY_MS);
  await post("/batch", of(event("a")));
  expect(emulator.events).toHaveLength(4);
});

test("ids that are too short are taken out of their event, which is refused when none is left", async () => {
  const { emulator, post } = setUp();
  expect((await post("/batch", of(event("a", { user_id: "four" })))).body).toMatchObject({
    events_with_invalid_id_lengths: { user_id: [0] },
  });
  await post("/batch", of(event("b", { user_id: "four", device_id: "device-1" })));
  await post("/batch", { ...of(event("c", { user_id: "four" })), options: { min_id_length: 4 } });
  expect(emulator.events.map(({ user_id: id }) => id)).toEqual([undefined, "four"]);
});

test.each([
  ["/2/httpapi", 900],
  ["/batch", 30_000],
] as const)("%s takes %i events of one user within half a minute", async (path, events) => {
  const { clock, post } = setUp();
  for (let sent = 0; sent < events; sent += 900)
    expect((await post(path, of(...Array.from({ length: 900 }, (_, index) => event(`${sent}-${index}`))))).status).toBe(
      200,
    );
  const refused = await post(path, of(event("late"), event("other", { user_id: "user-2" })));
  expect(refused.status).toBe(429);
  expect(Object.keys(refused.body["throttled_users"] as object)).toEqual(["user-1"]);
  expect(refused.body["throttled_events"]).toEqual([0]);
  await clock.advance(31_000);
  expect((await post(path, of(event("late")))).status).toBe(200);
});

test("a flagged user has a daily quota, which rolls by the hour", async () => {
  const { clock, emulator, post } = setUp({ dailyQuota: 2 });
  await post("/batch", of(event("a"), event("b")));
  expect((await post("/batch", of(event("c")))).status).toBe(200);
  emulator.flag("user-1");
  const refused = await post("/batch", of(event("d")));
  expect(refused.body).toMatchObject({ code: 429, exceeded_daily_quota_users: { "user-1": 3 }, throttled_events: [0] });
  await clock.advance(DAY_MS);
  expect((await post("/batch", of(event("d")))).status).toBe(200);
});

test("updates of a user's properties beyond 1,800 an hour are answered with 200 and dropped", async () => {
  const { emulator, post } = setUp();
  const update = { event_type: "$identify", user_properties: { $add: { n: 1 } } };
  for (let sent = 0; sent < 1_900; sent += 100)
    await post("/batch", of(...Array.from({ length: 100 }, (_, index) => event(`${sent}-${index}`, update))));
  expect(emulator.propertiesOf("user-1")).toEqual({ n: 1_800 });
  expect(emulator.droppedUpdates).toBe(100);
});

test("operations change what is known of users and groups", async () => {
  const { emulator, post } = setUp();
  const identify = (id: string, operations: object): object =>
    event(id, { event_type: "$identify", user_properties: operations });
  await post(
    "/batch",
    of(
      identify("1", { $set: { a: 1, gone: true }, $setOnce: { first: "x" }, $append: { list: "b" } }),
      identify("2", { $setOnce: { first: "y" }, $add: { a: 2 }, $prepend: { list: "a" }, $unset: { gone: "-" } }),
      identify("3", { $postInsert: { list: ["b", "c"] }, $preInsert: { list: "0" }, $remove: { list: "a" } }),
      event("4", {
        event_type: "$groupidentify",
        groups: { team: ["x", "y"] },
        group_properties: { $set: { seats: 5 } },
      }),
    ),
  );
  expect(emulator.propertiesOf("user-1")).toEqual({ a: 3, first: "x", list: ["0", "b", "c"] });
  expect(emulator.groupPropertiesOf("team", "y")).toEqual({ seats: 5 });
  await post("/batch", of(identify("5", { $clearAll: "-" })));
  expect(emulator.propertiesOf("user-1")).toEqual({});
  const mixed = await post("/batch", of(identify("6", { $set: { a: 1 }, plain: 2 })));
  expect(mixed.body).toMatchObject({ events_with_invalid_fields: { user_properties: [0] } });
});

test("the identify endpoints take an object or a list", async () => {
  const { emulator, post } = setUp();
  const encodedOf = (identification: unknown): string =>
    new URLSearchParams({ api_key: "k", identification: JSON.stringify(identification) }).toString();
  await post("/identify", encodedOf({ user_id: "user-1", user_properties: { $set: { a: 1 } } }));
  await post("/groupidentify", encodedOf([{ group_type: "team", group_value: "x", group_properties: { b: 2 } }]));
  expect(emulator.propertiesOf("user-1")).toEqual({ a: 1 });
  expect(emulator.groupPropertiesOf("team", "x")).toEqual({ b: 2 });
  expect((await post("/identify", encodedOf([{}]))).status).toBe(400);
  expect((await post("/identify", encodedOf({ user_id: "user-1" }).replace("api_key=k", "api_key=no"))).status).toBe(
    400,
  );
});
