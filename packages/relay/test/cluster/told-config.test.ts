/** What a relay tells of its configuration. */
import { loadConfig } from "@waybill/relay";
import { expect, test } from "vitest";
import { toldConfigOf } from "../../src/cluster/told-config.ts";

function toldOf(count: number): ReturnType<typeof toldConfigOf> {
  const destinations = Object.fromEntries(
    Array.from({ length: count }, (_, number) => [`crm${number}`, { vendor: "segment", writeKey: "x" }]),
  );
  const sources = { web: { protocol: "segment", writeKeys: ["k"] } };
  const kafka = { brokers: ["kafka-1.internal:9092"] };
  const text = JSON.stringify({ engine: "kafka", kafka, environments: { production: { sources, destinations } } });
  return toldConfigOf(loadConfig({ file: "f", text, env: {} }));
}

test("it names its destinations, up to 1,000 of them", () => {
  expect(toldOf(2).destinations).toEqual(["production/crm0", "production/crm1"]);
  expect(toldOf(1_000).destinations).toHaveLength(1_000);
  expect(toldOf(1_001)).toEqual({ configDigest: expect.stringMatching(/^[0-9a-f]{12}$/) });
});
