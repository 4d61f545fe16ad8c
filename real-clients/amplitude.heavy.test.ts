/**
 * What Amplitude's published SDKs do beside the scenarios in `clients/amplitude.ts`: straight to
 * the emulator, which shows that it is like the vendor, and with events and keys that are refused.
 */
import { expect, onTestFinished, test } from "vitest";
import { fetchFirst } from "../tools/fetch-first.ts";
import { PATH, runNode, runPage, type Sdk, setUp } from "./clients/amplitude.ts";
import { until } from "./relay.ts";
import { installClients, load, TEST_MS } from "./setup.ts";
import { EVENT_NAMES, openStage, type Stage } from "./stage.ts";

fetchFirst(installClients);

function newStage(): Stage {
  const stage = openStage();
  onTestFinished(() => stage.close());
  return stage;
}

test.each(["@amplitude/analytics-node", "amplitude-node-1.3"])(
  "%s straight to the emulator",
  { timeout: TEST_MS },
  (name) => runNode(newStage(), { name, route: "straight" }),
);

test("@amplitude/analytics-browser in a page, straight to the emulator", { timeout: TEST_MS }, () =>
  runPage(newStage(), { route: "straight" }),
);

test.each([
  ["the relay", "relay"],
  ["the emulator", "straight"],
] as const)(
  "@amplitude/analytics-node drops what %s refuses, and the others of the request arrive once",
  { timeout: TEST_MS },
  async (_what, route) => {
    const world = await setUp(newStage(), route);
    const client = load<Sdk>("@amplitude/analytics-node").createInstance();
    const serverUrl = `${world.url}${PATH}`;
    await client.init(world.apiKey, { serverUrl, flushIntervalMillis: 50, logLevel: 0 }).promise;
    const sent = EVENT_NAMES.slice(0, 5).map((name, index) =>
      client.track(name, {}, index % 2 === 1 ? { user_id: "user-1", time: "soon" } : { user_id: "user-1" }),
    );
    const results = await Promise.all(sent.map(({ promise }) => promise));
    expect(results.map(({ code }) => code)).toEqual([200, 400, 200, 400, 200]);
    await until(() => world.emulator.events.length >= 3);
    expect(world.emulator.events.map(({ event_type: type }) => type)).toEqual(["event-0", "event-2", "event-4"]);
    expect(world.emulator.duplicates).toBe(0);
  },
);

test("@amplitude/analytics-node gives up at once at a key that is not known", { timeout: TEST_MS }, async () => {
  const world = await setUp(newStage(), "relay");
  const client = load<Sdk>("@amplitude/analytics-node").createInstance();
  const serverUrl = `${world.url}${PATH}`;
  await client.init("another", { serverUrl, flushIntervalMillis: 50, logLevel: 0 }).promise;
  const { code, message } = await client.track("E", {}, { user_id: "user-1" }).promise;
  expect(code).toBe(400);
  expect(message).toMatch(/^Invalid API key/);
});
