/** The vendors' inbound adapters: one suite for all. */
import { type InboundEvent, testInbound } from "@waybill/testing/suites";
import { vendorOf } from "@waybill/vendors";
import { adapterOf, orderKeyOf, VENDORS } from "@waybill/vendors/registry";
import { expect, test } from "vitest";

const basic = (key: string): Readonly<Record<string, string>> =>
  key === "" ? {} : { authorization: `Basic ${btoa(`${key}:`)}` };
const bearer = (key: string): Readonly<Record<string, string>> =>
  key === "" ? {} : { authorization: `Bearer ${key}` };
const first = (events: readonly InboundEvent[]): InboundEvent => events[0] as InboundEvent;

testInbound("segment", {
  adapter: adapterOf("segment"),
  request: (events, key) => ({
    path: "/v1/batch",
    headers: basic(key),
    body: JSON.stringify({
      batch: events.map(({ id, user }) => ({ type: "track", event: "E", userId: user, messageId: id })),
    }),
  }),
});

testInbound("letter", {
  adapter: adapterOf("letter"),
  request: (events, key) => ({
    path: "/v1/batch",
    headers: bearer(key),
    body: JSON.stringify({
      batch: events.map(({ id, user }) => ({ type: "track", event: "E", userId: user, messageId: id })),
    }),
  }),
});

testInbound("getfluxly", {
  adapter: adapterOf("getfluxly"),
  request: (events, key) => ({
    path: "/v1/events/batch",
    headers: bearer(key),
    body: JSON.stringify({ events: events.map(({ id, user }) => ({ event: "e", user_id: user, message_id: id })) }),
  }),
});

testInbound("trophy", {
  adapter: adapterOf("trophy"),
  single: true,
  ids: "none",
  request: (events, key) => ({
    path: "/metrics/words/event",
    headers: { ...(key === "" ? {} : { "x-api-key": key }), "idempotency-key": first(events).id },
    body: JSON.stringify({ user: { id: first(events).user }, value: 1 }),
  }),
});

testInbound("valued", {
  adapter: adapterOf("valued"),
  single: true,
  ids: "none",
  request: (events, key) => ({
    path: "/events",
    headers: bearer(key),
    body: JSON.stringify({ category: "action", key: "k", user: { id: first(events).user } }),
  }),
});

testInbound("launchdarkly", {
  adapter: adapterOf("launchdarkly"),
  ids: "request",
  request: (events, key) => ({
    path: "/bulk",
    headers: {
      ...(key === "" ? {} : { authorization: key }),
      "x-launchdarkly-event-schema": "4",
      "x-launchdarkly-payload-id": first(events).id,
    },
    body: JSON.stringify(
      events.map(({ user }) => ({ kind: "custom", key: "k", context: { kind: "user", key: user } })),
    ),
  }),
});

testInbound("posthog", {
  adapter: adapterOf("posthog"),
  request: (events, key) => ({
    path: "/batch/",
    body: JSON.stringify({
      ...(key === "" ? {} : { api_key: key }),
      batch: events.map(({ id, user }) => ({ event: "E", distinct_id: user, uuid: id })),
    }),
  }),
});

test.each([
  ["segment", "", { userId: "u", anonymousId: "a" }, { anonymousId: "a" }],
  ["letter", "letter", { userId: "u" }, { anonymousId: "a" }],
  ["getfluxly", "getfluxly", { user_id: "u", anonymous_id: "a" }, { anonymous_id: "a" }],
  ["getfluxly", "getfluxly", { external_id: "u", anonymous_id: "a" }, { anonymous_id: "a" }],
  ["launchdarkly", "launchdarkly server 2 ", { userKey: "u" }, { contextKeys: { device: "a" } }],
  ["amplitude", "amplitude", { user_id: "u", device_id: "a" }, { device_id: "a" }],
  ["posthog", "posthog", { distinct_id: "u" }, { properties: { distinct_id: "a" } }],
] as const)(
  "%s: events of one user keep their order, else those of one anonymous id",
  (vendor, metadata, own, anonymous) => {
    expect(vendorOf(metadata)).toBe(vendor);
    const keyOf = (event: unknown): string | undefined => orderKeyOf(JSON.stringify(event), metadata);
    expect([keyOf(own), keyOf(anonymous)]).toEqual(["u", "a"]);
  },
);

test.each(VENDORS)(
  "%s: an event without anybody, or that is not an event, has no order of its own and throws nothing",
  (vendor) => {
    const metadata = vendor === "segment" ? "" : vendor;
    for (const text of ["{}", "null", "5", '"text"', "[]", "{not json", '{"userId":{},"user":null,"body":null}', ""])
      expect(orderKeyOf(text, metadata), text).toBeUndefined();
  },
);
