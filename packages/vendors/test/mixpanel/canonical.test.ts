/** Mixpanel's events as canonical ones and back. */
import { orderKeyOf } from "@waybill/vendors/registry";
import { expect, test } from "vitest";
import { type MixpanelMapping, mixpanelFromCanonical, mixpanelToCanonical } from "../../src/mixpanel/canonical.ts";

const ID = "01890a5d-ac96-774b-bcce-b302099a8057";
const AT = "2026-01-02T03:04:05.678Z";
const COMMON = { messageId: ID, timestamp: AT };

interface Wire {
  readonly metadata: string;
  readonly event?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly [member: string]: unknown;
}

function wireOf(event: object, mapping?: MixpanelMapping): Wire | { readonly dropped: string } {
  const translated = mixpanelFromCanonical(undefined, undefined, mapping)(JSON.stringify(event), "", "k");
  if (!("text" in translated)) return translated as { readonly dropped: string };
  return { ...(JSON.parse(translated.text) as object), metadata: translated.metadata };
}

function back(event: object, mapping?: MixpanelMapping): unknown {
  const translated = mixpanelFromCanonical(undefined, undefined, mapping)(JSON.stringify(event), "", "k");
  return "text" in translated ? mixpanelToCanonical(translated.text, translated.metadata) : undefined;
}

test("a track event has its ids, its time and its circumstances where the vendor looks for them", () => {
  const event = {
    ...COMMON,
    type: "track",
    event: "Order Completed",
    userId: "u",
    anonymousId: "a",
    properties: { revenue: 9.5 },
    context: {
      ip: "203.0.113.9",
      page: { url: "https://a.test/x", referrer: "https://b.test" },
      os: { name: "iOS", version: "17" },
      campaign: { source: "mail", name: "spring" },
      library: { name: "web", version: "1" },
      groupId: "acme",
    },
  };
  expect(wireOf(event)).toEqual({
    metadata: "mixpanel",
    event: "Order Completed",
    properties: {
      $current_url: "https://a.test/x",
      $referrer: "https://b.test",
      $os: "iOS",
      $os_version: "17",
      mp_lib: "web",
      $lib_version: "1",
      utm_source: "mail",
      utm_campaign: "spring",
      company: "acme",
      revenue: 9.5,
      $user_id: "u",
      $device_id: "a",
      distinct_id: "u",
      $insert_id: ID,
      ip: "203.0.113.9",
      time: Date.parse(AT),
    },
  });
  const { groupId: _group, ...context } = event.context;
  expect(back(event)).toEqual({ ...event, context, properties: { revenue: 9.5, company: "acme" } });
});

test("an event is of its user, else of its device, else of nobody, and nobody is located at the relay", () => {
  const of = (ids: object): unknown => (wireOf({ ...COMMON, type: "track", event: "E", ...ids }) as Wire).properties;
  expect(of({ userId: "u" })).toMatchObject({ distinct_id: "u", $user_id: "u", ip: 0 });
  expect(of({ anonymousId: "a" })).toMatchObject({ distinct_id: "$device:a", $device_id: "a" });
  expect(of({})).toMatchObject({ distinct_id: "" });
});

test.each([
  ["a UUID", ID, ID],
  ["sixteen letters and digits", "dq3fuibw05xy7s5v", "dq3fuibw05xy7s5v"],
])("%s stays the id of an event", (_what, messageId, id) => {
  expect(wireOf({ ...COMMON, type: "track", event: "E", messageId })).toMatchObject({ properties: { $insert_id: id } });
});

test.each([`node-next-${"1".repeat(13)}-${ID}`, "a_b", "null", "ID ü", "x".repeat(37), "0"])(
  "the id %s, which the vendor does not take, becomes one that is the same for the same id",
  (messageId) => {
    const idOf = (id: string): unknown =>
      (wireOf({ ...COMMON, type: "track", event: "E", messageId: id }) as Wire).properties?.["$insert_id"];
    expect(idOf(messageId)).toMatch(/^[\da-f-]{36}$/);
    expect(idOf(messageId)).toBe(idOf(messageId));
    expect(idOf(messageId)).not.toBe(idOf(`${messageId}1`));
  },
);

test("the time is the event's, else that of its id, else that of its batch", () => {
  const of = (event: object): Wire => wireOf({ type: "track", event: "E", userId: "u", ...event }) as Wire;
  expect(of({ messageId: "a", timestamp: AT })).toMatchObject({
    metadata: "mixpanel",
    properties: { time: Date.parse(AT) },
  });
  expect(of({ messageId: ID })).toMatchObject({ metadata: "mixpanel", properties: { time: 1_688_096_058_518 } });
  const untimed = of({ messageId: "a", timestamp: "yesterday" });
  expect(untimed.metadata).toBe("mixpanel untimed");
  expect(untimed.properties).not.toHaveProperty("time");
});

test("pages and screens are events named after them", () => {
  const of = (event: object): Wire => wireOf({ ...COMMON, userId: "u", ...event }) as Wire;
  expect(of({ type: "page", name: "Pricing", category: "Docs", properties: { url: "x" } })).toMatchObject({
    event: "Viewed Pricing Page",
    properties: { name: "Pricing", category: "Docs", url: "x" },
  });
  expect(of({ type: "page", category: "Docs" }).event).toBe("Viewed Docs Page");
  expect(of({ type: "page" }).event).toBe("Viewed Page");
  expect(of({ type: "screen", name: "Basket" }).event).toBe("Viewed Basket Screen");
});

