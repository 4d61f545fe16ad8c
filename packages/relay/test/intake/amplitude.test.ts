/** Amplitude's protocol at both ends of the relay, and across to other vendors. */
import { startRelay } from "@waybill/relay";
import { emulators } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
const SOURCES = {
  shop: { protocol: "amplitude", writeKeys: ["amp-in"] },
  web: { protocol: "segment", writeKeys: ["write-key"] },
};

interface World extends RelayWorld {
  readonly amplitude: emulators.AmplitudeEmulator;
  readonly segment: emulators.SegmentEmulator;
  settled(): Promise<void>;
}

async function setUp(
  options: Readonly<Record<string, unknown>> = {},
  sources: Readonly<Record<string, unknown>> = {},
): Promise<World> {
  const amplitude = new emulators.AmplitudeEmulator({ apiKeys: ["amp-out"] });
  const segment = new emulators.SegmentEmulator({ limits: "none" });
  const servers = await Promise.all([amplitude.listen(), segment.listen()]);
  onTestFinished(async () => {
    for (const server of servers) await server.close();
  });
  const common = { backoff: { base: "10ms", max: "50ms" }, batch: { linger: "1ms" } };
  const [own, other] = servers;
  const world = await startWorld({
    sources: { ...SOURCES, ...sources },
    destinations: () => ({
      amplitude: { vendor: "amplitude", url: own?.url, writeKey: "amp-out", ...common, ...options },
      segment: { vendor: "segment", url: other?.url, writeKey: "out", ...common },
    }),
  });
  return {
    ...world,
    amplitude,
    segment,
    settled: () => until(() => world.relay.accounts().lanes.every(({ account }) => account.pending === 0)),
  };
}

const bodyOf = (events: readonly (object | string)[], more = ""): string =>
  `{"api_key":"amp-in","events":[${events.map((event) => (typeof event === "string" ? event : JSON.stringify(event))).join(",")}]${more}}`;
const event = (insertId: string, more: object = {}): object => ({
  event_type: "E",
  user_id: "user-1",
  insert_id: insertId,
  ...more,
});

test("events leave byte for byte, with the sender's options and its clock", async () => {
  const { amplitude, post, settled } = await setUp();
  const odd = '{ "event_type" : "E\\u00e9","user_id":"u","insert_id":"a" ,"n":1.000000000000000000001e400,"n":2 }';
  const hourAgo = new Date(Date.now() - 3_600_000).toISOString();
  const more = `,"options":{"min_id_length":1},"client_upload_time":"${hourAgo}"`;
  const answer = await post("/2/httpapi", bodyOf([odd], more), {});
  expect(answer).toMatchObject({ status: 200, json: { code: 200, events_ingested: 1 } });
  expect(answer.headers["access-control-allow-origin"]).toBe("*");
  await settled();
  const sent = amplitude.posts[0]?.body ?? "";
  expect(sent).toContain(`"events":[${odd}]`);
  expect(sent).toContain('"options":{"min_id_length":1}');
  expect(sent).not.toContain("amp-in");
  const uploadedAt = Date.parse(String((JSON.parse(sent) as Record<string, unknown>)["client_upload_time"]));
  expect(Math.abs(Date.now() - 3_600_000 - uploadedAt)).toBeLessThan(5_000);
});

test("a duplicate is known per device, within a request, in another one and after a restart", async () => {
  const { amplitude, config, post, relay, settled } = await setUp();
  const first = event("a");
  const onDevice = (device: string): object => event("a", { device_id: device });
  await post("/batch", bodyOf([first, first, onDevice("device-1")]), {});
  expect((await post("/2/httpapi", bodyOf([first, onDevice("device-1"), event("b")]), {})).status).toBe(200);
  await settled();
  await relay.stop();
  const second = await startRelay(config, { logger: silent as never });
  onTestFinished(() => second.stop());
  const late = bodyOf([first, onDevice("device-1"), onDevice("device-2"), event("b")]);
  expect((await send(second.intakeUrl, "POST", "/batch", late, {})).status).toBe(200);
  await until(() => amplitude.events.length >= 4);
  expect(amplitude.events).toEqual([first, onDevice("device-1"), event("b"), onDevice("device-2")]);
  const sources = second.accounts().sources.find(({ source }) => source === "shop");
  expect(sources).toMatchObject({ accepted: 1, duplicates: 3 });
  expect(amplitude.duplicates).toBe(0);
});

