/** Amplitude's events and canonical ones, both ways. */
import { expect, test } from "vitest";
import {
  type AmplitudeTranslation,
  amplitudeFromCanonical,
  amplitudeToCanonical,
} from "../../src/amplitude/canonical.ts";
import { encodeAmplitude } from "../../src/amplitude/metadata.ts";

type Json = Readonly<Record<string, unknown>>;

const IDS = { userId: "user-1", anonymousId: "device-1", messageId: "m-1", timestamp: "2026-11-21T12:00:00.000Z" };
const WIRE_IDS = { user_id: "user-1", device_id: "device-1", insert_id: "m-1", time: Date.parse(IDS.timestamp) };

function sent(event: Json, options?: AmplitudeTranslation): Json {
  const translated = amplitudeFromCanonical(options)(JSON.stringify({ ...IDS, ...event }), "", "k");
  return "text" in translated ? (JSON.parse(translated.text) as Json) : translated;
}

const received = (event: Json, metadata = "amplitude"): Json =>
  amplitudeToCanonical(JSON.stringify({ ...WIRE_IDS, ...event }), metadata);

test.each<[string, Json, Json]>([
  [
    "a track event with its revenue",
    {
      type: "track",
      event: "Order Completed",
      properties: { revenue: "19.5", price: 6.5, quantity: 3, product_id: "p", x: 1 },
    },
    {
      event_type: "Order Completed",
      event_properties: { revenue: "19.5", price: 6.5, quantity: 3, product_id: "p", x: 1 },
      revenue: 19.5,
      price: 6.5,
      quantity: 3,
      productId: "p",
    },
  ],
  [
    "a page",
    { type: "page", name: "Home", properties: { path: "/" } },
    { event_type: "Viewed Home Page", event_properties: { path: "/", name: "Home" } },
  ],
  ["a page without a name", { type: "page", properties: {} }, { event_type: "Viewed Page", event_properties: {} }],
  [
    "a screen",
    { type: "screen", name: "Cart" },
    { event_type: "Viewed Cart Screen", event_properties: { name: "Cart" } },
  ],
  [
    "an identify",
    { type: "identify", traits: { plan: "pro" } },
    { event_type: "$identify", user_properties: { $set: { plan: "pro" } } },
  ],
  [
    "a group",
    { type: "group", groupId: "acme", traits: { seats: 5 } },
    { event_type: "$groupidentify", groups: { company: "acme" }, group_properties: { $set: { seats: 5 } } },
  ],
])("%s in Amplitude's format", (_what, event, wire) => {
  expect(sent(event)).toEqual({ ...WIRE_IDS, ...wire });
});

test("an alias is left out", () => {
  expect(sent({ type: "alias", previousId: "p" })).toEqual({ dropped: "unsupported" });
});

test("the circumstances have their places, and without an IP there is none", () => {
  const context = {
    ip: "203.0.113.7",
    locale: "de-DE",
    userAgent: "UA",
    app: { version: "1.2" },
    os: { name: "iOS", version: "18" },
    device: { manufacturer: "Apple", model: "iPhone", type: "ios" },
    location: { country: "DE", city: "Köln", latitude: 50.9, longitude: 6.9 },
  };
  const wire = {
    ip: "203.0.113.7",
    language: "de-DE",
    user_agent: "UA",
    app_version: "1.2",
    os_name: "iOS",
    os_version: "18",
    device_manufacturer: "Apple",
    device_model: "iPhone",
    platform: "ios",
    country: "DE",
    city: "Köln",
    location_lat: 50.9,
    location_lng: 6.9,
  };
  expect(sent({ type: "track", event: "E", context })).toEqual({
    ...WIRE_IDS,
    event_type: "E",
    event_properties: {},
    ...wire,
  });
  expect(received({ event_type: "E", ...wire })["context"]).toEqual(context);
  expect(sent({ type: "track", event: "E", context: {} })).not.toHaveProperty("ip");
  expect(received({ event_type: "E", ip: "$remote" })).not.toHaveProperty("context");
});

test.each<[string, Json, string]>([
  ["ids that are too short", { userId: "u", anonymousId: undefined }, "no user or device id of at least 5 characters"],
  ["a placeholder for an id", { userId: "Anonymous" }, '"Anonymous" is a placeholder, not an id'],
  ["no name", { event: "" }, "an event without a name"],
  ["a time that is not one", { timestamp: "yesterday" }, '"yesterday" is not a time'],
])("%s: it becomes a dead letter and is not sent", (_what, fields, reason) => {
  expect(sent({ type: "track", event: "E", ...fields })).toEqual({ rejected: reason });
});