test("an identify sets the traits of the profile, and without traits ties both ids", () => {
  const traits = { email: "a@b.test", name: "A B", firstName: "A", plan: "pro" };
  const event = { ...COMMON, type: "identify", userId: "u", traits };
  expect(wireOf(event)).toEqual({
    metadata: "mixpanel engage",
    $distinct_id: "u",
    $set: { $email: "a@b.test", $name: "A B", $first_name: "A", plan: "pro" },
  });
  expect(back(event)).toEqual({ type: "identify", userId: "u", traits });
  expect(wireOf({ ...COMMON, type: "identify", anonymousId: "a", traits: { b: 1 } })).toMatchObject({
    $distinct_id: "$device:a",
  });
  const both = { ...COMMON, type: "identify", userId: "u", anonymousId: "a" };
  expect(wireOf(both)).toMatchObject({
    event: "$identify",
    properties: { $identified_id: "u", $anon_id: "a", $user_id: "u", $device_id: "a", distinct_id: "u" },
  });
  expect(back(both)).toEqual({ ...both });
  expect(wireOf({ ...COMMON, type: "identify", userId: "u" })).toEqual({ dropped: "unsupported" });
  expect(wireOf({ ...COMMON, type: "identify", traits: { a: 1 } })).toEqual({ dropped: "unsupported" });
});

test("a group sets the traits of the group's profile, and without traits gives the group to the user", () => {
  const event = { ...COMMON, type: "group", userId: "u", groupId: "acme", traits: { name: "Acme", size: 3 } };
  expect(wireOf(event, { groupKey: "team" })).toEqual({
    metadata: "mixpanel groups",
    $group_key: "team",
    $group_id: "acme",
    $set: { $name: "Acme", size: 3 },
  });
  expect(back(event)).toEqual({ type: "group", groupId: "acme", traits: { name: "Acme", size: 3 } });
  expect(wireOf({ ...COMMON, type: "group", userId: "u", groupId: "acme" })).toEqual({
    metadata: "mixpanel engage",
    $distinct_id: "u",
    $union: { company: ["acme"] },
  });
  expect(wireOf({ ...COMMON, type: "group", groupId: "acme" })).toEqual({ dropped: "unsupported" });
});

test("an alias is left out unless the project merges ids so", () => {
  const event = { ...COMMON, type: "alias", userId: "new", previousId: "old" };
  expect(wireOf(event)).toEqual({ dropped: "unsupported" });
  expect(wireOf(event, { sendsAliases: true })).toMatchObject({
    event: "$create_alias",
    properties: { distinct_id: "old", alias: "new", $insert_id: ID },
  });
  expect(back(event, { sendsAliases: true })).toMatchObject({ type: "alias", userId: "new", previousId: "old" });
});

test("what the clients send has a canonical meaning, or none", () => {
  const of = (item: object, metadata = "mixpanel"): unknown => mixpanelToCanonical(JSON.stringify(item), metadata);
  const web = { time: 1_700_000_000.5, $insert_id: "i", $device_id: "d", distinct_id: "$device:d", mp_lib: "web" };
  expect(of({ event: "E", properties: { ...web, a: 1 } })).toEqual({
    type: "track",
    event: "E",
    anonymousId: "d",
    messageId: "i",
    timestamp: "2023-11-14T22:13:20.500Z",
    context: { library: { name: "web" } },
    properties: { a: 1 },
  });
  expect(
    of({
      event: "$identify",
      properties: { ...web, distinct_id: "u", $user_id: "u", $anon_distinct_id: "$device:d" },
    }),
  ).toMatchObject({ type: "identify", userId: "u", anonymousId: "d" });
  expect(
    of({ event: "$mp_web_page_view", properties: { ...web, current_page_title: "T", current_url_path: "/p" } }),
  ).toMatchObject({ type: "page", name: "T", properties: { title: "T", path: "/p" } });
  expect(of({ event: "$merge", properties: { $distinct_ids: ["a", "b"] } })).toEqual({
    type: "alias",
    previousId: "a",
    userId: "b",
  });
  expect(of({ event: "E", properties: { distinct_id: "", ip: 0 } })).toEqual({
    type: "track",
    event: "E",
    properties: {},
  });
  expect(
    of({ $distinct_id: "$device:d", $set: { $email: "e" }, $ip: "203.0.113.9", $time: 1.7e9 }, "mixpanel engage"),
  ).toEqual({
    type: "identify",
    anonymousId: "d",
    timestamp: "2023-11-14T22:13:20.000Z",
    context: { ip: "203.0.113.9" },
    traits: { email: "e" },
  });
  for (const operation of ["$add", "$append", "$set_once", "$unset", "$union", "$delete"])
    expect(of({ $distinct_id: "u", [operation]: {} }, "mixpanel engage"), operation).toBeUndefined();
  for (const hostile of [{}, { event: 5, properties: 6 }, { event: "E", properties: { time: 1e300, ip: {} } }])
    expect(() => of(hostile)).not.toThrow();
});

test("whose an event is: the user's, else the device's, as the client names them", () => {
  const of = (item: object): unknown => orderKeyOf(JSON.stringify(item), "mixpanel");
  expect(of({ event: "E", properties: { distinct_id: "u", $device_id: "d" } })).toBe("u");
  expect(of({ event: "E", properties: { distinct_id: "$device:d" } })).toBe("d");
  expect(of({ event: "E", properties: { distinct_id: "", $device_id: "d" } })).toBe("d");
  expect(of({ event: "E", properties: { $user_id: 7 } })).toBe("7");
  expect(of({ $distinct_id: "u", $set: {} })).toBe("u");
  expect(of({ $group_key: "company", $group_id: "acme", $set: {} })).toBe("acme");
  expect(of({ event: "E", properties: { distinct_id: "" } })).toBeUndefined();
  expect(orderKeyOf("no json", "mixpanel")).toBeUndefined();
});
