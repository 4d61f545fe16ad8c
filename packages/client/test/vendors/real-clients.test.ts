/**
 * Vendors' published SDKs, unmodified, against the emulators: a check on the emulators. Trophy's is
 * in trophy.test.ts.
 */

import { init } from "@launchdarkly/node-server-sdk";
import { Analytics } from "@segment/analytics-node";
import { emulators } from "@waybill/testing";
import { init as initOld } from "launchdarkly-node-server-sdk";
import { expect, onTestFinished, test } from "vitest";

const FLAG = {
  key: "flag",
  version: 7,
  on: true,
  fallthrough: { variation: 1 },
  offVariation: 0,
  variations: [false, true],
  salt: "s",
  rules: [],
  targets: [],
  prerequisites: [],
};

async function launchdarkly(): Promise<{ readonly emulator: emulators.LaunchDarklyEmulator; readonly url: string }> {
  const emulator = new emulators.LaunchDarklyEmulator({ keys: ["sdk-1"], flags: { flag: FLAG } });
  const server = await emulator.listen();
  onTestFinished(() => server.close());
  return { emulator, url: server.url };
}

test("@launchdarkly/node-server-sdk 9 posts schema 4 events and diagnostics", async () => {
  const { emulator, url } = await launchdarkly();
  const client = init("sdk-1", {
    baseUri: url,
    streamUri: url,
    eventsUri: url,
    stream: false,
    application: { id: "shop" },
  });
  await client.waitForInitialization({ timeout: 10 });
  const user = { kind: "user", key: "u-1" };
  expect(await client.variation("flag", user, false)).toBe(true);
  client.track("clicked", user, { n: 1 });
  await client.flush();
  client.close();
  expect(emulator.payloads[0]).toMatchObject({
    path: "/bulk",
    repeated: false,
    headers: { "x-launchdarkly-event-schema": "4", "x-launchdarkly-tags": "application-id/shop" },
  });
  expect(emulator.events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["index", "custom", "summary"]));
  // They go by themselves, beside the events.
  await expect.poll(() => emulator.diagnostics.length, { timeout: 20_000 }).toBeGreaterThan(0);
});

test("launchdarkly-node-server-sdk 6.4.3 posts schema 3 events, and again when asked to come later", async () => {
  const { emulator, url } = await launchdarkly();
  const logger = { error: () => undefined, warn: () => undefined, info: () => undefined, debug: () => undefined };
  const client = initOld("sdk-1", {
    baseUri: url,
    streamUri: url,
    eventsUri: url,
    stream: false,
    diagnosticOptOut: true,
    logger,
  });
  await client.waitForInitialization();
  expect(await client.variation("flag", { key: "u-1" }, false)).toBe(true);
  client.track("clicked", { key: "u-1" });
  emulator.fail({ kind: "resetAfter", times: 1 });
  await client.flush();
  client.close();
  expect(emulator.payloads[0]).toMatchObject({ path: "/bulk", headers: { "x-launchdarkly-event-schema": "3" } });
  // The answer of the first post was lost: the second has the same payload id.
  expect(emulator.payloads.map(({ repeated }) => repeated)).toEqual([false, true]);
  expect(emulator.events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["index", "custom", "summary"]));
});

test("@segment/analytics-node delivers to the emulator, through a refusal", async () => {
  const emulator = new emulators.SegmentEmulator();
  const server = await emulator.listen();
  onTestFinished(() => server.close());
  const analytics = new Analytics({ writeKey: "w", host: server.url, flushAt: 5, flushInterval: 50 });
  emulator.fail({ kind: "status", status: 503, times: 1 });
  for (let index = 0; index < 20; index++) analytics.track({ userId: "u", event: "Tracked", properties: { index } });
  await analytics.closeAndFlush();
  expect(emulator.received).toBe(20);
});