test("a request with a bad event is refused as a whole; nothing of it is stored", async () => {
  const { post, relay } = await setUp();
  const refused = await post("/batch", bodyOf([event("a"), event("b", { time: "soon" })]), {});
  expect(refused).toMatchObject({ status: 400, json: { code: 400, events_with_invalid_fields: { time: [1] } } });
  expect(relay.accounts().lanes.every(({ account }) => account.accepted === 0)).toBe(true);
});

test("the path that PostHog has too is Amplitude's by its key", async () => {
  const { amplitude, post, settled } = await setUp({}, { hog: { protocol: "posthog", writeKeys: ["phc-in"] } });
  expect((await post("/batch", bodyOf([event("a")]), {})).json).toMatchObject({ code: 200 });
  await settled();
  const hog = await post("/batch/", { api_key: "phc-in", batch: [{ event: "Hog", distinct_id: "user-2" }] }, {});
  expect(hog).toMatchObject({ status: 200, json: { status: 1 } });
  expect((await post("/batch", '{"api_key":"nobody","events":[{}],"batch":[]}', {})).status).toBe(401);
  const prefixed = await post("/s/shop/batch", '{"api_key":"nobody","events":[{}]}', {});
  expect(prefixed).toMatchObject({ status: 400, json: { error: "Invalid API key: (withheld)" } });
  await settled();
  expect(amplitude.events.map(({ event_type: type }) => type)).toEqual(["E", "Hog"]);
});

test("Segment's events become Amplitude's, as the destination is configured", async () => {
  const { amplitude, post, settled } = await setUp({ api: "batch", groupType: "team", minIdLength: 1 });
  const common = { userId: "u", timestamp: "2026-11-21T12:00:00.000Z" };
  const batch = [
    { type: "identify", traits: { plan: "pro" } },
    { type: "group", groupId: "acme", traits: { seats: 5 } },
    { type: "track", event: "Bought", properties: { revenue: 9.5 } },
    { type: "page", name: "Home" },
    { type: "alias", previousId: "p" },
  ].map((one, index) => ({ ...one, ...common, messageId: `m-${index}` }));
  expect((await post("/v1/batch", { batch }, BASIC)).status).toBe(200);
  await settled();
  expect(amplitude.events.map(({ event_type: type, insert_id: id }) => [type, id])).toEqual([
    ["$identify", "m-0"],
    ["$groupidentify", "m-1"],
    ["Bought", "m-2"],
    ["Viewed Home Page", "m-3"],
  ]);
  expect(amplitude.propertiesOf("u")).toEqual({ plan: "pro" });
  expect(amplitude.groupPropertiesOf("team", "acme")).toEqual({ seats: 5 });
  expect(amplitude.events[2]).toMatchObject({ revenue: 9.5, time: Date.parse(common.timestamp) });
  expect(amplitude.posts.every(({ path }) => path === "/batch")).toBe(true);
});

test("Amplitude's events become Segment's, those of the identify endpoints too", async () => {
  const { amplitude, post, segment, settled } = await setUp();
  await post("/batch", bodyOf([event("a", { time: 1_700_000_000_000, event_properties: { x: 1 } })]), {});
  await settled();
  const encodedOf = (identification: object): string =>
    new URLSearchParams({ api_key: "amp-in", identification: JSON.stringify(identification) }).toString();
  const identify = { user_id: "user-1", user_properties: { $set: { plan: "pro" } } };
  expect((await post("/identify", encodedOf(identify), {})).json).toMatchObject({ code: 200 });
  await settled();
  await post("/groupidentify/", encodedOf({ group_type: "team", group_value: "acme", group_properties: { b: 2 } }), {});
  await settled();
  expect(segment.events.map(({ event: stored }) => stored)).toMatchObject([
    {
      type: "track",
      event: "E",
      userId: "user-1",
      messageId: "a",
      properties: { x: 1 },
      timestamp: "2023-11-14T22:13:20.000Z",
    },
    { type: "identify", userId: "user-1", traits: { plan: "pro" } },
    { type: "group", groupId: "acme", traits: { b: 2 } },
  ]);
  expect(amplitude.propertiesOf("user-1")).toEqual({ plan: "pro" });
  expect(amplitude.groupPropertiesOf("team", "acme")).toEqual({ b: 2 });
});

test("a wrong key at the vendor halts the lane, keeps the events and is not shown", async () => {
  const { amplitude, post, relay } = await setUp();
  amplitude.rotate(["another"]);
  await post("/batch", bodyOf([event("a")]), {});
  await until(() => relay.accounts().lanes[0]?.mode === "halted");
  expect(relay.accounts().lanes[0]).toMatchObject({ reason: "400 Invalid API key", account: { pending: 1 } });
  expect(JSON.stringify(relay.accounts())).not.toContain("amp-out");
});
