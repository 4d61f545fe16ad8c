/**
 * Vendors' published SDKs, unmodified, through the relay by changing their base URL: every event
 * arrives once at the vendor's emulator. The relay is a process of its own that is killed and
 * started again in the middle. The scenarios are in the folder `clients`.
 */
import { expect, test } from "vitest";
import { fetchFirst } from "../tools/fetch-first.ts";
import { findScenarios, play } from "./scenario.ts";
import { installClients, SDKS, TEST_MS } from "./setup.ts";

const scenarios = await findScenarios();

fetchFirst(installClients);

test("every SDK of the manifest has a scenario", () => {
  expect(SDKS.length).toBeGreaterThan(10);
  expect([...new Set(scenarios.map(({ client }) => client))].toSorted()).toEqual(SDKS.toSorted());
});

test.each(scenarios.map((scenario) => [`${scenario.client}: ${scenario.how}`, scenario] as const))(
  "%s",
  { timeout: TEST_MS },
  async (_title, scenario) => {
    const { failure, events, lost, duplicates, relayKills } = await play(scenario);
    if (failure !== undefined) throw failure;
    expect({ lost, duplicates }).toEqual({ lost: 0, duplicates: 0 });
    expect(events).toBeGreaterThan(0);
    expect(relayKills).toBeGreaterThan(0);
  },
);
