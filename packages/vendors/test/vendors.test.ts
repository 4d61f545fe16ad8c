/**
 * The vendors' outbound protocols against their emulators: one suite for all. Segment's is in its
 * own folder.
 */
import { TextBatch } from "@waybill/core";
import { emulators } from "@waybill/testing";
import { testVendor } from "@waybill/testing/suites";
import { stableUuid, trophyProtocol, writeTrophy } from "@waybill/vendors";
import { adapterOf } from "@waybill/vendors/registry";
import { expect, test } from "vitest";

const version = "1.2.3";
const padding = (bytes: number): string => "x".repeat(bytes);

testVendor("letter", {
  origin: "http://letter.test",
  adapter: adapterOf("letter"),
  url: "http://letter.test/",
  emulator(clock) {
    const emulator = new emulators.LetterEmulator({ clock, apiKeys: ["right"] });
    return { handle: emulator.handle, fail: (failure) => emulator.fail(failure), ids: () => emulator.ids };
  },
  event: (messageId, bytes = 0) =>
    JSON.stringify({ type: "track", userId: "u", event: "E", properties: { p: padding(bytes) }, messageId }),
});

testVendor("getfluxly", {
  origin: "http://getfluxly.test",
  adapter: adapterOf("getfluxly"),
  url: "http://getfluxly.test/",
  emulator(clock) {
    const emulator = new emulators.GetFluxlyEmulator({ clock, tokens: ["right"] });
    return {
      handle: emulator.handle,
      fail: (failure) => emulator.fail(failure),
      ids: () => emulator.events.map((event) => String(event["message_id"])),
    };
  },
  event: (messageId, bytes = 0) =>
    JSON.stringify({ event: "e", user_id: "u", properties: { p: padding(bytes) }, message_id: messageId }),
});

testVendor("trophy", {
  origin: "http://trophy.test",
  adapter: adapterOf("trophy"),
  url: "http://trophy.test/v1/",
  emulator(clock) {
    const emulator = new emulators.TrophyEmulator({ clock, apiKeys: ["right"] });
    return {
      handle: emulator.handle,
      fail: (failure) => emulator.fail(failure),
      ids: () => emulator.events.map(({ idempotencyKey }) => idempotencyKey ?? ""),
    };
  },
  event: (key, bytes = 0) =>
    writeTrophy({ metric: "words", key }, JSON.stringify({ user: { id: "u", name: padding(bytes) }, value: 1 })),
  malformed: writeTrophy({ metric: "words", key: "id-4" }, '{"value":1}'),
});

testVendor("valued", {
  origin: "http://valued.test",
  adapter: adapterOf("valued"),
  url: "http://valued.test/events",
  emulator(clock) {
    const emulator = new emulators.ValuedEmulator({ clock, tokens: ["right"] });
    return {
      handle: emulator.handle,
      fail: (failure) => emulator.fail(failure),
      ids: () => emulator.events.map(({ key }) => String(key)),
    };
  },
  event: (key, bytes = 0) =>
    JSON.stringify({ category: "action", key, user: { id: 1 }, attributes: { p: padding(bytes) } }),
  dedupes: false,
  ordered: false,
});

testVendor("posthog", {
  origin: "http://posthog.test",
  adapter: adapterOf("posthog"),
  url: "http://posthog.test/",
  emulator(clock) {
    const emulator = new emulators.PosthogEmulator({ clock, apiKeys: ["right"] });
    return {
      handle: emulator.handle,
      fail: (failure) => emulator.fail(failure),
      ids: () => emulator.events.map((event) => String(event["uuid"])),
    };
  },
  event: (uuid, bytes = 0) => JSON.stringify({ event: "E", distinct_id: "u", properties: { p: padding(bytes) }, uuid }),
});

testVendor("launchdarkly", {
  origin: "http://launchdarkly.test",
  adapter: adapterOf("launchdarkly"),
  metadata: "launchdarkly server 4 ",
  emulator(clock) {
    const emulator = new emulators.LaunchDarklyEmulator({ clock, keys: ["right"] });
    return {
      handle: emulator.handle,
      fail: (failure) => emulator.fail(failure),
      ids: () => emulator.events.map(({ key }) => String(key)),
    };
  },
  event: (key, bytes = 0) => JSON.stringify({ kind: "custom", key, data: padding(bytes) }),
});

test("an id in the form of version 4 is stable, different for different texts, and keeps what is a UUID", () => {
  expect(stableUuid("01890a5d-ac96-774b-bcce-b302099a8057")).toBe("01890a5d-ac96-474b-bcce-b302099a8057");
  expect(stableUuid("0D2E4C1A-6F8B-4A3C-9E57-1B2C3D4E5F60")).toBe("0d2e4c1a-6f8b-4a3c-9e57-1b2c3d4e5f60");
  const ids = new Set(Array.from({ length: 20_000 }, (_, index) => stableUuid(`order-${index}`)));
  expect(ids.size).toBe(20_000);
  for (const id of [...ids].slice(0, 50))
    expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
});

test("a Trophy event keeps its body byte for byte, whatever is in its key", () => {
  const protocol = trophyProtocol({ apiKey: "k", version });
  const body = '{"user":{"id":"u"},  "value":1.00000000000000000001}';
  const text = writeTrophy({ metric: 'a/b ","body":', key: "k-1" }, body);
  const batch = new TextBatch({ key: "", metadata: "", oldestAtMs: 0, texts: [text], sizes: [text.length] });
  const request = protocol.request(batch, 0);
  expect(request.body.join("")).toBe(body);
  expect(request.url).toBe(`https://api.trophy.so/v1/metrics/${encodeURIComponent('a/b ","body":')}/event`);
  expect(request.headers["idempotency-key"]).toBe("k-1");
});