test("one id that is too short is left out where the other is long enough, or the destination takes shorter ids", () => {
  expect(sent({ type: "track", event: "E", userId: "u" })).not.toHaveProperty("user_id");
  const translated = amplitudeFromCanonical({ minIdLength: 1 })('{"type":"track","event":"E","userId":"u"}', "", "k");
  expect(translated).toMatchObject({ metadata: 'amplitude {"options":{"min_id_length":1}}' });
});

test("a group is of the configured type", () => {
  expect(sent({ type: "group", groupId: "acme" }, { groupType: "team" })).toMatchObject({ groups: { team: "acme" } });
});

test.each<[string, Json]>([
  ["track", { type: "track", event: "E", properties: { a: [1, { b: null }] } }],
  ["identify", { type: "identify", traits: { plan: "pro" } }],
  ["group", { type: "group", groupId: "acme", traits: { seats: 5 } }],
])("a canonical %s event comes back as it was", (_type, event) => {
  const translated = amplitudeFromCanonical()(JSON.stringify({ ...IDS, ...event }), "", "k");
  const back = "text" in translated ? amplitudeToCanonical(translated.text, translated.metadata) : translated;
  expect(back).toMatchObject({ ...IDS, ...event });
});

test.each<[string, Json]>([
  [
    "operations",
    { event_type: "$identify", user_properties: { $set: { plan: "pro" }, $add: { n: 2 }, $unset: { old: "-" } } },
  ],
  [
    "groups of an identify",
    { event_type: "$identify", user_properties: { $set: { company: "acme" } }, groups: { company: ["acme", "b"] } },
  ],
  [
    "several groups",
    { event_type: "$groupidentify", groups: { team: "a", company: "b" }, group_properties: { $setOnce: { x: 1 } } },
  ],
  [
    "user properties of an event",
    { event_type: "E", event_properties: { a: 1 }, user_properties: { $add: { n: 1 } }, session_id: 1_700_000_000_000 },
  ],
])("%s survive a way through the canonical event", (_what, wire) => {
  expect(sent(received(wire))).toEqual({ ...WIRE_IDS, ...wire });
});

test("what canonical events have a place for is there: traits, the group an event happened in, revenue", () => {
  expect(
    received({ event_type: "$identify", user_properties: { $set: { plan: "pro" }, $add: { n: 2 } } }),
  ).toMatchObject({
    type: "identify",
    traits: { plan: "pro" },
    context: { amplitude: { user_properties: { $add: { n: 2 } } } },
  });
  expect(received({ event_type: "$identify", user_properties: { plan: "pro" } })["traits"]).toEqual({ plan: "pro" });
  expect(received({ event_type: "E", groups: { company: ["acme"] } })).toMatchObject({ context: { groupId: "acme" } });
  expect(
    received({ event_type: "revenue_amount", event_properties: { $price: 9.5, $quantity: 2, $productId: "p" } }),
  ).toMatchObject({
    event: "revenue_amount",
    properties: { price: 9.5, quantity: 2, productId: "p", revenue: 19 },
  });
  expect(received({ event_type: "E", revenue: 5, event_properties: { a: 1 } })["properties"]).toEqual({
    a: 1,
    revenue: 5,
  });
});

test("elements of the identify endpoints are an identify and a group", () => {
  const item = '{"user_id":"user-1","user_properties":{"$set":{"a":1}}}';
  expect(amplitudeToCanonical(item, encodeAmplitude({ kind: "identify" }))).toEqual({
    type: "identify",
    userId: "user-1",
    traits: { a: 1 },
  });
  const group = '{"group_type":"team","group_value":"acme","group_properties":{"seats":5}}';
  expect(amplitudeToCanonical(group, encodeAmplitude({ kind: "groupidentify" }))).toMatchObject({
    type: "group",
    groupId: "acme",
    traits: { seats: 5 },
  });
});

test("values of any type are read without an exception", () => {
  const odd = [null, 7, "x", [], {}, true, [[]], { $set: 7 }, { a: { b: [] } }];
  const names = ["event_type", "user_id", "device_id", "time", "insert_id", "event_properties", "user_properties"];
  for (const name of [...names, "groups", "group_properties", "ip", "session_id", "price", "app_version"])
    for (const value of odd)
      for (const type of ["E", "$identify", "$groupidentify"])
        for (const metadata of ["amplitude", "amplitude identify", "amplitude groupidentify"]) {
          const canonical = received({ event_type: type, [name]: value }, metadata);
          const translated = amplitudeFromCanonical()(JSON.stringify(canonical), "", "k");
          expect("text" in translated || "rejected" in translated || "dropped" in translated).toBe(true);
        }
});
